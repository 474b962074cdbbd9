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
	return runOn(t, c, c, hold.NewMemory(), nil)
}

// runOn runs over a store that may have been used before, and speaks to the cluster by way of what stands for it. change
// may change the options.
func runOn(t *testing.T, c *exportingtest.Cluster, brokers exporting.Cluster, store hold.Store,
	change func(*reconcile.Options),
) *rig {
	t.Helper()
	ledger, err := hold.Open(t.Context(), store, "memory")
	if err != nil {
		t.Fatal(err)
	}
	o := reconcile.Options{
		Ledger: ledger, Witness: reconcile.NewWitness(6 * time.Second), Interval: 5 * time.Second, Timeout: 30 * time.Second,
		OnFailure: reconcile.Revert, DefaultTTL: time.Hour, MaxTTL: 24 * time.Hour, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	o.Fanout, err = exporting.NewFanout(brokers, exporting.Options{
		Concurrency: 8, RequestTimeout: 8 * time.Second, PlanTimeout: 30 * time.Second,
		ConfirmInterval: 500 * time.Millisecond, RetryInterval: 5 * time.Second, Heed: o.Witness.Heed,
		Until: reconcile.Until(o.Election, o.Ledger),
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := reconcile.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background()) //nolint:usetesting // It ends before the test's does.
	var loops sync.WaitGroup
	loops.Go(func() { _ = ledger.Run(ctx) })
	loops.Go(func() { _ = r.Run(ctx) })
	return &rig{
		Reconciler: r, t: t, cluster: c, ledger: ledger,
		end: sync.OnceFunc(func() { cancel(); loops.Wait(); o.Fanout.Close() }),
	}
}

func (r *rig) pause(t *testing.T, phase exporting.Phase, timeout time.Duration, onFailure reconcile.OnFailure) (reconcile.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return r.Pause(ctx, reconcile.PauseRequest{Phase: phase, OnFailure: onFailure, Owner: "test"})
}

// pauseLater pauses in the background and tells what came of it.
func (r *rig) pauseLater(phase exporting.Phase, onFailure reconcile.OnFailure) <-chan error {
	paused := make(chan error, 1)
	go func() {
		_, err := r.pause(r.t, phase, 20*time.Second, onFailure)
		paused <- err
	}()
	return paused
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
