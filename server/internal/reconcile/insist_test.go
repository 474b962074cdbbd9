package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

func reporting(o *reconcile.Options) { o.ReportForeign = true }

// observing runs a test with a server that only reports foreign resumes.
func observing(t *testing.T, planned bool, test func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := exportingtest.New(3, 3)
		c.Planned = planned
		r := runOn(t, c, c, hold.NewMemory(), reporting)
		defer r.end()
		test(r)
	})
}

// resumedBehind is somebody who resumes at the brokers, which is left alone.
func (r *rig) resumedBehind(t *testing.T) {
	t.Helper()
	wait(20 * time.Second)
	r.turnAll(exports)
	wait(20 * time.Second)
	r.show(t, exports)
	if !r.unenforced(t) {
		t.Fatalf("status %+v", r.status(t))
	}
}

// unenforced reports whether the status says that the holds are not enforced.
func (r *rig) unenforced(t *testing.T) bool {
	t.Helper()
	return strings.Contains(strings.Join(r.status(t).Warnings, "\n"), "the holds are not enforced")
}

// Who asks for a pause wants it now, whoever resumed before: by the hold's own name, or by another. From then on the holds
// are enforced, until somebody resumes at the brokers again.
func TestAPauseEndsThatAForeignResumeIsLeftAlone(t *testing.T) {
	for _, planned := range []bool{false, true} {
		for _, phase := range []exporting.Phase{soft, hard} {
			for _, id := range []string{"a", "b"} {
				t.Run(fmt.Sprintf("%v planned %v by %s", phase, planned, id), func(t *testing.T) {
					observing(t, planned, func(r *rig) {
						t := r.t
						first := r.hold(t, "a", phase)
						r.resumedBehind(t)
						again := r.hold(t, id, phase)
						r.show(t, phase)
						if id == "a" && again.UID != first.UID {
							t.Errorf("the renewal placed %+v", again)
						}
						wait(10 * time.Second)
						if r.unenforced(t) || !r.status(t).Settled {
							t.Errorf("status %+v", r.status(t))
						}
						r.cluster.SetPhase(1, exports)
						wait(11 * time.Second)
						r.show(t, phase)

						r.resumedBehind(t)
						if told := r.told(t); strings.Count(told, "that is not undone") != 2 {
							t.Errorf("events:\n%s", told)
						}
						if s := r.status(t); s.Continuity(&s.Holds[0]) != hold.Broken {
							t.Errorf("holds %+v", s.Holds)
						}
						if _, err := r.release(t, "a"); !is[*reconcile.HoldBrokenError](err) {
							t.Errorf("release: %v", err)
						}
					})
				})
			}
		}
	}
}

// The same where it was undone too often. What somebody asks for is not one of the five times.
func TestAPauseAfterFiveRepauses(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		if _, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "a", Phase: hard, TTL: 10 * time.Hour}); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			wait(20 * time.Second)
			r.turnAll(exports)
			if i == 2 {
				r.hold(t, "a", hard) // Before anybody has noticed.
				r.show(t, hard)
				wait(20 * time.Second)
				r.turnAll(exports)
			}
			wait(11 * time.Second)
			r.show(t, hard)
		}
		for range 3 {
			r.resumedBehind(t)
			r.hold(t, "a", hard)
			r.show(t, hard)
		}
	})
}

// To renew by uid only extends: nothing is paused again, and the answer says so.
func TestARenewalByUIDEnforcesNothing(t *testing.T) {
	observing(t, false, func(r *rig) {
		t := r.t
		h := r.hold(t, "a", hard)
		renew := func(timeout time.Duration) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			_, err := r.Pause(ctx, reconcile.PauseRequest{Renew: h.UID, TTL: 2 * time.Hour})
			failed, is := errors.AsType[*reconcile.NotSettledError](err)
			if !is || failed.Outcome != reconcile.OutcomeUnenforced || len(failed.Failures) != 9 ||
				!strings.Contains(failed.Error(), "nothing pauses again") {
				t.Fatalf("error %v", err)
			}
		}
		wait(20 * time.Second)
		r.turnAll(exports)
		renew(3 * time.Second) // Before anybody has noticed.
		r.resumedBehind(t)
		renew(30 * time.Second)
		r.show(t, exports)
		if got := r.live(t, "a"); time.Until(got.Expires) < 110*time.Minute {
			t.Errorf("extended to %v", got.Expires)
		}
		r.hold(t, "a", hard)
		if _, err := r.Pause(t.Context(), reconcile.PauseRequest{Renew: h.UID}); err != nil {
			t.Errorf("renew: %v", err)
		}
		r.show(t, hard)
	})
}

