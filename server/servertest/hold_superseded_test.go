package servertest_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// A pause that waits is told when its hold is taken from it, and by whom matters not: it undoes nothing of what the later
// call asked for. What happens to other holds is none of its business.
func TestAPauseThatWaits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		act    func(t try, route servertest.Route) servertest.Outcome
		code   codes.Code
		reason string
		left   string         // the hold that lives in the end, with a phase
		shows  embedded.Phase // then
	}{
		{"released", func(t try, route servertest.Route) servertest.Outcome {
			return route.Resume(t.Context(), release("backup-1"))
		}, codes.Aborted, superseded, "", embedded.Exporting},
		{"forced", func(t try, route servertest.Route) servertest.Outcome {
			return route.Resume(t.Context(), force())
		}, codes.Aborted, superseded, "", embedded.Exporting},
		{"replaced", func(t try, route servertest.Route) servertest.Outcome {
			return route.Pause(t.Context(), place("backup-1", embedded.SoftPaused))
		}, codes.Aborted, superseded, "backup-1 PHASE_SOFT_PAUSED", embedded.SoftPaused},
		{"expired", func(t try, route servertest.Route) servertest.Outcome {
			return route.GetStatus(t.Context())
		}, codes.FailedPrecondition, expired, "", embedded.Exporting},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			on(t, []string{"8.9", "8.10"}, func(t try) {
				h, route := t.start(embedded.Options{})
				h.Cluster.Broker(1).SetFaults(embedded.Swallow())
				ttl := time.Hour
				if test.reason == expired {
					ttl = time.Second
				}
				waits := later(func() servertest.Outcome {
					return route.Pause(t.Context(), lasting(place("backup-1", embedded.Paused), ttl))
				})
				t.awaitWrite(h)
				acts := later(func() servertest.Outcome { return test.act(t, h.Route(t, t.otherDoor())) })
				o := <-waits
				t.expect(o, test.code, test.reason)
				if o.Metadata["hold"] != "backup-1" {
					t.Errorf("the hold is not told: %v", o)
				}
				h.Cluster.Broker(1).Clear()
				if o := <-acts; !o.OK() {
					t.Errorf("the later call got %v", o)
				}
				t.awaitQuiet(h, test.shows)
				var left []string
				for _, hold := range t.status(h).GetHolds() {
					left = append(left, hold.GetId()+" "+hold.GetPhase().String())
				}
				if got := strings.Join(left, ", "); got != test.left {
					t.Errorf("in the end these holds live: %s, want %s", got, test.left)
				}
			})
		})
	}
}

// Calls on different holds do not overtake one another: what becomes of the one is nothing to the other, which waits for
// its own.
func TestOtherHoldsDoNotSupersede(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.9", "8.10"}, func(t try) {
		h, route := t.start(embedded.Options{})
		h.Cluster.Broker(1).SetFaults(embedded.Swallow())
		waits := later(func() servertest.Outcome { return route.Pause(t.Context(), place("backup-1", embedded.Paused)) })
		t.awaitWrite(h)
		other := h.Route(t, t.otherDoor())
		alsoWaits := later(func() servertest.Outcome { return other.Pause(t.Context(), place("backup-2", embedded.SoftPaused)) })
		servertest.Await(t, "both holds are placed", func() bool { return len(t.status(h).GetHolds()) == 2 })
		released := later(func() servertest.Outcome { return other.Resume(t.Context(), release("backup-2")) })
		if o := <-alsoWaits; o.Reason != superseded || o.Metadata["hold"] != "backup-2" {
			t.Errorf("the pause whose hold was released got %v", o)
		}
		h.Cluster.Broker(1).Clear()
		t.expectSuccess(h, <-waits, embedded.Paused)
		if o := <-released; !o.OK() || o.Hold.GetId() != "backup-2" || o.Hold.GetContinuity() != exportgatev1.Continuity_CONTINUITY_PENDING {
			t.Errorf("the release got %v with %v", o, o.Hold)
		}
	})
}

// A pause that fails is undone no further than the holds allow that were there before it, and takes nothing from them.
func TestRevertUnderAnotherHold(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.5", "8.10"}, func(t try) {
		h, route := t.start(embedded.Options{}, within("5s"), map[string]string{"zeebe.request-timeout": "4s"})
		first := route.Pause(t.Context(), place("backup-1", embedded.Paused))
		t.expectSuccess(h, first, embedded.Paused)
		for _, b := range h.Cluster.Brokers() { // The second pause takes long enough for broker 1 to stop in its middle.
			b.SetFaults(embedded.OnReads(embedded.Slow(300 * time.Millisecond)))
		}
		watch := h.Watch(t, servertest.Stream, "")
		fails := later(func() servertest.Outcome { return route.Pause(t.Context(), place("backup-2", embedded.Paused)) })
		t.awaitMessage(watch, func(m *exportgatev1.WatchStatusResponse) bool { return len(m.GetStatus().GetHolds()) == 2 })
		h.Cluster.Broker(1).Stop()
		t.expectNotSettled(<-fails, "1")
		if !h.AllIn(embedded.Paused) {
			t.Errorf("replicas were resumed under the first hold: %+v", h.Astray(embedded.Paused))
		}
		t.heal(h)
		t.awaitQuiet(h, embedded.Paused)
		t.expectHolds(h, first.Hold)
		t.expectEnded(h, "backup-2", exportgatev1.HoldEnd_HOLD_END_WITHDRAWN)
		o := route.Resume(t.Context(), release("backup-1"))
		t.expectSuccess(h, o, embedded.Exporting)
	})
}

// And where it asked for more than they do, it is undone as far as they do.
func TestRevertToAnotherHold(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.10"}, func(t try) {
		h, route := t.start(embedded.Options{}, within("5s"))
		first := route.Pause(t.Context(), place("backup-1", embedded.SoftPaused))
		t.expectSuccess(h, first, embedded.SoftPaused)
		h.Cluster.Broker(1).SetFaults(embedded.Swallow())
		t.expectNotSettled(route.Pause(t.Context(), place("backup-2", embedded.Paused)), "1")
		t.heal(h)
		t.awaitQuiet(h, embedded.SoftPaused)
		t.expectHolds(h, first.Hold)
		o := route.Resume(t.Context(), release("backup-1"))
		t.expectSuccess(h, o, embedded.Exporting)
		if o.Hold.GetContinuity() != exportgatev1.Continuity_CONTINUITY_INTACT {
			t.Errorf("the first hold is released as %v", o.Hold)
		}
	})
}
