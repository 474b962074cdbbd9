package reconcile_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// guards is an option: at least 10% must be free.
func guards(c *exportingtest.Cluster, release bool) func(*reconcile.Options) {
	return func(o *reconcile.Options) {
		o.Guard = reconcile.Guard{Disks: c, MinFree: reconcile.MinFree{Percent: 10}, Release: release}
	}
}

// underGuard runs a test with three brokers whose disks are guarded.
func underGuard(t *testing.T, release bool, test func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := exportingtest.New(3, 2)
		r := runOn(t, c, c, hold.NewMemory(), guards(c, release))
		defer r.end()
		wait(time.Second)
		test(r)
	})
}

// says fails the test unless the events say so, a number of times.
func (r *rig) says(t *testing.T, times int, words string) {
	t.Helper()
	if told := r.told(t); strings.Count(told, words) != times {
		t.Errorf("events say %q %d times, want %d:\n%s", words, strings.Count(told, words), times, told)
	}
}

// over is two intervals and a little more: whatever two measurements bring about has happened then.
const over = 13 * time.Second

func TestGuardReleases(t *testing.T) {
	underGuard(t, true, func(r *rig) {
		t := r.t
		r.hold(t, "backup", soft)
		r.hold(t, "", soft)
		wait(time.Minute)
		r.cluster.SetFree(1, 3)
		wait(over)
		r.show(t, exports)
		r.holds(t)
		state, _ := r.ledger.State()
		if len(state.History) != 2 || state.Undo != nil {
			t.Fatalf("state %+v", state)
		}
		const why = "broker 1 has 3.0 GiB of 100.0 GiB free (3%); exporting.guard.min-free-disk is 10%"
		for _, e := range state.History {
			if e.How != hold.Guarded || e.By != why || e.Continuity != hold.Broken {
				t.Errorf("ended %+v", e)
			}
		}
		r.says(t, 1, "too little disk is free: "+why)
		r.says(t, 1, "the disk guard resumes exporting")
		r.says(t, 1, "hold backup (SOFT_PAUSED) was ended by the disk guard: "+why+", its continuity is BROKEN")

		// Whoever did something under it learns that it is worth nothing, as often as it is asked.
		for range 2 {
			_, err := r.release(t, "backup")
			var broken *reconcile.HoldBrokenError
			if !errors.As(err, &broken) || len(broken.Evidence) != 1 || strings.Count(err.Error(), why) != 1 {
				t.Errorf("release: %v", err)
			}
		}
		if _, err := r.release(t, ""); err != nil {
			t.Errorf("resume: %v", err)
		}
		// Where a little is freed the next pause would end like this one.
		r.cluster.SetFree(1, 10.5)
		wait(time.Minute)
		if _, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "again", Phase: soft}); !is[*reconcile.DiskLowError](err) {
			t.Errorf("pause: %v", err)
		}
		r.cluster.SetFree(1, 11.5)
		r.hold(t, "again", soft)
	})
}

// Only to warn is told once a pause, and again in the next one.
func TestGuardWarns(t *testing.T) {
	underGuard(t, false, func(r *rig) {
		t := r.t
		r.cluster.SetFree(2, 9)
		for pauses := 1; pauses <= 2; pauses++ {
			r.hold(t, "backup", hard)
			wait(time.Minute)
			r.show(t, hard)
			r.says(t, pauses, "too little disk is free: broker 2 has 9.0 GiB of 100.0 GiB free (9%); exporting.guard.min-free-disk is 10%")
			if warnings := strings.Join(r.status(t).Warnings, "\n"); !strings.Contains(warnings, "too little disk is free: broker 2") {
				t.Errorf("warnings %q", warnings)
			}
			if _, err := r.release(t, "backup"); err != nil {
				t.Fatal(err)
			}
			wait(time.Minute)
			if warnings := r.status(t).Warnings; len(warnings) != 0 || len(r.Disks()) != 0 {
				t.Errorf("warnings %q, disks %v", warnings, r.Disks())
			}
		}
	})
}

