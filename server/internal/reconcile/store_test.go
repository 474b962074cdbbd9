package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

var errDisk = errors.New("no space left on device")

// link is one server's way to a store, which may be cut.
type link struct {
	*hold.Memory

	cut   atomic.Bool
	swaps atomic.Int64
	// swapped may change what the server learns of its nth write, after the fact.
	swapped func(n int64, err error) error
}

func (l *link) Read(ctx context.Context) (hold.Record, error) {
	if l.cut.Load() {
		return hold.Record{}, errDisk
	}
	return l.Memory.Read(ctx)
}

func (l *link) Swap(ctx context.Context, r hold.Record) error {
	n := l.swaps.Add(1)
	if l.cut.Load() {
		return errDisk
	}
	err := l.Memory.Swap(ctx, r)
	if l.swapped != nil {
		return l.swapped(n, err)
	}
	return err
}

func (l *link) Watch(ctx context.Context, changed func(hold.Record)) error {
	return l.Memory.Watch(ctx, func(r hold.Record) {
		if !l.cut.Load() {
			changed(r)
		}
	})
}

// failures are the ways in which a store can be lost, by what a read says then; a write fails.
var failures = map[string]error{"a full disk": nil, "gone": errDisk}

// Without its ledger a server pauses nothing and says so; a resume by force works, and is recorded when it is back.
func TestLostLedger(t *testing.T) {
	for name, read := range failures {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, store := exportingtest.New(3, 3), hold.NewMemory()
				r := runOn(t, c, c, store, nil)
				defer r.end()
				r.hold(t, "a", hard)
				wait(20 * time.Second)
				store.Fail(read, errDisk)
				writes := c.Writes()
				r.refuses(t)
				wait(time.Minute)
				status := r.status(t)
				if status.Stale == nil || len(status.Holds) != 1 || !strings.Contains(strings.Join(status.Warnings, "\n"), "cannot be used") {
					t.Errorf("status %+v", status)
				}
				if c.Writes() != writes {
					t.Errorf("%d writes to brokers", c.Writes()-writes)
				}
				r.show(t, hard)
				r.forced(t, "a")
				r.show(t, exports)
				wait(time.Minute)
				r.show(t, exports)

				store.Fail(nil, nil)
				wait(10 * time.Second)
				if status := r.status(t); status.Stale != nil || !status.Settled || status.Foreign {
					t.Errorf("status %+v", status)
				}
				r.end()
				again := runOn(t, c, c, store, nil)
				defer again.end()
				wait(20 * time.Second)
				again.show(t, exports)
				again.holds(t)
				if last, _ := again.ledger.State(); len(last.History) != 1 || last.History[0].How != hold.Forced || last.Undo != nil {
					t.Errorf("state %+v", last)
				}
			})
		})
	}
}

// refuses fails the test unless calls that need the ledger are refused, validations too.
func (r *rig) refuses(t *testing.T) {
	t.Helper()
	for _, validate := range []bool{false, true} {
		if _, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "b", Phase: hard, ValidateOnly: validate}); !is[*hold.UnavailableError](err) {
			t.Errorf("pause: %v", err)
		}
		if _, err := r.Resume(t.Context(), reconcile.ResumeRequest{Hold: "a", ValidateOnly: validate}); !is[*hold.UnavailableError](err) {
			t.Errorf("release: %v", err)
		}
	}
}

// forced resumes by force, and fails the test unless the answer names the holds that ended, and says that it is not recorded.
func (r *rig) forced(t *testing.T, ids ...string) {
	t.Helper()
	result, err := r.Resume(t.Context(), reconcile.ResumeRequest{Force: true, Owner: "test"})
	if err != nil {
		t.Fatalf("force: %v", err)
	}
	var ended []string
	for i := range result.Forced {
		ended = append(ended, result.Forced[i].Hold.ID)
	}
	if fmt.Sprint(ended) != fmt.Sprint(ids) || !result.Unrecorded || len(result.Status.Holds) != 0 {
		t.Errorf("ended %v, want %v; result %+v", ended, ids, result)
	}
}

// An old ledger is not enforced: another server may have released what it has.
func TestOldLedgerIsNotEnforced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, store := exportingtest.New(3, 3), hold.NewMemory()
		r := runOn(t, c, c, store, nil)
		defer r.end()
		r.hold(t, "a", hard)
		c.SetFault(1, exportingtest.Down) // A drive is under way, and lasts.
		wait(20 * time.Second)
		store.Fail(errDisk, errDisk)
		wait(10 * time.Second)
		c.SetPhase(1, exports)
		c.SetFault(1, exportingtest.Healthy)
		c.SetPhase(2, exports)
		wait(time.Minute)
		r.show(t, hard, exports, exports)
		store.Fail(nil, nil)
		wait(20 * time.Second)
		r.show(t, hard)
	})
}

