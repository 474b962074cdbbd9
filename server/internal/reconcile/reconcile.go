// Package reconcile makes the cluster follow the ledger of holds: now, for a call that waits, and for ever, in a loop.
//
// The loop is level-based: each pass reads what ought to be and what is, and acts on the difference. It alone drives the
// brokers, and of several servers over one ledger one alone does. A call writes to the ledger, which wakes the loop,
// wherever it runs, and waits until the ledger says that its change has settled and the brokers show it. So calls never
// drive against each other, and a caller or a server that goes away leaves nothing half done.
//
// It must not know how brokers are spoken to, where the ledger is kept, nor by whom it is called.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// OnFailure says what becomes of a pause that cannot settle in time.
type OnFailure uint8

// What becomes of a pause that cannot settle. The zero value is the configured default.
const (
	OnFailureDefault OnFailure = iota
	// Revert withdraws the hold and returns every replica to the phase that it was read in before the call.
	Revert
	// Keep leaves the hold, and the loop goes on pausing.
	Keep
)

// Options of a [Reconciler]. All are required, but for Election, ReportForeign, Guard, Observer and Tracing.
type Options struct {
	Fanout *exporting.Fanout
	Ledger *hold.Ledger
	// Witness is told what the fan-out reads.
	Witness *Witness
	// Election decides whether this server drives the brokers; nil where it is the only one.
	Election Election
	// Interval is the time between two passes of the loop.
	Interval time.Duration
	// Timeout clamps how long a call may take.
	Timeout time.Duration
	// OnFailure is used where a pause does not say; not OnFailureDefault.
	OnFailure OnFailure
	// ReportForeign is true where a resume of every replica by somebody else is not undone, only told.
	ReportForeign bool
	// DefaultTTL is how long a named hold lives that does not say; MaxTTL is the longest that any may ask for.
	DefaultTTL, MaxTTL time.Duration
	// Guard looks after the brokers' disks while exporting is paused.
	Guard  Guard
	Logger *slog.Logger
	// Observer is told what happens; nil where nobody wants to know.
	Observer Observer
	// Tracing takes a span a drive; nil where nobody wants to know.
	Tracing trace.TracerProvider
}

func (o *Options) check() error {
	switch {
	case o.Interval <= 0 || o.Timeout <= 0 || o.DefaultTTL <= 0 || o.MaxTTL < o.DefaultTTL:
		return fmt.Errorf("interval %v, timeout %v and times to live %v to %v must be positive and in order", o.Interval, o.Timeout,
			o.DefaultTTL, o.MaxTTL)
	case o.OnFailure != Revert && o.OnFailure != Keep:
		return errors.New("what becomes of a failed pause must be said")
	}
	return o.Guard.check()
}

// Reconciler is the loop and the calls that it serves. Its methods may be called by many goroutines at once.
type Reconciler struct {
	opts   Options
	log    *slog.Logger
	tracer trace.Tracer
	base   context.Context // of operations, which outlive their callers
	stop   context.CancelFunc
	calls  sync.WaitGroup
	admit  chan struct{} // capacity 1: one pause at a time is checked and placed
	nudge  chan struct{} // capacity 1: a call waits for a pass

	journal   *journal
	recorder  chan struct{} // capacity 1: one goroutine at a time writes what was observed
	foreign   foreign
	diskGuard *diskGuard

	mu       sync.Mutex
	ended    bool                        // no call begins any more
	waiting  map[*call]trace.SpanContext // calls that wait for proof, and their spans, where they have one
	term     uint64
	begun    bool // whether a term has
	state    hold.State
	view     *exporting.View
	seen     chan struct{} // closed when there is a later view
	sighted  map[string]time.Time
	silences map[exporting.BrokerID]silence
	stalls   map[exporting.PartitionID]stall
	paused   bool   // whether a foreign pause was noticed
	stale    bool   // whether the ledger's loss was
	repaused string // which replicas that are paused again were
	shared   snapshot

	strayed bool // whether a pause may have been let through after a term; the loop's alone

	looking  chan struct{} // capacity 1: guards the rest, and that one status at a time reads the cluster
	looked   time.Time
	revision uint64 // of the ledger before that
	last     *exporting.View
}

// New returns a reconciler. Its calls wait for [Reconciler.Run].
func New(opts Options) (*Reconciler, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	if opts.Tracing == nil {
		opts.Tracing = noop.NewTracerProvider()
	}
	if opts.Observer == nil {
		opts.Observer = nobody{}
	}
	base, stop := context.WithCancel(context.Background())
	r := &Reconciler{
		opts: opts, log: opts.Logger, base: base, stop: stop, admit: make(chan struct{}, 1), nudge: make(chan struct{}, 1),
		journal: newJournal(), recorder: make(chan struct{}, 1), seen: make(chan struct{}), sighted: map[string]time.Time{},
		silences: map[exporting.BrokerID]silence{}, stalls: map[exporting.PartitionID]stall{}, looking: make(chan struct{}, 1),
		foreign: foreign{report: opts.ReportForeign}, diskGuard: newDiskGuard(opts.Guard), waiting: map[*call]trace.SpanContext{},
		tracer: opts.Tracing.Tracer(tracerName),
	}
	r.recall()
	return r, nil
}

// Run is the loop. It returns when the context ends, and all that it began has ended; calls that still wait fail then. It
// fails if the ledger belongs to another cluster, or cannot be understood: nothing is done to the brokers then.
func (r *Reconciler) Run(ctx context.Context) error {
	defer r.end(ctx)
	ctx, stop := context.WithCancel(ctx)
	var guarding sync.WaitGroup
	defer guarding.Wait()
	defer stop()
	guarding.Go(func() { r.guardDisks(ctx) })
	for ctx.Err() == nil {
		began := time.Now()
		o, err := r.pass(ctx)
		if err != nil {
			return err
		}
		r.opts.Observer.Passed(time.Since(began))
		r.rest(ctx, &o)
	}
	return nil
}

// end lets no new call begin and waits for those that are under way.
func (r *Reconciler) end(ctx context.Context) {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.stop()
	r.calls.Wait()
	state, _ := r.opts.Ledger.State()
	for i := range state.Holds {
		r.log.InfoContext(ctx, "exporting stays paused: the hold is in the ledger, and enforced or ended by whoever serves next",
			"hold", state.Holds[i].ID, "phase", state.Holds[i].Phase.String(), "expires", lifetime(&state.Holds[i]))
	}
}

// rest waits until the next pass: for an interval, less if a call waits for proof or something is due, or until there is
// news since the pass looked at what ought to be.
func (r *Reconciler) rest(ctx context.Context, o *order) {
	wait := jitter(r.opts.Interval)
	r.mu.Lock()
	if len(r.waiting) > 0 {
		wait = min(wait, max(r.opts.Fanout.ConfirmInterval(), minPause))
	}
	r.mu.Unlock()
	now := time.Now()
	for _, due := range []time.Time{o.due, r.opts.Witness.due(now)} {
		if !due.IsZero() {
			wait = min(wait, max(due.Sub(now), minPause))
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-o.changed:
	case <-o.elected:
		sleep(ctx, minPause) // An election that changes its mind all the time must not keep the brokers busy.
	case <-r.nudge:
	case <-ctx.Done():
	}
}

// minPause keeps a loop that has something to wait for from spinning.
const minPause = 20 * time.Millisecond

// sleep waits, and reports whether the context lasted.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// jitter spreads an interval by a tenth both ways, so that many proxies do not read in step.
func jitter(d time.Duration) time.Duration {
	return d*9/10 + rand.N(d/5+1) //nolint:gosec // Spreading load needs no secrecy.
}
