package reconcile_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// busy is a cluster to which records come all the time: broker 0 leads the only partition, the others follow.
func busy() *exportingtest.Cluster {
	c := exportingtest.New(3, 1)
	c.Rate = 10
	return c
}

// inBusy runs a test over a busy cluster, which has to be made in the bubble because its time is the bubble's.
func inBusy(t *testing.T, test func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := run(t, busy())
		defer r.end()
		test(r)
	})
}

// What a hold is worth when it is released, after what happened under it.
func TestContinuity(t *testing.T) {
	tests := map[string]struct {
		phase  exporting.Phase
		during func(*rig)
		want   hold.Continuity
		event  string
	}{
		"a soft hold, a moment long": {soft, func(*rig) {}, hold.Intact, ""},
		"a soft hold, whose followers rise to their leader": {
			soft, func(*rig) { wait(time.Minute) }, hold.Intact, "",
		},
		"a hard hold, before its exporters have flushed": {hard, func(*rig) {}, hold.Pending, ""},
		"a hard hold, whose exporters flush late":        {hard, func(*rig) { wait(time.Minute) }, hold.Intact, ""},
		"a soft hold, whose leader changes": {
			soft, func(r *rig) { r.cluster.SetLeader(0, 1); wait(time.Minute) }, hold.Intact, "is led by broker 1 now",
		},
		"a hard hold, whose leader changes": {
			hard, func(r *rig) { wait(20 * time.Second); r.cluster.SetLeader(0, 1); wait(time.Minute) }, hold.Intact, "",
		},
		"a hard hold, whose leader changes before its exporters have flushed": {
			hard, func(r *rig) { wait(time.Second); r.cluster.SetLeader(0, 1); wait(time.Minute) }, hold.Intact, "",
		},
		"a follower with an empty disk": {
			hard, func(r *rig) { wait(20 * time.Second); r.cluster.SetPhase(1, exports); wait(time.Minute) }, hold.Intact,
			"a follower, read EXPORTING",
		},
		"a leader with an empty disk": {
			hard, func(r *rig) { wait(20 * time.Second); r.cluster.SetPhase(0, exports); wait(time.Minute) }, hold.Broken,
			"the leader read EXPORTING",
		},
		"a leader with an empty disk, under a soft hold": {
			soft, func(r *rig) { r.cluster.SetPhase(0, exports); wait(time.Minute) }, hold.Broken, "is broken",
		},
		"a leader that was softened": {
			hard, func(r *rig) { wait(20 * time.Second); r.cluster.SetPhase(0, soft); wait(10 * time.Second) }, hold.Broken,
			"the leader read SOFT_PAUSED",
		},
		"a leader that exported between two reads": {
			soft, func(r *rig) {
				wait(20 * time.Second)
				r.cluster.SetPhase(0, exports)
				wait(time.Millisecond)
				r.cluster.SetPhase(0, soft)
				wait(time.Minute)
			}, hold.Broken, "passed the baseline",
		},
		"a follower that is away": {
			hard, func(r *rig) { wait(20 * time.Second); r.cluster.SetFault(1, exportingtest.Down); wait(time.Minute) }, hold.Intact,
			"broker 1 cannot be read",
		},
		"a leader that was away": {
			hard, func(r *rig) {
				wait(20 * time.Second)
				r.cluster.SetFault(0, exportingtest.Down)
				wait(time.Minute)
				r.cluster.SetFault(0, exportingtest.Healthy)
				wait(20 * time.Second)
			}, hold.Intact, "broker 0 cannot be read",
		},
		"a leader that is away": {
			hard, func(r *rig) { wait(20 * time.Second); r.cluster.SetFault(0, exportingtest.Down); wait(time.Minute) }, hold.Unknown, "",
		},
		"a leader that is away, before its exporters have flushed": {
			hard, func(r *rig) { r.cluster.SetFault(0, exportingtest.Down); wait(time.Minute) }, hold.Unknown, "",
		},
		"a leader that hangs": {
			hard, func(r *rig) { wait(20 * time.Second); r.cluster.SetFault(0, exportingtest.Hanging) }, hold.Unknown, "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inBusy(t, func(r *rig) {
				t := r.t
				wait(time.Minute)
				r.hold(t, "a", test.phase)
				test.during(r)
				if told := r.told(t); !strings.Contains(told, test.event) {
					t.Errorf("the events say nothing of %q:\n%s", test.event, told)
				}
				h := r.live(t, "a")
				if got := r.status(t).Continuity(&h); got != test.want {
					t.Errorf("the status says %v, want %v", got, test.want)
				}
				for range 2 { // The answer is repeated, from history.
					r.released(t, test.want)
				}
				for i := range 3 {
					r.cluster.SetFault(i, exportingtest.Healthy)
				}
				wait(20 * time.Second)
				r.show(t, exports)
				if r.released(t, test.want); !r.status(t).Settled {
					t.Errorf("not settled: %v", r.status(t).Unsettled)
				}
			})
		})
	}
}

