package servertest_test

import (
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// The reasons of failures that these tests meet, as they travel.
const (
	notSettled  = "REPLICAS_NOT_SETTLED"
	incomplete  = "INCOMPLETE_TOPOLOGY"
	mixed       = "MIXED_VERSIONS"
	unsafeHard  = "UNSAFE_TRANSITION"
	unsupported = "SOFT_PAUSE_UNSUPPORTED"
	superseded  = "SUPERSEDED"
	invalid     = "INVALID_ARGUMENT"
	notFound    = "HOLD_NOT_FOUND"
	expired     = "HOLD_EXPIRED"
	broken      = "HOLD_BROKEN"
	heldBy      = "HELD_BY_OTHERS"
	tooMany     = "TOO_MANY_HOLDS"
	stopping    = "SHUTTING_DOWN"
)

// httpStatus is design.md 3's table, as far as these tests meet it.
func httpStatus() map[codes.Code]int {
	return map[codes.Code]int{
		codes.OK:                 http.StatusOK,
		codes.InvalidArgument:    http.StatusBadRequest,
		codes.NotFound:           http.StatusNotFound,
		codes.FailedPrecondition: http.StatusConflict,
		codes.Aborted:            http.StatusConflict,
		codes.ResourceExhausted:  http.StatusTooManyRequests,
		codes.Unavailable:        http.StatusServiceUnavailable,
		codes.DeadlineExceeded:   http.StatusGatewayTimeout,
	}
}

// expect ends the test unless a call was told what it should have been.
func (t try) expect(o servertest.Outcome, code codes.Code, reason string) {
	t.Helper()
	if o.Err != nil || o.Code != code || o.Reason != reason {
		t.Fatalf("got %v, want %v %s", o, code, reason)
	}
	if t.door == servertest.HTTP && o.HTTP != httpStatus()[code] {
		t.Fatalf("got %v, want HTTP status %d", o, httpStatus()[code])
	}
}

// expectSuccess ends the test unless a call was told that every replica is in a phase, and that is true.
func (t try) expectSuccess(h *servertest.Harness, o servertest.Outcome, phase embedded.Phase) {
	t.Helper()
	astray := h.Astray(phase)
	t.expect(o, codes.OK, "")
	if len(astray) > 0 {
		t.Fatalf("success was said, but these are not %s: %+v", phase, astray)
	}
	if s := o.Status; !s.GetSettled() || s.GetTarget() != phaseOf(phase) || s.GetObserved() != phaseOf(phase) {
		t.Fatalf("success was said with this status: %v", s)
	}
}

// expectNotSettled ends the test unless a call was told that replicas on a broker did not follow.
func (t try) expectNotSettled(o servertest.Outcome, broker string) {
	t.Helper()
	t.expect(o, codes.DeadlineExceeded, notSettled)
	t.expectNamed(o, broker)
	if !slices.ContainsFunc(o.Failures, func(f *exportgatev1.ReplicaFailure) bool {
		return f.GetBroker() == broker && f.GetPartition() > 0 && f.GetError() != ""
	}) {
		t.Errorf("no detail names a replica on broker %s: %v", broker, o.Failures)
	}
}

// expectIncomplete ends the test unless a pause was refused because replicas on a broker cannot be paused for sure.
func (t try) expectIncomplete(o servertest.Outcome, broker string) {
	t.Helper()
	t.expect(o, codes.Unavailable, incomplete)
	t.expectNamed(o, broker)
	if !strings.Contains(o.Metadata["missing"], "broker "+broker) {
		t.Errorf("the details do not name broker %s: %v", broker, o.Metadata)
	}
}

// expectNamed fails the test unless a message names a broker and its partitions.
func (t try) expectNamed(o servertest.Outcome, broker string) {
	t.Helper()
	if !strings.Contains(o.Message, "broker "+broker) || !strings.Contains(o.Message, "partition") {
		t.Errorf("the message names neither partition nor broker %s: %s", broker, o.Message)
	}
}

// expectBrokers fails the test unless a failure names these brokers in message and details.
func (t try) expectBrokers(o servertest.Outcome, brokers string) {
	t.Helper()
	if o.Metadata["brokers"] != brokers || !strings.Contains(o.Message, strings.ReplaceAll(brokers, ",", ", ")) {
		t.Errorf("the failure does not name brokers %s: %v", brokers, o)
	}
}

// expectUntouched ends the test if any broker was asked to change anything.
func (t try) expectUntouched(h *servertest.Harness) {
	t.Helper()
	if writes := h.Cluster.Writes(); len(writes) > 0 {
		t.Fatalf("brokers were asked to change: %+v", writes)
	}
}

func phaseOf(phase embedded.Phase) exportgatev1.Phase {
	return exportgatev1.Phase(exportgatev1.Phase_value["PHASE_"+string(phase)])
}

// hard and soft ask for a pause, and resume for the end of it.
func hard() *exportgatev1.PauseRequest { return pauseTo(embedded.Paused) }
func soft() *exportgatev1.PauseRequest { return pauseTo(embedded.SoftPaused) }

func pauseTo(phase embedded.Phase) *exportgatev1.PauseRequest {
	return &exportgatev1.PauseRequest{Soft: phase == embedded.SoftPaused}
}

func resume() *exportgatev1.ResumeRequest { return &exportgatev1.ResumeRequest{} }

func checkResume() *exportgatev1.ResumeRequest {
	return &exportgatev1.ResumeRequest{ValidateOnly: true}
}
