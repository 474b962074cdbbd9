package servertest_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// place asks for a named hold, and release for its end; force ends all.
func place(id string, phase embedded.Phase) *exportgatev1.PauseRequest {
	request := pauseTo(phase)
	request.Hold = id
	return request
}

// lasting is a request with a time to live.
func lasting(request *exportgatev1.PauseRequest, ttl time.Duration) *exportgatev1.PauseRequest {
	request.Ttl = durationpb.New(ttl)
	return request
}

// renew asks that a hold be extended by its uid.
func renew(uid string, ttl time.Duration) *exportgatev1.PauseRequest {
	return lasting(&exportgatev1.PauseRequest{Renew: uid}, ttl)
}

func release(id string) *exportgatev1.ResumeRequest { return &exportgatev1.ResumeRequest{Hold: id} }

func force() *exportgatev1.ResumeRequest { return &exportgatev1.ResumeRequest{Force: true} }

// status is what the status says now.
func (t try) status(h *servertest.Harness) *exportgatev1.Status {
	t.Helper()
	o := h.Route(t, t.door).GetStatus(t.Context())
	t.expect(o, codes.OK, "")
	return o.Status
}

// expectHolds ends the test unless these holds live, and no others, with these uids.
func (t try) expectHolds(h *servertest.Harness, want ...*exportgatev1.Hold) {
	t.Helper()
	live := t.status(h).GetHolds()
	if got := names(live); got != names(want) {
		t.Fatalf("the holds are %s, want %s", got, names(want))
	}
}

// names are the ids and uids of holds.
func names(holds []*exportgatev1.Hold) string {
	var words []string
	for _, hold := range holds {
		words = append(words, hold.GetId()+" "+hold.GetUid())
	}
	return strings.Join(words, ", ")
}

// expectEnded ends the test unless the last hold of an id ended this way.
func (t try) expectEnded(h *servertest.Harness, id string, end exportgatev1.HoldEnd) *exportgatev1.EndedHold {
	t.Helper()
	history := t.status(h).GetHistory()
	for _, e := range slices.Backward(history) {
		if e.GetHold().GetId() != id {
			continue
		}
		if e.GetEnd() != end {
			t.Fatalf("hold %s ended by %v, want %v", id, e.GetEnd(), end)
		}
		return e
	}
	t.Fatalf("hold %s is not in the history: %v", id, history)
	return nil
}

// rest waits for a while.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// What two holds add up to, released in either order: exporting is kept back as far as any of them asks, and goes on when
// the last is gone. Hard after soft is for brokers from 8.10 on.
func TestTwoHolds(t *testing.T) {
	t.Parallel()
	const (
		free = embedded.Exporting
		soft = embedded.SoftPaused
		hard = embedded.Paused
	)
	tests := []struct {
		a, b     embedded.Phase    // what hold a asks for, and after it hold b
		released string            // in which order
		shows    [4]embedded.Phase // after each of the four calls
		planned  bool              // from 8.10 on alone
	}{
		{soft, soft, "ab", [4]embedded.Phase{soft, soft, soft, free}, false},
		{soft, soft, "ba", [4]embedded.Phase{soft, soft, soft, free}, false},
		{hard, soft, "ab", [4]embedded.Phase{hard, hard, soft, free}, false},
		{hard, soft, "ba", [4]embedded.Phase{hard, hard, hard, free}, false},
		{hard, hard, "ab", [4]embedded.Phase{hard, hard, hard, free}, false},
		{hard, hard, "ba", [4]embedded.Phase{hard, hard, hard, free}, false},
		{soft, hard, "ab", [4]embedded.Phase{soft, hard, hard, free}, true},
		{soft, hard, "ba", [4]embedded.Phase{soft, hard, soft, free}, true},
	}
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{})
		for _, test := range tests {
			if test.planned && !t.planned() {
				continue
			}
			t.Logf("%+v", test)
			placed := map[string]*exportgatev1.Hold{}
			for i, phase := range []embedded.Phase{test.a, test.b} {
				id := string("ab"[i])
				o := route.Pause(t.Context(), place(id, phase))
				t.expectSuccess(h, o, test.shows[i])
				if o.Hold.GetId() != id || o.Hold.GetPhase() != phaseOf(phase) || o.Hold.GetSettleTime() == nil {
					t.Fatalf("hold %s is told as %v", id, o.Hold)
				}
				placed[id] = o.Hold
			}
			t.expectHolds(h, placed["a"], placed["b"])
			for i, id := range strings.Split(test.released, "") {
				o := route.Resume(t.Context(), release(id))
				t.expectSuccess(h, o, test.shows[2+i])
				again := route.Resume(t.Context(), release(id))
				t.expectSuccess(h, again, test.shows[2+i])
				for _, o := range []servertest.Outcome{o, again} {
					if o.Hold.GetUid() != placed[id].GetUid() || o.Hold.GetContinuity() != again.Hold.GetContinuity() {
						t.Fatalf("hold %s is released as %v, and again as %v", placed[id], o.Hold, again.Hold)
					}
				}
			}
			t.expectHolds(h)
		}
	})
}

