// Package reconcile makes the cluster follow the ledger of holds: now, for a call that waits, and for ever, in a loop.
//
// The loop is level-based: each pass reads what ought to be and what is, and acts on the difference. It alone drives the
// brokers. A call writes to the ledger, which wakes the loop, and waits for proof that its change has settled. So calls
// never drive against each other, and a caller that goes away leaves nothing half done.
//
// It must not know how brokers are spoken to, nor by whom it is called.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

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

// Options of a [Reconciler]. All are required.
type Options struct {
	Fanout *exporting.Fanout
	Ledger *hold.Ledger
	// Interval is the time between two passes of the loop.
	Interval time.Duration
	// Timeout clamps how long a call may take.
	Timeout time.Duration
	// OnFailure is used where a pause does not say; not OnFailureDefault.
	OnFailure OnFailure
	Logger    *slog.Logger
}

// Reconciler is the loop and the calls that it serves. Its methods may be called by many goroutines at once.
type Reconciler struct {
	opts  Options
	log   *slog.Logger
	base  context.Context // of operations, which outlive their callers
	stop  context.CancelFunc
	calls sync.WaitGroup
	admit chan struct{} // capacity 1: one pause at a time is checked and placed

	mu         sync.Mutex
	operations map[request]*operation
	verdict    verdict
	judged     chan struct{} // closed at the next verdict
	events     []Event
	silences   map[exporting.BrokerID]silence
	stalls     map[exporting.PartitionID]stall
	foreign    bool // whether a foreign pause was noticed

	looking chan struct{} // capacity 1: guards the rest, and that one status at a time reads the cluster
	looked  time.Time
	seen    *exporting.View
}

// verdict is the outcome of the loop's last drive.
type verdict struct {
	revision uint64 // of the ledger that was driven after
	view     *exporting.View
	err      error // nil: settled
	at       time.Time
}

// New returns a reconciler. Its calls wait for [Reconciler.Run].
func New(opts Options) (*Reconciler, error) {
	switch {
	case opts.Interval <= 0 || opts.Timeout <= 0:
		return nil, fmt.Errorf("interval %v and timeout %v must be positive", opts.Interval, opts.Timeout)
	case opts.OnFailure != Revert && opts.OnFailure != Keep:
		return nil, errors.New("what becomes of a failed pause must be said")
	}
	base, stop := context.WithCancel(context.Background())
	return &Reconciler{
		opts: opts, log: opts.Logger, base: base, stop: stop, admit: make(chan struct{}, 1),
		operations: map[request]*operation{}, judged: make(chan struct{}), silences: map[exporting.BrokerID]silence{},
		stalls: map[exporting.PartitionID]stall{}, looking: make(chan struct{}, 1),
	}, nil
}

// Run is the loop. It returns when the context ends, and all that it began has ended; calls that still wait fail then.
func (r *Reconciler) Run(ctx context.Context) error {
	defer r.end(ctx)
	for ctx.Err() == nil {
		state, changed := r.opts.Ledger.State()
		r.pass(ctx, state, changed)
		timer := time.NewTimer(jitter(r.opts.Interval))
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// end lets no new call begin and waits for those that are under way.
func (r *Reconciler) end(ctx context.Context) {
	r.mu.Lock()
	r.stop()
	r.mu.Unlock()
	r.calls.Wait()
	if state, _ := r.opts.Ledger.State(); len(state.Holds) > 0 {
		r.log.WarnContext(ctx, "exporting stays paused: the hold was kept in memory, and nobody remembers it any more",
			"hold", state.Holds[0].ID, "phase", state.Holds[0].Phase.String())
	}
}

// pass brings the cluster to what the ledger asks for, or looks at it if the ledger asks for nothing. It ends early when
// the ledger changes.
func (r *Reconciler) pass(ctx context.Context, state hold.State, changed <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	unchanged := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { // A drive lasts as long as a broker is dead; what it reads must not go unnoticed meanwhile.
		ticker := time.NewTicker(r.opts.Interval)
		defer ticker.Stop()
		for {
			select {
			case <-changed:
				cancel()
				return
			case <-unchanged:
				return
			case <-ticker.C:
				r.observe(r.opts.Fanout.View())
			}
		}
	})
	defer watch.Wait()
	defer close(unchanged)

	goal, enforce := state.Goal()
	if !enforce {
		r.observe(r.opts.Fanout.Look(ctx))
		return
	}
	if state.Settled() {
		view := r.opts.Fanout.Look(ctx)
		if len(view.Unsettled(goal, r.opts.Fanout.ConfirmInterval())) == 0 {
			r.judge(ctx, state, view, nil)
			return
		}
		if r.resumedElsewhere(ctx, state, view) {
			return
		}
	}
	view, err := r.opts.Fanout.Drive(ctx, goal)
	if err == nil && state.Undo != nil && len(state.Holds) > 0 {
		// What was to be undone is, which takes no proof of completeness; what the holds ask for does.
		r.opts.Ledger.Settle(state.Revision, time.Now())
		goal.Restore = nil
		view, err = r.opts.Fanout.Drive(ctx, goal)
	}
	if err == nil && (len(state.Holds) > 0 || !r.opts.Fanout.Doubtful()) {
		r.opts.Ledger.Settle(state.Revision, time.Now())
	}
	r.judge(ctx, state, view, err)
}

// judge publishes the outcome of a drive to the calls that wait for it, unless the ledger says something else by now.
func (r *Reconciler) judge(ctx context.Context, state hold.State, view *exporting.View, err error) {
	if ctx.Err() != nil {
		return
	}
	r.observe(view)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verdict = verdict{state.Revision, view, err, time.Now()}
	close(r.judged)
	r.judged = make(chan struct{})
}

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
