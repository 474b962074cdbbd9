package servertest_test

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// Who held exporting back, why, from when to when and how it ended can be read afterwards, and what happened is told as it
// does.
func TestHistoryAndEvents(t *testing.T) {
	t.Parallel()
	const (
		placed  = exportgatev1.EventKind_EVENT_KIND_HOLD_PLACED
		settled = exportgatev1.EventKind_EVENT_KIND_HOLD_SETTLED
		ended   = exportgatev1.EventKind_EVENT_KIND_HOLD_ENDED
		resumed = exportgatev1.EventKind_EVENT_KIND_RESUMED
	)
	on(t, []string{"8.9", "8.10"}, func(t try) {
		h, route := t.start(embedded.Options{})
		began := time.Now()
		request := place("backup-1", embedded.Paused)
		request.Reason = "nightly: ünïcode & ?query=1"
		first := route.Pause(t.Context(), request)
		t.expectSuccess(h, first, embedded.Paused)
		t.expectOwner(first.Hold.GetOwner())
		if first.Hold.GetReason() != request.GetReason() {
			t.Errorf("the reason %q is told as %q", request.GetReason(), first.Hold.GetReason())
		}
		t.expectSuccess(h, route.Pause(t.Context(), place("backup-1", embedded.SoftPaused)), embedded.SoftPaused)
		t.expectSuccess(h, route.Resume(t.Context(), release("backup-1")), embedded.Exporting)
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)

		history := t.status(h).GetHistory()
		if len(history) != 2 {
			t.Fatalf("the history is %v", history)
		}
		for i, want := range []struct {
			end   exportgatev1.HoldEnd
			phase embedded.Phase
		}{
			{exportgatev1.HoldEnd_HOLD_END_REPLACED, embedded.Paused}, {exportgatev1.HoldEnd_HOLD_END_RELEASED, embedded.SoftPaused},
		} {
			e := history[i]
			if e.GetEnd() != want.end || e.GetHold().GetId() != "backup-1" || e.GetHold().GetPhase() != phaseOf(want.phase) {
				t.Errorf("entry %d of the history is %v, want %v of %v", i, e, want.end, want.phase)
			}
			t.expectOwner(e.GetHold().GetOwner())
			t.expectOwner(e.GetEndedBy())
			times := []time.Time{
				began, e.GetHold().GetCreateTime().AsTime(), e.GetHold().GetSettleTime().AsTime(), e.GetEndTime().AsTime(), time.Now(),
			}
			if !slices.IsSortedFunc(times, time.Time.Compare) {
				t.Errorf("entry %d of the history has these times: %v", i, times)
			}
		}
		if history[0].GetHold().GetUid() != first.Hold.GetUid() || history[1].GetHold().GetUid() == first.Hold.GetUid() {
			t.Errorf("the first hold is %v, and the history has %v", first.Hold, history)
		}

		events := t.status(h).GetEvents()
		want := []exportgatev1.EventKind{placed, settled, ended, placed, settled, ended}
		if got := kinds(events, "backup-1"); !slices.Equal(got, want) {
			t.Errorf("the hold's events are %v, want %v", got, want)
		}
		others := slices.DeleteFunc(kinds(events, ""), func(k exportgatev1.EventKind) bool {
			return k == exportgatev1.EventKind_EVENT_KIND_BROKER // One may be slow to answer.
		})
		if !slices.Equal(others, []exportgatev1.EventKind{resumed}) {
			t.Errorf("the other events are %v", others)
		}
		for i, e := range events {
			if e.GetMessage() == "" || e.GetTime().AsTime().Before(began) || i > 0 && e.GetTime().AsTime().Before(events[i-1].GetTime().AsTime()) {
				t.Errorf("event %d is %v", i, e)
			}
		}
	})
}

