package reconcile_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// notes is an observer that keeps what it is told.
type notes struct {
	mu     sync.Mutex
	events []reconcile.Event
	passes int
}

func (n *notes) Event(e reconcile.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, e)
}

func (n *notes) Passed(time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.passes++
}

// An observer is told, beside the words, how long a hold took to settle and how it ended.
func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := new(notes)
		c := exportingtest.New(3, 2)
		r := runOn(t, c, c, hold.NewMemory(), func(o *reconcile.Options) { o.Observer = told })
		defer r.end()
		wait(time.Second)
		h := r.hold(t, "backup", hard)
		if _, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "short", Phase: soft, TTL: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		wait(20 * time.Second)
		if _, err := r.release(t, "backup"); err != nil {
			t.Fatal(err)
		}
		r.end() // It is told nothing any more.
		took, ends := time.Duration(0), map[string]hold.End{}
		for _, e := range told.events {
			if e.Kind == reconcile.EventHoldSettled && e.Hold == h.ID {
				took = e.Took
			}
			if e.Kind == reconcile.EventHoldEnded {
				ends[e.Hold] = e.End
			}
		}
		live := h.Settled.Sub(h.Created)
		if took <= 0 || took != live {
			t.Errorf("settled after %v, and the ledger says %v", took, live)
		}
		if ends["backup"] != hold.Released || ends["short"] != hold.Expired || len(ends) != 2 {
			t.Errorf("ended: %v", ends)
		}
		if told.passes < 4 {
			t.Errorf("%d passes in 20 s", told.passes)
		}
	})
}