// released releases hold a, and fails the test unless the answer says that it was worth that.
func (r *rig) released(t *testing.T, want hold.Continuity) {
	t.Helper()
	result, err := r.release(t, "a")
	broken, is := errors.AsType[*reconcile.HoldBrokenError](err)
	unsettled, late := errors.AsType[*reconcile.NotSettledError](err)
	switch {
	case late && unsettled.Outcome == reconcile.OutcomeResuming && !r.status(t).Settled: // A broker is away.
	case want == hold.Broken || want == hold.Unknown:
		if !is || broken.Continuity != want || len(broken.Evidence) == 0 {
			t.Errorf("released with error %v, want %v", err, want)
		}
	case err != nil || result.Verdict != want:
		t.Errorf("released as %v with error %v, want %v", result.Verdict, err, want)
	}
}

// A hard hold is PENDING until the positions have stood still for long enough, and INTACT soon after; its baseline is what
// the exporters flushed last.
func TestPendingEndsWithTheDrain(t *testing.T) {
	inBusy(t, func(r *rig) {
		t := r.t
		wait(time.Minute)
		r.hold(t, "a", hard)
		verdict := func() hold.Continuity { h := r.live(t, "a"); return h.Record.Verdict() }
		for began := time.Now(); verdict() == hold.Pending; wait(100 * time.Millisecond) {
			if time.Since(began) > 20*time.Second {
				t.Fatal("it is still pending")
			}
		}
		h := r.live(t, "a")
		if after := time.Since(h.Settled); verdict() != hold.Intact || after < 6*time.Second || after > 18*time.Second {
			t.Errorf("%v after %v", verdict(), after)
		}
		if got, want := h.Record.Baselines[0].Position, r.cluster.Stored()[0]; got != want {
			t.Errorf("baseline %d, want %d", got, want)
		}
	})
}

// The baseline is the highest position that any replica shows, not the leader's.
func TestBaselineIsTheHighest(t *testing.T) {
	for phase, after := range map[exporting.Phase]time.Duration{soft: 0, hard: time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			c := exportingtest.New(3, 1)
			var leader int64 = 100
			brokers := &lens{Cluster: c, reading: func(id exporting.BrokerID, r *exporting.Reading) {
				r.Exported = exporting.At(map[exporting.BrokerID]int64{"0": leader, "1": 500, "2": 90}[id])
			}}
			r := runOn(t, c, brokers, hold.NewMemory(), nil)
			defer r.end()
			r.hold(t, "a", phase)
			wait(after)
			h := r.live(t, "a")
			if len(h.Record.Baselines) != 1 || h.Record.Baselines[0].Position != 500 || h.Record.Verdict() != hold.Intact {
				t.Errorf("record %+v", h.Record)
			}
		})
	}
}

// Where the leader tells no position its followers' copies, which lag, are no baseline; where nobody tells, the phases
// alone count.
func TestBaselineWithoutPositions(t *testing.T) {
	for _, phase := range []exporting.Phase{soft, hard} {
		synctest.Test(t, func(t *testing.T) {
			c := busy()
			var told atomic.Bool
			brokers := &lens{Cluster: c, reading: func(id exporting.BrokerID, r *exporting.Reading) {
				if id == "0" && !told.Load() {
					r.Exported = exporting.Position{}
				}
			}}
			r := runOn(t, c, brokers, hold.NewMemory(), nil)
			defer r.end()
			wait(time.Minute)
			r.hold(t, "a", phase)
			wait(time.Minute)
			if h := r.live(t, "a"); h.Record.Verdict() != hold.Pending {
				t.Errorf("%v without the leader's position", h.Record.Verdict())
			}
			told.Store(true)
			wait(time.Minute)
			if h := r.live(t, "a"); h.Record.Verdict() != hold.Intact {
				t.Errorf("%v with the leader's position", h.Record.Verdict())
			}
		})
		synctest.Test(t, func(t *testing.T) {
			c := busy()
			brokers := &lens{Cluster: c, reading: func(_ exporting.BrokerID, r *exporting.Reading) { r.Exported = exporting.Position{} }}
			r := runOn(t, c, brokers, hold.NewMemory(), nil)
			defer r.end()
			r.hold(t, "a", phase)
			wait(time.Minute)
			if h := r.live(t, "a"); h.Record.Verdict() != hold.Intact {
				t.Errorf("%v where nobody tells positions", h.Record.Verdict())
			}
			c.SetPhase(0, exports)
			wait(20 * time.Second)
			if h := r.live(t, "a"); h.Record.Verdict() != hold.Broken {
				t.Errorf("%v, although the leader exported", h.Record.Verdict())
			}
		})
	}
}

