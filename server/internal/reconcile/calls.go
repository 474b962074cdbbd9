package reconcile

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// Result is what a call brought about.
type Result struct {
	// Hold that was placed, renewed or released; nil if there was none.
	Hold *hold.Hold
	// Verdict is the continuity of a hold that was released.
	Verdict hold.Continuity
	// Forced has the holds that a resume of everything ended; Unrecorded is true if that is not in the ledger yet, so that
	// another server would enforce them again.
	Forced     []hold.Ended
	Unrecorded bool
	// Changes of phase during the call.
	Changes []exporting.Change
	// Status at its end.
	Status *Status
}

// call is a change that is under way. It belongs to the server: it goes on when its caller has left.
type call struct {
	began    time.Time
	deadline time.Time       // when it is to answer
	before   *exporting.View // what was known before it touched anything
}

// start begins a call and waits for it as long as the caller can.
func (r *Reconciler) start(ctx context.Context, run func(context.Context, *call) (Result, error)) (Result, error) {
	c := &call{began: time.Now(), deadline: r.deadline(ctx), before: r.opts.Fanout.View()}
	var result Result
	var err error
	done := make(chan struct{})
	r.mu.Lock()
	if r.ended {
		r.mu.Unlock()
		return Result{}, ErrShuttingDown
	}
	r.calls.Go(func() {
		defer close(done)
		// What the caller's context says goes along; its end does not.
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		defer context.AfterFunc(r.base, cancel)()
		result, err = run(ctx, c)
	})
	r.mu.Unlock()
	select {
	case <-done:
		return result, err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// deadline is when a call is to answer: the caller's deadline, clamped by the timeout, less what the answer needs to get
// there. So it is we who say which replica was late, not the caller's clock.
func (r *Reconciler) deadline(ctx context.Context) time.Time {
	left := r.opts.Timeout
	if d, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(d))
	}
	return time.Now().Add(left - min(left/10, time.Second))
}

// Why a call stops waiting although the loop goes on with what it wrote, here or wherever the ledger is served next.
var (
	errLate    = errors.New("the time is over")
	errStopped = errors.New("the server stops")
)

// await asks a question of the ledger and the last view again and again, until it is answered, or until the call's
// deadline. Views that are older than the call are no answer to anything: ask has to see to that.
func (r *Reconciler) await(ctx context.Context, c *call, ask func(hold.State, *exporting.View) (answered bool, err error)) error {
	r.mu.Lock()
	r.waiting[c] = trace.SpanContextFromContext(ctx)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.waiting, c)
	}()
	r.poke()
	timer := time.NewTimer(time.Until(c.deadline))
	defer timer.Stop()
	for {
		state, changed := r.opts.Ledger.State()
		r.mu.Lock()
		view, seen := r.view, r.seen
		r.mu.Unlock()
		if answered, err := ask(state, view); answered || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-seen:
		case <-timer.C:
			return errLate
		case <-ctx.Done():
			return errStopped
		}
	}
}

// poke wakes the loop.
func (r *Reconciler) poke() {
	select {
	case r.nudge <- struct{}{}:
	default:
	}
}

// shows reports whether a view that is newer than the call proves a goal.
func (r *Reconciler) shows(c *call, view *exporting.View, goal exporting.Goal) bool {
	return view != nil && view.Since(c.began) && len(view.Unsettled(goal, r.opts.Fanout.ConfirmInterval())) == 0
}

// finish describes what a call brought about, by what was read last.
func (r *Reconciler) finish(c *call, result Result) Result {
	r.mu.Lock()
	view := r.view
	r.mu.Unlock()
	result.Changes, result.Status = exporting.Changes(c.before, view), r.status(view)
	return result
}
