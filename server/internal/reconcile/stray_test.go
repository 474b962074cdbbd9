package reconcile_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// frozen is the brokers as a server sees them that stands still with a request in its hands, until it is thawed.
type frozen struct {
	*exportingtest.Cluster

	once atomic.Bool
	thaw chan struct{}
}

func (f *frozen) Write(_ context.Context, l exporting.Lever, p exporting.Phase) error {
	if l.ID == "0" && f.once.CompareAndSwap(false, true) {
		<-f.thaw
	}
	return f.Cluster.Write(context.Background(), l, p) // A server that stands still looks at no deadline.
}

// A server that stood still lets a pause through long after its term, when nobody reckons with it and no hold asks for it.
// It sees to it that it does not stay.
func TestAPauseAfterTheTermDoesNotStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, store := exportingtest.New(3, 3), hold.NewMemory()
		old := &frozen{Cluster: cluster, thaw: make(chan struct{})}
		o := &office{changed: make(chan struct{}), lease: 10 * time.Second}
		o.elect("a")
		a := runOn(t, cluster, old, store, func(opts *reconcile.Options) { opts.Election = candidate{o, "a"} })
		defer a.end()
		b := runOn(t, cluster, cluster, store, func(opts *reconcile.Options) { opts.Election = candidate{o, "b"} })
		defer b.end()
		wait(time.Second)
		paused := a.pauseLater(hard, reconcile.Keep)
		wait(2 * time.Second)
		o.elect("b")
		if err := <-paused; err != nil {
			t.Logf("the caller of the server that stands still: %v", err)
		}
		b.show(t, hard)
		if _, err := b.release(t, ""); err != nil {
			t.Errorf("resume: %v", err)
		}
		wait(time.Minute)
		close(old.thaw)
		wait(20 * time.Second)
		b.show(t, exports)
		if state, _ := b.ledger.State(); state.Undo != nil || len(state.Holds) != 0 {
			t.Errorf("state %+v", state)
		}
	})
}