// Without exporters there is nothing to wait for.
func TestBaselineWithoutExporters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := exportingtest.New(3, 3)
		brokers := &lens{Cluster: c, reading: func(_ exporting.BrokerID, r *exporting.Reading) {
			r.Phase, r.Exported, r.NoExporters = exporting.PhaseClosed, exporting.At(-1), true
		}}
		r := runOn(t, c, brokers, hold.NewMemory(), nil)
		defer r.end()
		if h := r.hold(t, "a", hard); h.Record.Verdict() != hold.Intact {
			t.Errorf("record %+v", h.Record)
		}
	})
}

// A soft hold may settle over replicas that another keeps PAUSED. What is still being flushed for that one is no breach,
// and neither is that they are softened when it goes.
func TestSoftHoldOverAHardOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := busy()
		c.Planned = true
		r := run(t, c)
		defer r.end()
		wait(time.Minute)
		r.hold(t, "b", hard)
		if h := r.hold(t, "a", soft); h.Record.Verdict() != hold.Pending {
			t.Errorf("record %+v", h.Record)
		}
		r.show(t, hard)
		wait(20 * time.Second)
		if result, err := r.release(t, "b"); err != nil || result.Verdict != hold.Intact {
			t.Errorf("released b as %v with error %v", result.Verdict, err)
		}
		r.show(t, soft)
		wait(time.Minute)
		r.released(t, hold.Intact)
	})
}

// A server that begins keeps the verdicts of the one before, and finds by its baselines what happened meanwhile.
func TestContinuityAcrossARestart(t *testing.T) {
	tests := map[string]struct {
		before, meanwhile func(*exportingtest.Cluster)
		want              hold.Continuity
	}{
		"nothing happens": {want: hold.Intact},
		"broken before":   {before: func(c *exportingtest.Cluster) { c.SetPhase(0, exports) }, want: hold.Broken},
		"exported meanwhile, and paused again": {meanwhile: func(c *exportingtest.Cluster) {
			c.SetPhase(0, exports)
			wait(10 * time.Second)
			c.SetPhase(0, soft)
		}, want: hold.Broken},
		"exports meanwhile":            {meanwhile: func(c *exportingtest.Cluster) { c.SetPhase(0, exports) }, want: hold.Broken},
		"led by another meanwhile":     {meanwhile: func(c *exportingtest.Cluster) { c.SetLeader(0, 2) }, want: hold.Intact},
		"a follower exports meanwhile": {meanwhile: func(c *exportingtest.Cluster) { c.SetPhase(2, exports) }, want: hold.Intact},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, store := busy(), hold.NewMemory()
				first := runOn(t, c, c, store, nil)
				wait(time.Minute)
				first.hold(t, "a", soft)
				if test.before != nil {
					test.before(c)
				}
				wait(20 * time.Second)
				first.end()
				if test.meanwhile != nil {
					test.meanwhile(c)
				}
				wait(10 * time.Second)
				second := runOn(t, c, c, store, nil)
				defer second.end()
				wait(time.Minute)
				second.show(t, soft)
				second.released(t, test.want)
			})
		})
	}
}

// A hold that is broken, and whose positions go on rising, is not written again and again.
func TestABrokenHoldIsWrittenOnce(t *testing.T) {
	inBusy(t, func(r *rig) {
		t := r.t
		r.hold(t, "a", hard)
		wait(20 * time.Second)
		r.cluster.SetFault(0, exportingtest.Swallow)
		r.cluster.SetPhase(0, exports)
		wait(20 * time.Second)
		state, _ := r.ledger.State()
		wait(time.Minute)
		if later, _ := r.ledger.State(); !state.Holds[0].Record.Broken || later.Revision != state.Revision {
			t.Errorf("revision %d, then %d; record %+v", state.Revision, later.Revision, state.Holds[0].Record)
		}
	})
}
