package servertest_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/exportgate/exportgate/server/internal/embedded"
)

// The whole round: what each call says is what every replica truly does.
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{})
		ctx := t.Context()
		t.expectSuccess(h, route.Pause(ctx, soft()), embedded.SoftPaused)
		t.expectSuccess(h, route.Pause(ctx, soft()), embedded.SoftPaused)
		t.expectSuccess(h, route.GetStatus(ctx), embedded.SoftPaused)
		t.expectSuccess(h, route.Resume(ctx, resume()), embedded.Exporting)
		t.expectSuccess(h, route.Resume(ctx, resume()), embedded.Exporting)
		t.expectSuccess(h, route.Pause(ctx, hard()), embedded.Paused)
		t.expectSuccess(h, route.Pause(ctx, soft()), embedded.SoftPaused)
		t.expectSuccess(h, route.Resume(ctx, resume()), embedded.Exporting)
		t.expectSuccess(h, route.GetStatus(ctx), embedded.Exporting)
	})
}

// A hard pause over a soft one ruins pause files below 8.10: it is refused, and the soft one stays.
func TestHardPauseOverSoftPause(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{})
		held := route.Pause(t.Context(), soft())
		t.expectSuccess(h, held, embedded.SoftPaused)
		o := route.Pause(t.Context(), hard())
		if t.planned() {
			t.expectSuccess(h, o, embedded.Paused)
			return
		}
		t.expect(o, codes.FailedPrecondition, unsafeHard)
		t.expectBrokers(o, "0,1,2")
		o = route.GetStatus(t.Context())
		t.expectSuccess(h, o, embedded.SoftPaused)
		if holds := o.Status.GetHolds(); len(holds) != 1 || holds[0].GetUid() != held.Hold.GetUid() {
			t.Errorf("the holds are %v, want %v", holds, held.Hold)
		}
	})
}

// The same is true of a soft pause that somebody else made, on some brokers only.
func TestHardPauseOverForeignSoftPause(t *testing.T) {
	t.Parallel()
	on(t, unplanned(), func(t try) {
		h, route := t.start(embedded.Options{})
		t.behind(h, embedded.SoftPaused, 1)
		o := route.Pause(t.Context(), hard())
		t.expect(o, codes.FailedPrecondition, unsafeHard)
		t.expectBrokers(o, "1")
		if !has(h, 0, embedded.Exporting) || !has(h, 1, embedded.SoftPaused) || !has(h, 2, embedded.Exporting) {
			t.Errorf("a refused pause moved replicas: %+v", h.Cluster.Replicas())
		}
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
		t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
	})
}

// What a call says of its changes is what happened.
func TestChangesAndHolds(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{})
		paused := route.Pause(t.Context(), hard())
		t.expectSuccess(h, paused, embedded.Paused)
		if len(paused.Changes) != 9 {
			t.Errorf("a pause of nine replicas tells %d changes: %v", len(paused.Changes), paused.Changes)
		}
		for _, c := range paused.Changes {
			if c.GetBefore() != phaseOf(embedded.Exporting) || c.GetAfter() != phaseOf(embedded.Paused) {
				t.Errorf("a change is told as %v", c)
			}
		}
		again := route.Pause(t.Context(), hard())
		t.expectSuccess(h, again, embedded.Paused)
		if len(again.Changes) != 0 || again.Hold.GetUid() != paused.Hold.GetUid() {
			t.Errorf("the same pause again changes %v and holds %v, not %v", again.Changes, again.Hold, paused.Hold)
		}
		resumed := route.Resume(t.Context(), resume())
		t.expectSuccess(h, resumed, embedded.Exporting)
		if len(resumed.Changes) != 9 || resumed.Hold.GetUid() != paused.Hold.GetUid() {
			t.Errorf("a resume changes %v and releases %v, not %v", resumed.Changes, resumed.Hold, paused.Hold)
		}
	})
}

// With validate_only everything is checked, and nothing touched.
func TestValidateOnly(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{}, within("5s"))
		t.awaitQuiet(h, embedded.Exporting)
		check := hard()
		check.ValidateOnly = true
		o := route.Pause(t.Context(), check)
		t.expectSuccess(h, o, embedded.Exporting)
		if o.Hold != nil || len(o.Status.GetHolds()) != 0 {
			t.Errorf("a check placed a hold: %v", o.Status)
		}
		o = route.Resume(t.Context(), checkResume())
		t.expectSuccess(h, o, embedded.Exporting)
		h.Cluster.Broker(1).Stop()
		t.expectIncomplete(route.Pause(t.Context(), check), "1")
		t.expectUntouched(h)

		t.startBroker(h.Cluster.Broker(1))
		t.expectSuccess(h, t.untilAvailable(route, soft()), embedded.SoftPaused)
		writes := len(h.Cluster.Writes())
		if o := route.Pause(t.Context(), check); t.planned() {
			t.expectSuccess(h, o, embedded.SoftPaused)
		} else {
			t.expect(o, codes.FailedPrecondition, unsafeHard)
		}
		t.expectSuccess(h, route.Resume(t.Context(), checkResume()), embedded.SoftPaused)
		if len(h.Cluster.Writes()) != writes {
			t.Errorf("a check wrote: %+v", h.Cluster.Writes()[writes:])
		}
	})
}
