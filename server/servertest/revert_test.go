package servertest_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// A pause that failed leaves, once its brokers answer again, every replica in the phase that it had before: also in a
// pause that somebody made on the brokers themselves.
func TestFailedPauseIsReverted(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		before, ask embedded.Phase
		fault       embedded.Fault
		versions    []string
	}{
		{"soft", embedded.Exporting, embedded.SoftPaused, embedded.Swallow(), versions()},
		{"soft, which comes late", embedded.Exporting, embedded.SoftPaused, embedded.Late(6 * time.Second), versions()},
		{"soft over foreign hard", embedded.Paused, embedded.SoftPaused, embedded.Swallow(), versions()},
		{"soft over foreign hard, which comes late", embedded.Paused, embedded.SoftPaused, embedded.Late(6 * time.Second), versions()},
		{"hard over foreign soft", embedded.SoftPaused, embedded.Paused, embedded.Swallow(), []string{"8.10"}}, // Others refuse.
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			on(t, test.versions, func(t try) {
				h, route := t.start(embedded.Options{}, within("5s"))
				t.behind(h, test.before)
				h.Cluster.Broker(1).SetFaults(test.fault)
				t.expectNotSettled(route.Pause(t.Context(), pauseTo(test.ask)), "1")
				t.heal(h)
				if test.before == embedded.Exporting {
					t.awaitQuiet(h, embedded.Exporting)
				} else {
					t.awaitForeign(h, test.before)
				}
			})
		})
	}
}

// Broker 1 breaks once it was paused, while broker 2 still keeps the pause from settling.
func TestPauseThatBreaksInTheMiddleIsReverted(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		breaks func(*embedded.Broker)
	}{
		{"dies", (*embedded.Broker).Stop},
		{"hangs", func(b *embedded.Broker) { b.SetFaults(embedded.Hang()) }},
		{"answers garbage", func(b *embedded.Broker) { b.SetFaults(embedded.Garbage()) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			everywhere(t, func(t try) {
				h, route := t.start(embedded.Options{}, within("5s"))
				h.Cluster.Broker(2).SetFaults(embedded.Late(time.Second))
				paused := later(func() servertest.Outcome { return route.Pause(t.Context(), hard()) })
				servertest.Await(t, "broker 1 is paused", func() bool { return has(h, 1, embedded.Paused) })
				test.breaks(h.Cluster.Broker(1))
				o := <-paused
				t.expectNotSettled(o, "1")
				if o.Metadata["outcome"] != "reverting" {
					t.Errorf("the outcome is %q while broker 1 cannot be reached", o.Metadata["outcome"])
				}
				t.heal(h)
				t.awaitQuiet(h, embedded.Exporting)
			})
		})
	}
}

// Below 8.10 brokers may differ in what they were before. Each goes back to its own.
func TestFailedPauseIsRevertedByBroker(t *testing.T) {
	t.Parallel()
	on(t, unplanned(), func(t try) {
		h, route := t.start(embedded.Options{}, within("5s"))
		t.behind(h, embedded.Paused, 0)
		h.Cluster.Broker(1).SetFaults(embedded.Swallow())
		t.expectNotSettled(route.Pause(t.Context(), soft()), "1")
		t.heal(h)
		back := func() bool {
			return has(h, 0, embedded.Paused) && has(h, 1, embedded.Exporting) && has(h, 2, embedded.Exporting)
		}
		servertest.Await(t, "each broker is back", back)
		t.awaitReads(h)
		if !back() {
			t.Errorf("brokers were moved after the revert: %+v", h.Cluster.Replicas())
		}
	})
}

// With on_failure=keep the hold stays, the error says so, and the server goes on until every replica has followed.
func TestFailedPauseIsKept(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{}, within("5s"))
		h.Cluster.Broker(1).SetFaults(embedded.Swallow())
		o := route.Pause(t.Context(), &exportgatev1.PauseRequest{OnFailure: exportgatev1.OnFailure_ON_FAILURE_KEEP})
		t.expectNotSettled(o, "1")
		if o.Metadata["outcome"] != "kept" {
			t.Errorf("the outcome is %q", o.Metadata["outcome"])
		}
		if s := route.GetStatus(t.Context()).Status; s.GetTarget() != phaseOf(embedded.Paused) || s.GetSettled() || len(s.GetHolds()) != 1 {
			t.Errorf("the hold is not kept: %v", s)
		}
		t.heal(h)
		t.awaitQuiet(h, embedded.Paused)
		t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
	})
}

// A pause that fails takes nothing from the hold that was there before.
func TestFailedPauseLeavesAnEarlierHold(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) { leavesAnEarlierHold(t, embedded.Late(6*time.Second)) })
}

func leavesAnEarlierHold(t try, fault embedded.Fault) {
	t.Helper()
	h, route := t.start(embedded.Options{}, within("5s"))
	first := route.Pause(t.Context(), hard())
	t.expectSuccess(h, first, embedded.Paused)
	h.Cluster.Broker(1).SetFaults(fault)
	t.expect(route.Pause(t.Context(), soft()), codes.DeadlineExceeded, notSettled)
	t.heal(h)
	t.awaitQuiet(h, embedded.Paused)
	holds := route.GetStatus(t.Context()).Status.GetHolds()
	if len(holds) != 1 || holds[0].GetUid() != first.Hold.GetUid() {
		t.Errorf("the holds are %v, want the first one, %v", holds, first.Hold)
	}
}
