package reconcile_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
	failed  <-chan error // from the loop, when it has ended
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
	failed := make(chan error, 1)
	loops.Go(func() { failed <- r.Run(ctx) })
	return &rig{
		Reconciler: r, t: t, cluster: c, ledger: ledger, failed: failed,
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

// hold places a hold, which has to succeed.
func (r *rig) hold(t *testing.T, id string, phase exporting.Phase) hold.Hold {
	t.Helper()
	result, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: id, Phase: phase, Owner: "test"})
	if err != nil {
		t.Fatalf("pause %s: %v", id, err)
	}
	return *result.Hold
}

func (r *rig) release(t *testing.T, id string) (reconcile.Result, error) {
	t.Helper()
	return r.Resume(t.Context(), reconcile.ResumeRequest{Hold: id, Owner: "test"})
}

// live is a live hold as the ledger has it.
func (r *rig) live(t *testing.T, id string) hold.Hold {
	t.Helper()
	state, _ := r.ledger.State()
	h, ok := state.Find(id)
	if !ok {
		t.Fatalf("there is no hold %s in %+v", id, state)
	}
	return h
}

// holds fails the test unless these live, and no others.
func (r *rig) holds(t *testing.T, want ...string) {
	t.Helper()
	state, _ := r.ledger.State()
	got := make([]string, len(state.Holds))
	for i := range state.Holds {
		got[i] = state.Holds[i].ID
	}
	if !slices.Equal(got, want) {
		t.Errorf("holds %v, want %v", got, want)
	}
}

// told is what the events say, a line each.
func (r *rig) told(t *testing.T) string {
	t.Helper()
	var lines []string
	for _, e := range r.status(t).Events {
		lines = append(lines, e.Message)
	}
	return strings.Join(lines, "\n")
}

func (r *rig) status(t *testing.T) *reconcile.Status {
	t.Helper()
	status, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// lens is a cluster whose answers change on their way to one server, and that counts what the server asks for. What
// changes them is set before use.
type lens struct {
	*exportingtest.Cluster

	topology func(*exporting.Topology)
	reading  func(exporting.BrokerID, *exporting.Reading)
	reads    atomic.Int64
	writes   atomic.Int64
}

func (l *lens) Topology(ctx context.Context) (*exporting.Topology, error) {
	t, err := l.Cluster.Topology(ctx)
	if err == nil && l.topology != nil {
		l.topology(t)
	}
	return t, err
}

func (l *lens) Read(ctx context.Context, b exporting.Broker) ([]exporting.Reading, error) {
	l.reads.Add(1)
	readings, err := l.Cluster.Read(ctx, b)
	for i := range readings {
		if l.reading != nil {
			l.reading(b.ID, &readings[i])
		}
	}
	return readings, err
}

func (l *lens) Write(ctx context.Context, lever exporting.Lever, p exporting.Phase) error {
	l.writes.Add(1)
	return l.Cluster.Write(ctx, lever, p)
}
