package reconcile_test

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// inGuardedFleet is inFleet with servers that end pauses where less than 10% of a disk is free.
func inGuardedFleet(t *testing.T, test func(*fleet)) {
	t.Helper()
	inFleetWith(t, func(c *exportingtest.Cluster, o *reconcile.Options) { guards(c, true)(o) }, test)
}

// inFleetWith is inFleet with servers whose options are changed.
func inFleetWith(t *testing.T, change func(*exportingtest.Cluster, *reconcile.Options), test func(*fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{office: &office{changed: make(chan struct{})}, t: t, cluster: exportingtest.New(3, 3)}
		store := hold.NewMemory()
		serve := func(name string) *proxy {
			p := &proxy{brokers: &lens{Cluster: f.cluster}, store: &link{Memory: store}}
			p.rig = runOn(t, f.cluster, p.brokers, p.store, func(o *reconcile.Options) {
				o.Election = candidate{f.office, name}
				change(f.cluster, o)
			})
			return p
		}
		f.elect("a")
		f.a, f.b = serve("a"), serve("b")
		defer f.a.end()
		defer f.b.end()
		wait(time.Second)
		test(f)
	})
}

// Of several servers each measures, and the one in office acts.
func TestGuardInAFleet(t *testing.T) {
	inGuardedFleet(t, func(f *fleet) {
		t := f.t
		f.b.hold(t, "backup", hard)
		f.cluster.SetFree(1, 3)
		wait(over)
		f.b.show(t, exports)
		f.a.holds(t)
		f.a.says(t, 1, "the disk guard resumes exporting")
		f.b.says(t, 0, "the disk guard resumes exporting")
		f.b.says(t, 1, "was ended by the disk guard")
		f.b.says(t, 1, "too little disk is free")
		if f.b.brokers.writes.Load() != 0 {
			t.Errorf("%d writes", f.b.brokers.writes.Load())
		}
	})
}

// With the store of all nobody is in office, and the disks run full all the same: then whoever sees that acts, later than
// one in office would have.
func TestGuardWhereNobodyDrives(t *testing.T) {
	inGuardedFleet(t, func(f *fleet) {
		t := f.t
		f.a.hold(t, "backup", hard)
		wait(time.Second)
		f.elect("")
		f.a.store.cut.Store(true)
		f.b.store.cut.Store(true)
		wait(20 * time.Second)
		f.cluster.SetFree(1, 3)
		wait(over)
		f.b.show(t, hard) // Another may be in office: it would have done it by now.
		wait(30 * time.Second)
		f.b.show(t, exports)
		f.b.store.cut.Store(false)
		f.a.store.cut.Store(false)
		f.elect("a")
		wait(30 * time.Second)
		f.a.show(t, exports)
		f.a.holds(t)
		f.b.holds(t)
		state, _ := f.a.ledger.State()
		if len(state.History) != 1 || state.History[0].How != hold.Guarded || state.Undo != nil {
			t.Errorf("state %+v", state)
		}
	})
}

// What nobody can measure any more ends nothing, however long it was low before.
func TestGuardWhereNobodyDrivesOrMeasures(t *testing.T) {
	inGuardedFleet(t, func(f *fleet) {
		t := f.t
		f.a.hold(t, "backup", hard)
		f.elect("")
		f.a.store.cut.Store(true)
		f.b.store.cut.Store(true)
		wait(20 * time.Second)
		f.cluster.SetFree(1, 3)
		wait(over)
		f.cluster.SetFree(1, -1)
		wait(5 * time.Minute)
		f.b.show(t, hard)
		f.b.says(t, 1, "a disk cannot be measured")
		f.b.says(t, 0, "the disk guard resumes exporting")
	})
}

// A server that is cut off from the store alone leaves it to the one in office, whose pause it sees end.
func TestGuardOfAServerThatIsCutOff(t *testing.T) {
	inGuardedFleet(t, func(f *fleet) {
		t := f.t
		f.a.hold(t, "backup", hard)
		f.b.store.cut.Store(true)
		wait(20 * time.Second)
		f.cluster.SetFree(1, 3)
		wait(time.Minute)
		f.a.show(t, exports)
		f.b.says(t, 0, "the disk guard resumes exporting")
		if f.b.brokers.writes.Load() != 0 || f.b.ledger.Forced() {
			t.Errorf("%d writes, forced %v", f.b.brokers.writes.Load(), f.b.ledger.Forced())
		}
	})
}

// Two servers, calls at both, an office that moves and disks that fill and empty: in the end a full disk ends every pause,
// and one with room none.
func TestGuardAtRandom(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 2))
			inGuardedFleet(t, func(f *fleet) {
				t := f.t
				f.cluster.Delay = time.Duration(random.Int64N(int64(2 * time.Second)))
				var calls sync.WaitGroup
				for range 30 {
					p := [...]*proxy{f.a, f.b}[random.IntN(2)]
					id := [...]string{"x", "y", hold.Operator}[random.IntN(3)]
					switch random.IntN(6) {
					case 0, 1:
						calls.Go(func() { _, _ = p.Pause(t.Context(), reconcile.PauseRequest{Hold: id, Phase: hard, Owner: "test"}) })
					case 2:
						calls.Go(func() { _, _ = p.release(t, id) })
					case 3:
						f.elect([...]string{"a", "b", ""}[random.IntN(3)])
					default:
						f.cluster.SetFree(random.IntN(3), [...]float64{-1, 3, 50}[random.IntN(3)])
					}
					wait(time.Duration(random.Int64N(int64(4 * time.Second))))
				}
				f.elect("b")
				for i := range 3 {
					f.cluster.SetFree(i, 50)
				}
				calls.Wait()
				f.b.hold(t, "z", hard)
				wait(time.Minute)
				f.a.show(t, hard)
				f.cluster.SetFree(random.IntN(3), 3)
				wait(time.Minute)
				f.a.show(t, exports)
				f.a.holds(t)
				state, _ := f.b.ledger.State()
				if last, _ := state.Last("z"); last.How != hold.Guarded || state.Undo != nil {
					t.Errorf("ended %+v, undo %+v", last, state.Undo)
				}
				for _, p := range []*proxy{f.a, f.b} {
					if s := p.status(t); !s.Settled || s.Foreign {
						t.Errorf("status %+v", s)
					}
				}
			})
		})
	}
}
