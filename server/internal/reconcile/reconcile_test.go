package reconcile_test

import (
	"context"
	"log/slog"
	"slices"
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

// Nothing must be touched where a pause is refused.

// A broker that dies during the pause is put back when it answers again, after the call has been answered.

// A renewal is never refused, and never withdraws the hold that it renews.

// A replica that comes back exporting is paused again while the hold lives; one that somebody resumed too.

// A resume made at the brokers, on every replica, ends the anonymous hold: it is Zeebe's own pause.

// A pause that somebody made at the brokers is shown and left alone, until a resume.

// An equal call joins; a caller that leaves cancels nothing; one with more time prolongs.

// A soft pause that is still on its way when a resume follows, which the broker then loses, must not have the last word.

// A plan that is still being carried out when a resume follows must not have the last word either, whatever the replicas

// show meanwhile.

// A pause that replaced another and failed is reverted only when what is left is proven like any pause.

// A drive lasts as long as a broker is dead; that it is dead must be told all the same.