// What cannot be done in time is done later, as the answer says.
func TestAPauseThatIsLateIsCarriedOutLater(t *testing.T) {
	observing(t, false, func(r *rig) {
		t := r.t
		r.hold(t, "a", hard)
		r.resumedBehind(t)
		r.cluster.SetFault(1, exportingtest.Swallow)
		_, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "a", Phase: hard})
		if failed, is := errors.AsType[*reconcile.NotSettledError](err); !is || failed.Outcome != reconcile.OutcomeKept || len(failed.Failures) != 3 {
			t.Fatalf("error %v", err)
		}
		r.show(t, hard, exports, hard)
		r.cluster.SetFault(1, exportingtest.Healthy)
		wait(20 * time.Second)
		r.show(t, hard)
		if r.unenforced(t) {
			t.Errorf("status %+v", r.status(t))
		}
	})
}

// Whoever serves the ledger next knows that a foreign resume was left alone, also where a broker is silent, and that somebody
// asked for a pause since.
func TestAForeignResumeAndARestart(t *testing.T) {
	for _, phase := range []exporting.Phase{soft, hard} {
		synctest.Test(t, func(t *testing.T) {
			c, store := exportingtest.New(3, 3), hold.NewMemory()
			first := runOn(t, c, c, store, reporting)
			first.hold(t, "a", phase)
			first.resumedBehind(t)
			first.end()

			c.SetFault(1, exportingtest.Down)
			second := runOn(t, c, c, store, reporting)
			wait(time.Minute)
			second.show(t, exports)
			if !second.unenforced(t) {
				t.Errorf("status %+v", second.status(t))
			}
			c.SetFault(1, exportingtest.Hanging) // It dies in the middle of the renewal.
			paused := make(chan error, 1)
			go func() {
				_, err := second.Pause(t.Context(), reconcile.PauseRequest{Hold: "a", Phase: phase})
				paused <- err
			}()
			synctest.Wait()
			second.end()
			if failed, is := errors.AsType[*reconcile.NotSettledError](<-paused); !is || failed.Outcome != reconcile.OutcomeKept {
				t.Errorf("error %v", failed)
			}
			for i := range 3 {
				c.SetFault(i, exportingtest.Healthy)
			}
			first.turnAll(exports)

			third := runOn(t, c, c, store, reporting)
			defer third.end()
			wait(20 * time.Second)
			third.show(t, phase)
			third.resumedBehind(t)
		})
	}
}

// A pause that is asked of a server that does not drive reaches the one that does, and each says whether the holds are
// enforced. So it is when another begins to drive.
func TestAForeignResumeInAFleet(t *testing.T) {
	for _, phase := range []exporting.Phase{soft, hard} {
		inFleetWith(t, func(_ *exportingtest.Cluster, o *reconcile.Options) { reporting(o) }, func(f *fleet) {
			t := f.t
			f.b.hold(t, "a", phase)
			unenforced := func(want bool) {
				t.Helper()
				if f.a.unenforced(t) != want || f.b.unenforced(t) != want {
					t.Errorf("want %v; a says %q, b says %q", want, f.a.status(t).Warnings, f.b.status(t).Warnings)
				}
			}
			for _, driver := range []string{"a", "b", "a"} {
				f.elect(driver)
				wait(20 * time.Second)
				f.a.turnAll(exports)
				wait(20 * time.Second)
				f.a.show(t, exports)
				unenforced(true)
				_, err := f.b.Pause(t.Context(), reconcile.PauseRequest{Renew: f.b.live(t, "a").UID})
				if failed, is := errors.AsType[*reconcile.NotSettledError](err); !is || failed.Outcome != reconcile.OutcomeUnenforced {
					t.Errorf("renew: %v", err)
				}
				f.b.hold(t, "a", phase)
				f.a.show(t, phase)
				wait(10 * time.Second)
				unenforced(false)
			}
			f.elect("b") // What another left alone or not is known to all.
			wait(20 * time.Second)
			f.a.turnAll(exports)
			wait(20 * time.Second)
			f.elect("a")
			wait(20 * time.Second)
			f.a.show(t, exports)
			unenforced(true)
		})
	}
}

// Where it cannot be written that a foreign resume is left alone it is all the same, told once, and written when it can be.
func TestAForeignResumeWithoutAStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, store := exportingtest.New(3, 3), hold.NewMemory()
		r := runOn(t, c, c, store, reporting)
		defer r.end()
		r.hold(t, "a", hard)
		wait(20 * time.Second)
		store.Fail(nil, errors.New("no space left on device"))
		wait(10 * time.Second)
		r.resumedBehind(t)
		if state, _ := r.ledger.State(); state.Stance != hold.Judge {
			t.Errorf("state %+v", state)
		}
		store.Fail(nil, nil)
		wait(20 * time.Second)
		r.show(t, exports)
		if state, _ := r.ledger.State(); state.Stance != hold.Leave || !r.unenforced(t) {
			t.Errorf("state %+v", state)
		}
		if told := r.told(t); strings.Count(told, "that is not undone") != 1 {
			t.Errorf("events:\n%s", told)
		}
		r.hold(t, "a", hard)
		r.show(t, hard)
	})
}