// expectOwner fails the test unless an owner is what there is to know of this client: its address and its user agent.
func (t try) expectOwner(owner string) {
	t.Helper()
	address, agent, _ := strings.Cut(owner, " ")
	host, _, err := net.SplitHostPort(address)
	prefix := map[servertest.Door]string{servertest.GRPC: "(grpc-go/", servertest.HTTP: "(Go-http-client/"}[t.door]
	if err != nil || host != "127.0.0.1" || !strings.HasPrefix(agent, prefix) {
		t.Errorf("the owner is %q, want an address and %s", owner, prefix)
	}
}

// With validate_only every call says what it would, and changes nothing: neither holds nor history nor brokers.
func TestChecksOfHolds(t *testing.T) {
	t.Parallel()
	checkPause := func(request *exportgatev1.PauseRequest) func(try, servertest.Route) servertest.Outcome {
		request.ValidateOnly = true
		return func(t try, route servertest.Route) servertest.Outcome { return route.Pause(t.Context(), request) }
	}
	checkResume := func(request *exportgatev1.ResumeRequest) func(try, servertest.Route) servertest.Outcome {
		request.ValidateOnly = true
		return func(t try, route servertest.Route) servertest.Outcome { return route.Resume(t.Context(), request) }
	}
	on(t, []string{"8.9", "8.10"}, func(t try) {
		h, route := t.start(embedded.Options{})
		old := route.Pause(t.Context(), place("done", embedded.SoftPaused))
		t.expectSuccess(h, old, embedded.SoftPaused)
		t.expectSuccess(h, route.Resume(t.Context(), release("done")), embedded.Exporting)
		live := route.Pause(t.Context(), place("live", embedded.SoftPaused))
		t.expectSuccess(h, live, embedded.SoftPaused)
		t.expectSuccess(h, route.Pause(t.Context(), soft()), embedded.SoftPaused)
		before := t.status(h)
		writes := len(h.Cluster.Writes())

		unsafe, unsafeCode := unsafeHard, codes.FailedPrecondition
		if t.planned() {
			unsafe, unsafeCode = "", codes.OK
		}
		for name, check := range map[string]struct {
			call   func(try, servertest.Route) servertest.Outcome
			code   codes.Code
			reason string
		}{
			"place":              {checkPause(place("new", embedded.SoftPaused)), codes.OK, ""},
			"place what is hard": {checkPause(place("new", embedded.Paused)), unsafeCode, unsafe},
			"replace":            {checkPause(place("live", embedded.Paused)), unsafeCode, unsafe},
			"renew by id":        {checkPause(lasting(place("live", embedded.SoftPaused), 3*time.Hour)), codes.OK, ""},
			"renew by uid":       {checkPause(renew(live.Hold.GetUid(), 3*time.Hour)), codes.OK, ""},
			"renew what ended":   {checkPause(renew(old.Hold.GetUid(), 3*time.Hour)), codes.NotFound, notFound},
			"release":            {checkResume(release("live")), codes.OK, ""},
			"release again":      {checkResume(release("done")), codes.OK, ""},
			"release nothing":    {checkResume(release("never-seen")), codes.NotFound, notFound},
			"plain resume":       {checkResume(resume()), codes.FailedPrecondition, heldBy},
			"force":              {checkResume(force()), codes.OK, ""},
		} {
			o := check.call(t, route)
			if o.Code != check.code || o.Reason != check.reason || o.Hold != nil || o.Forced != nil {
				t.Errorf("%s: got %v with %v and %v, want %v %s", name, o, o.Hold, o.Forced, check.code, check.reason)
			}
		}
		after := t.status(h)
		if len(h.Cluster.Writes()) != writes || names(after.GetHolds()) != names(before.GetHolds()) ||
			len(after.GetHistory()) != len(before.GetHistory()) || len(after.GetEvents()) != len(before.GetEvents()) {
			t.Errorf("checks changed %v to %v, and wrote %+v", before, after, h.Cluster.Writes()[writes:])
		}
		for i, hold := range after.GetHolds() {
			if was := before.GetHolds()[i]; !hold.GetExpireTime().AsTime().Equal(was.GetExpireTime().AsTime()) {
				t.Errorf("a check renewed %v to %v", was, hold)
			}
		}
	})
}
