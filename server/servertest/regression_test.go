package servertest_test

import (
	"net/http"
	"testing"

	"github.com/exportgate/exportgate/server/internal/embedded"
)

// A broker of 8.10 that answers 404 for a moment must not count as older for good.
func TestABrokerThatWasNotFoundForAMoment(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.10"}, func(t try) {
		h, route := t.start(embedded.Options{}, within("5s"))
		h.Cluster.Broker(1).SetFaults(embedded.Status(http.StatusNotFound))
		t.expectIncomplete(route.Pause(t.Context(), hard()), "1")
		t.heal(h)
		t.expectSuccess(h, t.untilAvailable(route, soft()), embedded.SoftPaused)
	})
}

// An upgrade that passes without a silence that anybody notices must not leave brokers counted as older for good.
func TestAnUpgradeThatNobodyNoticed(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.9"}, func(t try) {
		h, route := t.start(embedded.Options{}, within("5s"))
		t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
		t.upgrade(h, 1)
		for _, id := range []int{0, 2} {
			b := h.Cluster.Broker(id)
			b.Stop()
			if err := b.SetVersion("8.10"); err != nil {
				t.Fatal(err)
			}
			t.startBroker(b)
		}
		t.expectSuccess(h, t.untilAvailable(route, soft()), embedded.SoftPaused)
	})
}

// From 8.10 on a broker that can be read, and does not take changes, must not keep the cluster from being resumed: any other
// takes them.
func TestAnotherBrokerTakesTheChange(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]embedded.Fault{
		"hang": embedded.Hang(), "500": embedded.Status(500), "404": embedded.Status(404), "html": embedded.HTML(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on(t, []string{"8.10"}, func(t try) {
				h, route := t.start(embedded.Options{}, within("10s"))
				t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
				h.Cluster.Broker(0).SetFaults(embedded.OnWrites(fault))
				t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
			})
		})
	}
}

// A soft pause that a broker below 8.10 swallowed must not count as on its way for ever: a revert to a hard pause ends.
func TestALostSoftPauseIsForgotten(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.5", "8.9"}, func(t try) { leavesAnEarlierHold(t, embedded.Swallow()) })
}

// A soft write that was repeated because it failed must not forbid a hard pause after a resume that was confirmed.
func TestHardAfterRetriedSoft(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.5", "8.9"}, func(t try) {
		h, route := t.start(embedded.Options{})
		h.Cluster.Broker(1).SetFaults(embedded.OnWrites(embedded.First(1, embedded.Status(http.StatusBadGateway))))
		t.expectSuccess(h, route.Pause(t.Context(), soft()), embedded.SoftPaused)
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
		t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
	})
}
