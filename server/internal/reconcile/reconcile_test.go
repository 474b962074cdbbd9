package reconcile_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

const (
	exports = exporting.PhaseExporting
	soft    = exporting.PhaseSoftPaused
	hard    = exporting.PhasePaused
)

// rig is a reconciler that runs over a cluster in memory, in a bubble.
type rig struct {
	*reconcile.Reconciler

	t       *testing.T
	cluster *exportingtest.Cluster
	ledger  *hold.Ledger
	end     func()
}

func run(t *testing.T, c *exportingtest.Cluster) *rig {
	t.Helper()
	f, err := exporting.NewFanout(c, exporting.Options{
		Concurrency: 8, RequestTimeout: 8 * time.Second, PlanTimeout: 30 * time.Second,
		ConfirmInterval: 500 * time.Millisecond, RetryInterval: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	ledger := hold.NewLedger()
	r, err := reconcile.New(reconcile.Options{
		Fanout: f, Ledger: ledger, Interval: 5 * time.Second, Timeout: 30 * time.Second, OnFailure: reconcile.Revert,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background()) //nolint:usetesting // It ends before the test's does.
	var loop sync.WaitGroup
	loop.Go(func() { _ = r.Run(ctx) })
	return &rig{r, t, c, ledger, sync.OnceFunc(func() { cancel(); loop.Wait(); f.Close() })}
}

func (r *rig) pause(t *testing.T, phase exporting.Phase, timeout time.Duration, onFailure reconcile.OnFailure) (reconcile.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return r.Pause(ctx, reconcile.PauseRequest{Phase: phase, OnFailure: onFailure, Owner: "test"})
}

func (r *rig) resume(t *testing.T, timeout time.Duration) (reconcile.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return r.Resume(ctx, reconcile.ResumeRequest{Owner: "test"})
}

// show fails the test unless the brokers truly do what is wanted.
func (r *rig) show(t *testing.T, want ...exporting.Phase) {
	t.Helper()
	got := r.cluster.Phases()
	if len(want) == 1 {
		want = slices.Repeat(want, len(got))
	}
	if !slices.Equal(got, want) {
		t.Errorf("phases %v, want %v", got, want)
	}
}

func bubble(t *testing.T, c *exportingtest.Cluster, test func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := run(t, c)
		defer r.end()
		test(r)
	})
}

func wait(d time.Duration) { <-time.After(d) }

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

func TestFailedPauseIsReverted(t *testing.T) {
	tests := map[string]struct {
		before []exporting.Phase
		phase  exporting.Phase
	}{
		"exporting":              {[]exporting.Phase{exports, exports, exports}, hard},
		"foreign pauses":         {[]exporting.Phase{hard, exports, soft}, soft},
		"foreign pause all over": {[]exporting.Phase{hard, hard, hard}, soft},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, exportingtest.New(3, 3), func(r *rig) {
				t := r.t
				for i, p := range test.before {
					r.cluster.SetPhase(i, p)
				}
				r.cluster.SetFault(1, exportingtest.Swallow)
				_, err := r.pause(t, test.phase, 10*time.Second, 0)
				failed, ok := errors.AsType[*reconcile.NotSettledError](err)
				if !ok || failed.Outcome != reconcile.OutcomeReverted || len(failed.Failures) == 0 {
					t.Fatalf("error %v", err)
				}
				if !strings.Contains(err.Error(), "partitions 1, 2, 3 on broker 1: reads ") {
					t.Errorf("the error names no replica: %v", err)
				}
				r.show(t, test.before...)
			})
		})
	}
}

// A broker that dies during the pause is put back when it answers again, after the call has been answered.
func TestRevertGoesOnUntilBrokersAnswer(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.cluster.Delay = time.Second
		r.cluster.SetFault(2, exportingtest.Swallow)
		time.AfterFunc(3*time.Second, func() { r.cluster.SetFault(1, exportingtest.Down) })
		_, err := r.pause(t, hard, 10*time.Second, 0)
		failed, ok := errors.AsType[*reconcile.NotSettledError](err)
		if !ok || failed.Outcome != reconcile.OutcomeReverting {
			t.Fatalf("error %v", err)
		}
		r.show(t, exports, hard, exports)
		wait(10 * time.Minute)
		r.cluster.SetFault(1, exportingtest.Healthy)
		wait(20 * time.Second)
		r.show(t, exports)
	})
}

func TestKeepGoesOn(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.cluster.SetFault(1, exportingtest.Swallow)
		_, err := r.pause(t, hard, 10*time.Second, reconcile.Keep)
		if failed, ok := errors.AsType[*reconcile.NotSettledError](err); !ok || failed.Outcome != reconcile.OutcomeKept {
			t.Fatalf("error %v", err)
		}
		r.cluster.SetFault(1, exportingtest.Healthy)
		wait(20 * time.Second)
		r.show(t, hard)
		if state, _ := r.ledger.State(); !state.Settled() {
			t.Errorf("state %+v", state)
		}
	})
}

