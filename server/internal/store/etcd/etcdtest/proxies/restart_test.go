package proxies

import (
	"sync/atomic"
	"testing"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
)

// Servers are upgraded one after another, and die, while a hold lives: no replica leaves its phase for a moment.
func TestRestarts(t *testing.T) {
	t.Parallel()
	var watched atomic.Bool
	changes := make(chan embedded.Replica, 1000)
	f := assemble(t, options{brokers: embedded.Options{OnPhase: func(now embedded.Replica, _ embedded.Phase) {
		if watched.Load() {
			changes <- now
		}
	}}})
	placed := f.ok(f.proxies[0].pause("backup"))
	f.settles(embedded.SoftPaused, f.proxies, "backup")
	watched.Store(true)
	for _, p := range f.proxies {
		must(t, p.stop())
		must(t, p.start())
	}
	first := f.driver(f.proxies...)
	first.kill()
	f.driver(f.others(first)...)
	must(t, first.start())
	f.settles(embedded.SoftPaused, f.proxies, "backup")
	watched.Store(false)
	if len(changes) > 0 {
		t.Errorf("%d replicas changed, the first is now %+v", len(changes), <-changes)
	}
	released := f.ok(first.resume("backup")).Hold
	if released.GetUid() != placed.Hold.GetUid() || released.GetContinuity() != exportgatev1.Continuity_CONTINUITY_INTACT {
		t.Errorf("released %v, placed %v", released, placed.Hold)
	}
	f.settles(embedded.Exporting, f.proxies)
}
