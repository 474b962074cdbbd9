package reconcile_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

func TestPauseAndResume(t *testing.T) {
	for _, planned := range []bool{false, true} {
		for _, phase := range []exporting.Phase{soft, hard} {
			c := exportingtest.New(3, 3)
			c.Planned, c.Delay = planned, 20*time.Millisecond
			bubble(t, c, func(r *rig) {
				t := r.t
				result, err := r.pause(t, phase, 10*time.Second, 0)
				if err != nil {
					t.Fatal(err)
				}
				r.show(t, phase)
				if result.Hold.Settled.IsZero() || len(result.Changes) != 9 || !result.Status.Settled || result.Status.Target != phase {
					t.Errorf("result %+v, status %+v", result, result.Status)
				}
				wait(time.Minute)
				r.show(t, phase)
				result, err = r.resume(t, 10*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				r.show(t, exports)
				if result.Hold == nil || result.Status.Foreign || len(result.Status.Holds) != 0 {
					t.Errorf("result %+v, status %+v", result, result.Status)
				}
			})
		}
	}
}

func TestPauseIsIdempotent(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		first, err := r.pause(t, soft, 10*time.Second, 0)
		if err != nil {
			t.Fatal(err)
		}
		writes := r.cluster.Writes()
		second, err := r.pause(t, soft, 10*time.Second, 0)
		if err != nil {
			t.Fatal(err)
		}
		if first.Hold.UID != second.Hold.UID || len(second.Changes) != 0 || r.cluster.Writes() != writes {
			t.Errorf("first %+v, second %+v, writes %d and %d", first.Hold, second, writes, r.cluster.Writes())
		}
	})
}

// Nothing must be touched where a pause is refused.
func TestPauseIsRefused(t *testing.T) {
	tests := map[string]struct {
		prepare func(*rig)
		phase   exporting.Phase
		want    func(error) bool
	}{
		"broker down":    {func(r *rig) { r.cluster.SetFault(1, exportingtest.Down) }, soft, is[*exporting.IncompleteTopologyError]},
		"broker hanging": {func(r *rig) { r.cluster.SetFault(1, exportingtest.Hanging) }, soft, is[*exporting.IncompleteTopologyError]},
		"replica inactive": {
			func(r *rig) { r.cluster.SetFault(1, exportingtest.Inactive) }, soft, is[*exporting.IncompleteTopologyError],
		},
		"hard over soft": {func(r *rig) { r.cluster.SetPhase(1, soft) }, hard, is[*exporting.UnsafeTransitionError]},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, exportingtest.New(3, 3), func(r *rig) {
				t := r.t
				test.prepare(r)
				before := r.cluster.Phases()
				_, err := r.pause(t, test.phase, 30*time.Second, 0)
				if !test.want(err) {
					t.Errorf("error %v", err)
				}
				if r.cluster.Writes() != 0 {
					t.Errorf("%d writes", r.cluster.Writes())
				}
				r.show(t, before...)
				if state, _ := r.ledger.State(); len(state.Holds) != 0 {
					t.Errorf("holds %v", state.Holds)
				}
			})
		})
	}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func TestLaterCallSupersedes(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.cluster.SetFault(1, exportingtest.Swallow)
		paused := r.pauseLater(hard, 0)
		wait(2 * time.Second)
		if _, err := r.resume(t, 10*time.Second); err != nil {
			t.Errorf("resume: %v", err)
		}
		if err := <-paused; !is[*reconcile.SupersededError](err) {
			t.Errorf("pause: %v", err)
		}
		r.show(t, exports)
	})
}

// An equal call joins; a caller that leaves cancels nothing; one with more time prolongs.
func TestEqualCallJoins(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.cluster.Delay = 5 * time.Second
		gone, leave := context.WithCancel(t.Context())
		results := make(chan error, 3)
		pause := func(ctx context.Context) {
			_, err := r.Pause(ctx, reconcile.PauseRequest{Phase: hard, Owner: "test"})
			results <- err
		}
		short, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		go pause(gone)
		go pause(short)
		wait(time.Second)
		leave()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("the caller that left got %v", err)
		}
		go pause(t.Context())
		if failed, ok := errors.AsType[*reconcile.NotSettledError](<-results); !ok || failed.Outcome != reconcile.OutcomeContinuing {
			t.Errorf("the hasty caller got %v", failed)
		}
		if err := <-results; err != nil {
			t.Errorf("the patient caller got %v", err)
		}
		if r.cluster.Writes() > 3*5 {
			t.Errorf("%d writes for one operation", r.cluster.Writes())
		}
		r.show(t, hard)
	})
}

func TestValidateOnlyTouchesNothing(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		_, err := r.Pause(t.Context(), reconcile.PauseRequest{Phase: hard, ValidateOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		r.cluster.SetPhase(0, soft)
		_, err = r.Pause(t.Context(), reconcile.PauseRequest{Phase: hard, ValidateOnly: true})
		if !is[*exporting.UnsafeTransitionError](err) {
			t.Errorf("error %v", err)
		}
		if _, err := r.Resume(t.Context(), reconcile.ResumeRequest{ValidateOnly: true}); err != nil {
			t.Error(err)
		}
		if r.cluster.Writes() != 0 {
			t.Errorf("%d writes", r.cluster.Writes())
		}
	})
}

func TestShutdownEndsCalls(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.cluster.SetFault(1, exportingtest.Swallow)
		paused := r.pauseLater(hard, 0)
		wait(2 * time.Second)
		r.end()
		// It has touched brokers, so that it must not be told otherwise; whoever serves next goes on with it.
		if failed, is := errors.AsType[*reconcile.NotSettledError](<-paused); !is || failed.Outcome != reconcile.OutcomeContinuing {
			t.Errorf("the call that waited got %v", failed)
		}
		if _, err := r.resume(t, time.Second); !errors.Is(err, reconcile.ErrShuttingDown) {
			t.Errorf("the call that came late got %v", err)
		}
	})
}
