package reconcile_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// turnAll is somebody who changes every broker directly.
func (r *rig) turnAll(p exporting.Phase) {
	for i := range r.cluster.Phases() {
		r.cluster.SetPhase(i, p)
	}
}

// A pause that was there before the first named hold outlives it, as the anonymous hold.
func TestForeignPauseIsAdopted(t *testing.T) {
	tests := map[string]struct {
		before []exporting.Phase
		adopts bool
	}{
		"every replica":     {[]exporting.Phase{soft, soft, soft}, true},
		"not every replica": {[]exporting.Phase{soft, exports, soft}, false},
		"nobody paused":     {[]exporting.Phase{exports, exports, exports}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, exportingtest.New(3, 3), func(r *rig) {
				t := r.t
				for i, p := range test.before {
					r.cluster.SetPhase(i, p)
				}
				wait(10 * time.Second)
				r.hold(t, "a", soft)
				if !test.adopts {
					r.holds(t, "a")
					return
				}
				r.holds(t, "a", hold.Operator)
				if h := r.live(t, hold.Operator); h.Owner != hold.Foreign || h.Phase != soft || !h.Expires.IsZero() {
					t.Errorf("adopted %+v", h)
				}
				if _, err := r.release(t, "a"); err != nil {
					t.Errorf("release: %v", err)
				}
				r.show(t, soft)
				if _, err := r.release(t, ""); err != nil {
					t.Errorf("resume: %v", err)
				}
				r.show(t, exports)
				r.holds(t)
			})
		})
	}
}

// The anonymous hold replaces a foreign pause: it is the same thing, so that nothing is adopted beside it, and a pause that
// fails goes back to it.
func TestForeignPauseAndTheAnonymousHold(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.turnAll(hard)
		wait(10 * time.Second)
		r.hold(t, "", hard)
		r.holds(t, hold.Operator)
		if _, err := r.release(t, ""); err != nil {
			t.Fatal(err)
		}
		r.show(t, exports)
	})
}

// Named holds are enforced against foreign resumes, at most five times in an hour; then the status says that they are not.
func TestForeignResumesAreFoughtForATime(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		if _, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "a", Phase: hard, TTL: 10 * time.Hour}); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			wait(2 * time.Minute)
			r.turnAll(exports)
			wait(11 * time.Second)
			r.show(t, hard)
		}
		wait(2 * time.Minute)
		r.turnAll(exports)
		wait(10 * time.Minute)
		r.show(t, exports)
		r.holds(t, "a")
		if told := r.told(t); strings.Count(told, "that is not undone") != 1 {
			t.Errorf("events:\n%s", told)
		}
		unenforced := func() bool {
			return strings.Contains(strings.Join(r.status(t).Warnings, "\n"), "the holds are not enforced")
		}
		if !unenforced() || r.status(t).Settled {
			t.Errorf("status %+v", r.status(t))
		}
		wait(time.Hour) // Then it may be fought again.
		r.show(t, hard)
		if unenforced() {
			t.Errorf("warnings %q", r.status(t).Warnings)
		}
		if _, err := r.release(t, "a"); !is[*reconcile.HoldBrokenError](err) {
			t.Errorf("release: %v", err)
		}
	})
}

// One replica that exports is no resume by somebody, however often: it is paused again each time.
func TestAReplicaIsRepausedWithoutEnd(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.hold(t, "a", hard)
		for i := range 10 {
			r.cluster.SetPhase(i%3, exports)
			wait(11 * time.Second)
			r.show(t, hard)
		}
		if told := r.told(t); strings.Count(told, "pausing again") != 10 {
			t.Errorf("events:\n%s", told)
		}
	})
}

func TestForeignResumesAreOnlyReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := exportingtest.New(3, 3)
		r := runOn(t, c, c, hold.NewMemory(), func(o *reconcile.Options) { o.ReportForeign = true })
		defer r.end()
		r.hold(t, "a", hard)
		wait(20 * time.Second)
		r.cluster.SetPhase(1, exports) // A lost disk is no resume.
		wait(11 * time.Second)
		r.show(t, hard)
		r.turnAll(exports)
		wait(time.Minute)
		r.show(t, exports)
		r.holds(t, "a")
		if told := r.told(t); strings.Count(told, "that is not undone") != 1 {
			t.Errorf("events:\n%s", told)
		}
		if _, err := r.release(t, "a"); !is[*reconcile.HoldBrokenError](err) {
			t.Errorf("release: %v", err)
		}
		r.holds(t)
	})
}

// A foreign resume ends the anonymous hold, and not the named ones beside it.
func TestForeignResumeBesideNamedHolds(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.hold(t, "", hard)
		r.hold(t, "a", hard)
		wait(20 * time.Second)
		r.turnAll(exports)
		wait(20 * time.Second)
		r.show(t, hard)
		r.holds(t, "a")
	})
}

// Who asked for the anonymous hold again since all was well wants it in spite of the resume.
func TestForeignResumeAndARenewal(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.hold(t, "", hard)
		wait(20 * time.Second)
		r.turnAll(exports)
		r.hold(t, "", hard)
		wait(time.Minute)
		r.show(t, hard)
		r.holds(t, hold.Operator)
	})
}

// What was resumed while no server ran was resumed by somebody: that ends the anonymous hold, and named ones are enforced.
func TestForeignResumeWhileNoServerRuns(t *testing.T) {
	for id, want := range map[string]exporting.Phase{hold.Operator: exports, "a": hard} {
		for _, planned := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				c, store := exportingtest.New(3, 3), hold.NewMemory()
				c.Planned = planned
				first := runOn(t, c, c, store, nil)
				first.hold(t, id, hard)
				first.end()
				first.turnAll(exports)
				wait(time.Minute)

				second := runOn(t, c, c, store, nil)
				defer second.end()
				wait(20 * time.Second)
				second.show(t, want)
				if state, _ := second.ledger.State(); state.Target() != want {
					t.Errorf("planned %v: state %+v", planned, state)
				}
			})
		}
	}
}

// Where it cannot be written that the anonymous hold has ended, who resumed is not fought: a full disk may be why.
func TestForeignResumeWithAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, store := exportingtest.New(3, 3), hold.NewMemory()
		r := runOn(t, c, c, store, nil)
		defer r.end()
		r.hold(t, "", hard)
		wait(20 * time.Second)
		store.Fail(nil, errors.New("no space left on device"))
		r.turnAll(exports)
		for range 60 {
			wait(time.Second)
			if phases := r.cluster.Phases(); slices.Contains(phases, hard) {
				t.Fatalf("phases %v", phases)
			}
		}
		store.Fail(nil, nil)
		wait(20 * time.Second)
		r.show(t, exports)
		r.holds(t)
	})
}