// A disk at the least itself is told once: it has room again when a tenth more is free.
func TestGuardDoesNotFlap(t *testing.T) {
	underGuard(t, false, func(r *rig) {
		t := r.t
		r.hold(t, "backup", hard)
		for range 5 {
			r.cluster.SetFree(0, 9.9)
			wait(over)
			r.cluster.SetFree(0, 10.9)
			wait(over)
		}
		r.says(t, 1, "too little disk is free")
		r.says(t, 0, "enough disk is free again")
		if disks := r.Disks(); len(disks) != 3 || !disks[0].Low || disks[1].Low {
			t.Errorf("disks %+v", disks)
		}
		r.cluster.SetFree(0, 11.1)
		wait(over)
		r.says(t, 1, "enough disk is free again: broker 0 has 11.1 GiB of 100.0 GiB free (11.1%)")
		if disks := r.Disks(); disks[0].Low || disks[0].Err != nil || disks[0].Disk.Total != 100<<30 {
			t.Errorf("disks %+v", disks)
		}
	})
}

// One odd reading ends nobody's backup, and neither do two with a better one, or the end of the last pause, between them.
func TestGuardMeasuresTwice(t *testing.T) {
	underGuard(t, true, func(r *rig) {
		t := r.t
		r.hold(t, "backup", hard)
		measured := func() { // once more
			before, began := r.cluster.Measured(), time.Now()
			for r.cluster.Measured() < before+3 {
				if wait(100 * time.Millisecond); time.Since(began) > time.Minute {
					t.Fatal("disks are not measured any more")
				}
			}
		}
		for range 10 {
			r.cluster.SetFree(1, 1)
			measured()
			r.cluster.SetFree(1, 50)
			measured()
		}
		r.show(t, hard)
		r.holds(t, "backup")
		r.cluster.SetFree(1, 1)
		measured()
		r.cluster.SetFree(1, 50) // Also one that was made because somebody wanted to pause.
		r.hold(t, "another", hard)
		r.cluster.SetFree(1, 1)
		measured()
		wait(3 * time.Second)
		r.holds(t, "another", "backup")
		r.cluster.SetFree(1, 50)
		measured()
		r.cluster.SetFree(1, 1)
		measured()
		r.cluster.SetFree(1, -1) // What is not measured in between does not count.
		measured()
		measured()
		r.holds(t, "another", "backup")
		r.cluster.SetFree(1, 1)
		measured()
		wait(3 * time.Second)
		r.holds(t)
		r.show(t, exports)
	})
}

// One request that fails is no news.
func TestGuardThatCannotMeasureOnce(t *testing.T) {
	underGuard(t, false, func(r *rig) {
		t := r.t
		r.hold(t, "backup", hard)
		for range 5 {
			for before := len(r.Disks()); before == 0 || r.Disks()[0].Err != nil; before = len(r.Disks()) {
				wait(100 * time.Millisecond)
			}
			r.cluster.SetFree(0, -1)
			for r.Disks()[0].Err == nil {
				wait(100 * time.Millisecond)
			}
			r.cluster.SetFree(0, 50)
		}
		r.says(t, 0, "a disk cannot be measured")
		r.says(t, 0, "a disk can be measured again")
	})
}

// A disk that cannot be measured is told, once for as long as it lasts, and ends nothing.
func TestGuardThatCannotMeasure(t *testing.T) {
	underGuard(t, true, func(r *rig) {
		t := r.t
		r.cluster.SetFree(0, -1)
		r.hold(t, "backup", hard)
		wait(time.Minute)
		r.says(t, 1, "a disk cannot be measured, so that nobody notices when it runs full while exporting is paused: broker 0: it does not tell of its disk")
		r.holds(t, "backup")
		if warnings := strings.Join(r.status(t).Warnings, "\n"); !strings.Contains(warnings, "a disk cannot be measured") {
			t.Errorf("warnings %q", warnings)
		}
		if disks := r.Disks(); len(disks) != 3 || disks[0].Err == nil || disks[0].Low || disks[1].Err != nil {
			t.Errorf("disks %+v", disks)
		}
		r.cluster.SetFree(0, 50)
		wait(over)
		r.says(t, 1, "a disk can be measured again: broker 0 has 50.0 GiB")
		r.cluster.SetFault(2, exportingtest.Hanging) // The others are measured all the same.
		r.cluster.SetFree(0, 2)
		wait(2 * over)
		r.holds(t)
	})
}