// Where a ledger was never read nobody knows of any hold: a paused cluster is not called foreign, nor touched.
func TestLedgerThatWasNeverRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, store := exportingtest.New(3, 3), hold.NewMemory()
		first := runOn(t, c, c, store, nil)
		first.hold(t, "a", hard)
		first.end()
		store.Fail(errDisk, errDisk)
		r := runOn(t, c, c, store, nil)
		defer r.end()
		wait(time.Minute)
		if status := r.status(t); status.Foreign || status.Stale == nil || strings.Contains(r.told(t), "no hold asks for it") {
			t.Errorf("status %+v", status)
		}
		r.show(t, hard)
		store.Fail(nil, nil)
		wait(10 * time.Second)
		r.holds(t, "a")
	})
}

// A resume by force on a server that has lost its store ends what that server knows. What others place meanwhile survives.
func TestForceAndHoldsPlacedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, store := exportingtest.New(3, 3), &link{Memory: hold.NewMemory()}
		r := runOn(t, c, c, store, nil)
		defer r.end()
		r.hold(t, "a", hard)
		store.cut.Store(true)
		r.forced(t, "a")
		r.show(t, exports)

		other, err := hold.Open(t.Context(), store.Memory, "memory")
		if err != nil {
			t.Fatal(err)
		}
		_, err = other.Place(t.Context(), hold.Placing{ID: "b", Phase: hard, Restore: hold.Phases{}, Held: hard, TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		wait(time.Minute)
		r.show(t, exports) // Nobody here knows.
		store.cut.Store(false)
		wait(20 * time.Second)
		r.show(t, hard)
		r.holds(t, "b")
		if state, _ := r.ledger.State(); state.History[0].Hold.ID != "a" || state.History[0].How != hold.Forced {
			t.Errorf("history %+v", state.History)
		}
	})
}

// Whichever write of a pause, a release or an expiry fails, and however, all ends settled on what the ledger says then.
func TestEveryWriteMayFail(t *testing.T) {
	ways := map[string]func(error) error{
		"lost":       func(error) error { return errDisk },
		"uncertain":  func(error) error { return &hold.UncertainError{Err: errDisk} },
		"overtaken":  func(error) error { return hold.ErrConflict },
		"cut in two": nil, // The store is gone from then on, for a while.
	}
	for way, learns := range ways {
		t.Run(way, func(t *testing.T) {
			for fails := int64(1); fails < 12; fails++ {
				synctest.Test(t, func(t *testing.T) {
					c, store := exportingtest.New(3, 3), &link{Memory: hold.NewMemory()}
					store.swapped = func(n int64, err error) error {
						switch {
						case n != fails:
							return err
						case learns != nil:
							return learns(err)
						}
						store.cut.Store(true)
						time.AfterFunc(7*time.Second, func() { store.cut.Store(false) })
						return &hold.UncertainError{Err: errDisk}
					}
					r := runOn(t, c, c, store, nil)
					defer r.end()
					_, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "a", Phase: hard, TTL: time.Minute})
					if err == nil {
						r.show(t, hard)
					}
					wait(20 * time.Second)
					if _, err := r.release(t, "a"); err == nil {
						r.show(t, exports)
					}
					wait(2 * time.Minute)
					r.show(t, exports)
					r.holds(t)
					if status := r.status(t); !status.Settled || status.Foreign || status.Stale != nil {
						t.Errorf("write %d: status %+v", fails, status)
					}
				})
			}
		})
	}
}

// A store that is lost, with something due, makes no loop spin, and no events pile up.
func TestLostLedgerMakesNoHaste(t *testing.T) {
	for name, read := range failures {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, store := exportingtest.New(3, 1), hold.NewMemory()
				brokers := &lens{Cluster: c}
				r := runOn(t, c, brokers, store, nil)
				defer r.end()
				if _, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "a", Phase: hard, TTL: time.Minute}); err != nil {
					t.Fatal(err)
				}
				store.Fail(read, errDisk) // Before it has drained, and before it expires.
				wait(2 * time.Minute)
				reads, events := brokers.reads.Load(), len(r.status(t).Events)
				wait(10 * time.Minute)
				if more := brokers.reads.Load() - reads; more > 10*60 {
					t.Errorf("%d reads of three brokers in ten minutes", more)
				}
				if more := len(r.status(t).Events) - events; more > 2 {
					t.Errorf("events:\n%s", r.told(t))
				}
			})
		})
	}
}