// Below 8.10 a hard pause over a soft one ruins pause files, whoever holds which: it is refused, and touches nothing.
func TestHardHoldOverSoftHold(t *testing.T) {
	t.Parallel()
	on(t, unplanned(), func(t try) {
		h, route := t.start(embedded.Options{})
		a := route.Pause(t.Context(), place("a", embedded.SoftPaused))
		t.expectSuccess(h, a, embedded.SoftPaused)
		writes := len(h.Cluster.Writes())
		for _, request := range []*exportgatev1.PauseRequest{place("b", embedded.Paused), place("a", embedded.Paused), hard()} {
			t.expect(route.Pause(t.Context(), request), codes.FailedPrecondition, unsafeHard)
		}
		if len(h.Cluster.Writes()) != writes {
			t.Errorf("a refused pause wrote: %+v", h.Cluster.Writes()[writes:])
		}
		t.expectHolds(h, a.Hold)
		t.expectSuccess(h, route.Resume(t.Context(), release("a")), embedded.Exporting)
		t.expectSuccess(h, route.Pause(t.Context(), place("b", embedded.Paused)), embedded.Paused)
	})
}

// Zeebe's own resume knows no names: it ends the anonymous hold, and not what others hold. Force does.
func TestPlainResumeWhileOthersHold(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{})
		anonymous := route.Pause(t.Context(), hard())
		t.expectSuccess(h, anonymous, embedded.Paused)
		backup := route.Pause(t.Context(), place("backup-1", embedded.SoftPaused))
		t.expectSuccess(h, backup, embedded.Paused)
		for range 2 { // There is nothing left to release the second time, and the answer is the same.
			o := route.Resume(t.Context(), resume())
			t.expect(o, codes.FailedPrecondition, heldBy)
			if o.Metadata["holds"] != "backup-1" || !strings.Contains(o.Message, "backup-1") {
				t.Errorf("the hold is not named: %v", o)
			}
			t.awaitQuiet(h, embedded.SoftPaused)
			t.expectHolds(h, backup.Hold)
			ended := t.expectEnded(h, "operator", exportgatev1.HoldEnd_HOLD_END_RELEASED)
			if ended.GetHold().GetUid() != anonymous.Hold.GetUid() {
				t.Errorf("the anonymous hold that ended is %v, want %v", ended, anonymous.Hold)
			}
		}
		again := route.Pause(t.Context(), soft())
		t.expectSuccess(h, again, embedded.SoftPaused)
		t.expectHolds(h, backup.Hold, again.Hold)
		o := route.Resume(t.Context(), force())
		t.expectSuccess(h, o, embedded.Exporting)
		if got, want := names(o.Forced), names([]*exportgatev1.Hold{backup.Hold, again.Hold}); got != want || o.Unrecorded != nil {
			t.Errorf("force ended %s, want %s; unrecorded %v", got, want, o.Unrecorded)
		}
		t.expectEnded(h, "operator", exportgatev1.HoldEnd_HOLD_END_FORCED)
		t.expectEnded(h, "backup-1", exportgatev1.HoldEnd_HOLD_END_FORCED)
		for range 2 { // Whoever made a backup under it learns that it is worth nothing.
			o = route.Resume(t.Context(), release("backup-1"))
			t.expect(o, codes.FailedPrecondition, broken)
			if o.Metadata["hold"] != "backup-1" || !strings.Contains(o.Metadata["evidence"], "force") {
				t.Errorf("the reason is not told: %v", o)
			}
		}
		o = route.Resume(t.Context(), force())
		t.expectSuccess(h, o, embedded.Exporting)
		if o.Forced != nil {
			t.Errorf("with no hold left force ended %v", o.Forced)
		}
	})
}