// No pause is placed that would soon be ended again: nothing was touched. What lives already is renewed.
// A disk that cannot be measured, or not in time, refuses nothing.
// A call whose hold the guard ends is told so, and not that a later call changed it.
func TestGuardDuringAPause(t *testing.T) {
	underGuard(t, true, func(r *rig) {
		t := r.t
		r.cluster.SetFault(2, exportingtest.Swallow)
		paused := r.pauseLater(hard, reconcile.Keep)
		wait(2 * time.Second)
		r.cluster.SetFree(0, 1)
		wait(over)
		if err := <-paused; !is[*reconcile.HoldBrokenError](err) || !strings.Contains(err.Error(), "ended by the disk guard") {
			t.Errorf("pause: %v", err)
		}
		r.show(t, exports)
	})
}

// Pauses that nobody holds fill disks too.
func TestGuardEndsForeignPauses(t *testing.T) {
	underGuard(t, true, func(r *rig) {
		t := r.t
		r.cluster.SetPhase(1, soft) // One replica is enough.
		wait(over)
		r.show(t, exports, soft, exports)
		r.cluster.SetFree(0, 4)
		wait(over)
		r.show(t, exports)
		r.says(t, 1, "the disk guard resumes exporting")
		wait(time.Minute)
		if state, _ := r.ledger.State(); state.Undo != nil || len(state.History) != 0 {
			t.Errorf("state %+v", state)
		}
	})
}

// A broker that cannot follow keeps the resume from being proven, and the guard from nothing else: it resumes once.
func TestGuardResumesOnce(t *testing.T) {
	underGuard(t, true, func(r *rig) {
		t := r.t
		r.hold(t, "backup", hard)
		r.cluster.SetFault(2, exportingtest.Swallow)
		r.cluster.SetFree(0, 4)
		wait(5 * time.Minute)
		r.show(t, exports, exports, hard)
		r.says(t, 1, "the disk guard resumes exporting")
		if state, _ := r.ledger.State(); state.Undo == nil || len(state.History) != 1 {
			t.Errorf("state %+v", state)
		}
		r.cluster.SetFault(2, exportingtest.Healthy)
		wait(time.Minute)
		r.show(t, exports)
	})
}

// Nothing is measured while exporting, nor where nothing is guarded.
func TestGuardAsksNobodyInVain(t *testing.T) {
	for name, on := range map[string]bool{"on": true, "off": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := exportingtest.New(3, 2)
				r := runOn(t, c, c, hold.NewMemory(), func(o *reconcile.Options) {
					if on {
						guards(c, false)(o)
					}
				})
				defer r.end()
				wait(10 * time.Minute)
				before := c.Measured()
				r.hold(t, "backup", hard)
				c.SetFree(0, 1)
				wait(time.Minute)
				r.show(t, hard)
				if during := c.Measured(); before != 0 || (during > 0) != on || during > 3*14 {
					t.Errorf("%d requests while exporting, %d while paused for a minute", before, during)
				}
			})
		})
	}
}

// A least in bytes is the same on every disk, and one that no disk can have lets no pause be.
// Where the least is almost all, a tenth more would be more than there is.
// A full disk may be the ledger's too: the cluster is resumed all the same, and that is written when the store is back.
func TestGuardWithoutLedger(t *testing.T) {
	for name, read := range failures {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, store := exportingtest.New(3, 2), hold.NewMemory()
				r := runOn(t, c, c, store, guards(c, true))
				defer r.end()
				r.hold(t, "backup", hard)
				store.Fail(read, errDisk)
				wait(time.Minute)
				r.show(t, hard)
				c.SetFree(1, 3)
				wait(over)
				r.show(t, exports)
				r.says(t, 1, "which the ledger does not know yet")
				store.Fail(nil, nil)
				wait(over)
				state, _ := r.ledger.State()
				if len(state.Holds) != 0 || len(state.History) != 1 || state.History[0].How != hold.Guarded || r.status(t).Stale != nil {
					t.Errorf("state %+v", state)
				}
				r.show(t, exports)
			})
		})
	}
}