// A renewal is never refused, and never withdraws the hold that it renews.
func TestRenewalNeverWithdraws(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		if _, err := r.pause(t, hard, 10*time.Second, 0); err != nil {
			t.Fatal(err)
		}
		r.cluster.SetFault(1, exportingtest.Down)
		_, err := r.pause(t, hard, 5*time.Second, reconcile.Revert)
		if failed, ok := errors.AsType[*reconcile.NotSettledError](err); !ok || failed.Outcome != reconcile.OutcomeKept {
			t.Fatalf("error %v", err)
		}
		r.show(t, hard)
		if state, _ := r.ledger.State(); len(state.Holds) != 1 {
			t.Errorf("state %+v", state)
		}
	})
}

func TestResumeWithABrokerDead(t *testing.T) {
	for _, fault := range []exportingtest.Fault{exportingtest.Down, exportingtest.Hanging} {
		bubble(t, exportingtest.New(3, 3), func(r *rig) {
			t := r.t
			if _, err := r.pause(t, hard, 10*time.Second, 0); err != nil {
				t.Fatal(err)
			}
			r.cluster.SetFault(1, fault)
			_, err := r.resume(t, 5*time.Second)
			failed, ok := errors.AsType[*reconcile.NotSettledError](err)
			if !ok || failed.Outcome != reconcile.OutcomeResuming || len(failed.Failures) != 3 {
				t.Fatalf("error %v", err)
			}
			r.show(t, exports, hard, exports)
			r.cluster.SetFault(1, exportingtest.Healthy)
			wait(20 * time.Second)
			r.show(t, exports)
		})
	}
}

// A replica that comes back exporting is paused again while the hold lives; one that somebody resumed too.
func TestHoldIsEnforced(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		if _, err := r.pause(t, hard, 10*time.Second, 0); err != nil {
			t.Fatal(err)
		}
		r.cluster.SetPhase(1, exports)
		wait(11 * time.Second)
		r.show(t, hard)

		for i := range 3 { // All at once, but after having been away: lost disks, not a resume.
			r.cluster.SetFault(i, exportingtest.Down)
		}
		wait(time.Minute)
		for i := range 3 {
			r.cluster.SetPhase(i, exports)
			r.cluster.SetFault(i, exportingtest.Healthy)
		}
		wait(20 * time.Second)
		r.show(t, hard)
	})
}

// A resume made at the brokers, on every replica, ends the anonymous hold: it is Zeebe's own pause.
func TestForeignResumeReleases(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		if _, err := r.pause(t, hard, 10*time.Second, 0); err != nil {
			t.Fatal(err)
		}
		wait(20 * time.Second)
		for i := range 3 {
			r.cluster.SetPhase(i, exports)
		}
		wait(11 * time.Second)
		r.show(t, exports)
		status, err := r.Status(t.Context())
		if err != nil || len(status.Holds) != 0 || status.Target != exports || !status.Settled {
			t.Errorf("error %v, status %+v", err, status)
		}
		if last := status.Events[len(status.Events)-1]; !strings.Contains(last.Message, "resumed at the brokers") {
			t.Errorf("events %v", status.Events)
		}
	})
}

// A pause that somebody made at the brokers is shown and left alone, until a resume.
func TestForeignPauseIsShown(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		for i := range 3 {
			r.cluster.SetPhase(i, soft)
		}
		wait(time.Minute)
		r.show(t, soft)
		status, err := r.Status(t.Context())
		if err != nil || !status.Foreign || status.Settled || status.Observed != soft || r.cluster.Writes() != 0 {
			t.Errorf("error %v, status %+v, writes %d", err, status, r.cluster.Writes())
		}
		if _, err := r.resume(t, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		r.show(t, exports)
	})
}

func TestLaterCallSupersedes(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.cluster.SetFault(1, exportingtest.Swallow)
		paused := make(chan error, 1)
		go func() {
			_, err := r.pause(t, hard, 20*time.Second, 0)
			paused <- err
		}()
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

func TestStatusOfASilentBroker(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		wait(time.Second)
		r.cluster.SetFault(1, exportingtest.Hanging)
		began := time.Now()
		status, err := r.Status(t.Context())
		if err != nil || time.Since(began) > 4*time.Second {
			t.Fatalf("error %v after %v", err, time.Since(began))
		}
		if status.Settled || len(status.Unsettled) != 3 || status.Observed != exports {
			t.Errorf("status %+v", status)
		}
	})
}

func TestShutdownEndsCalls(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.cluster.SetFault(1, exportingtest.Swallow)
		paused := make(chan error, 1)
		go func() {
			_, err := r.pause(t, hard, 20*time.Second, 0)
			paused <- err
		}()
		wait(2 * time.Second)
		r.end()
		if err := <-paused; !errors.Is(err, reconcile.ErrShuttingDown) {
			t.Errorf("the call that waited got %v", err)
		}
		if _, err := r.resume(t, time.Second); !errors.Is(err, reconcile.ErrShuttingDown) {
			t.Errorf("the call that came late got %v", err)
		}
	})
}
