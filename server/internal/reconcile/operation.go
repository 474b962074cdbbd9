package reconcile

import (
	"context"
	"errors"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// request is what a call asks for. Equal requests that are under way at once are one operation.
type request struct {
	phase     exporting.Phase // EXPORTING for a resume
	onFailure OnFailure       // of a pause
}

// operation is a change that is under way. It belongs to the server: it goes on when its callers have left.
type operation struct {
	request

	owner  string
	done   chan struct{} // closed when result and err are set
	result Result
	err    error

	deadline time.Time     // when it is to answer; later if a caller with more time joins. Guarded by Reconciler.mu
	extended chan struct{} // closed when deadline moves
}

// Result is what a call brought about.
type Result struct {
	// Hold that was placed, renewed or released; nil if there was none.
	Hold *hold.Hold
	// Changes of phase during the operation.
	Changes []exporting.Change
	// Status at its end.
	Status *Status
}

// start joins the operation that does the same, or begins one, and waits for it as long as the caller can.
func (r *Reconciler) start(ctx context.Context, req request, owner string,
	run func(context.Context, *operation) (Result, error),
) (Result, error) {
	deadline := r.deadline(ctx)
	op, err := r.join(req, owner, deadline, run)
	if err != nil {
		return Result{}, err
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-op.done:
		return op.result, op.err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	case <-timer.C:
	}
	r.mu.Lock()
	prolonged := op.deadline.After(deadline)
	r.mu.Unlock()
	if prolonged {
		return Result{}, r.notSettled(req, OutcomeContinuing, nil)
	}
	select { // It is about to answer: its time is over too.
	case <-op.done:
		return op.result, op.err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

func (r *Reconciler) join(req request, owner string, deadline time.Time,
	run func(context.Context, *operation) (Result, error),
) (*operation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.base.Err() != nil {
		return nil, ErrShuttingDown
	}
	if op, ok := r.operations[req]; ok {
		if deadline.After(op.deadline) {
			op.deadline = deadline
			close(op.extended)
			op.extended = make(chan struct{})
		}
		return op, nil
	}
	op := &operation{
		request: req, owner: owner, deadline: deadline, done: make(chan struct{}), extended: make(chan struct{}),
	}
	r.operations[req] = op
	r.calls.Go(func() {
		defer close(op.done)
		op.result, op.err = run(r.base, op)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.operations, req)
	})
	return op, nil
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

// await waits for the verdict on a revision of the ledger, or a later one, until the operation's deadline less reserve.
// alive tells whether the operation still has the word at a state of the ledger.
func (r *Reconciler) await(ctx context.Context, op *operation, revision uint64, reserve func(left time.Duration) time.Duration,
	alive func(hold.State) bool,
) (*exporting.View, error) {
	began := time.Now()
	for {
		state, changed := r.opts.Ledger.State()
		r.mu.Lock()
		v, judged, deadline, extended := r.verdict, r.judged, op.deadline, op.extended
		r.mu.Unlock()
		if !alive(state) {
			return nil, &SupersededError{Hold: hold.Operator}
		}
		if v.view != nil && v.revision >= revision {
			return v.view, v.err
		}
		total := deadline.Sub(began)
		timer := time.NewTimer(time.Until(deadline.Add(-reserve(total))))
		select {
		case <-changed:
		case <-judged:
		case <-extended:
		case <-timer.C:
			return nil, errLate
		case <-ctx.Done():
			timer.Stop()
			return nil, ErrShuttingDown
		}
		timer.Stop()
	}
}

// errLate is the end of an operation's time.
var errLate = errors.New("the time is over")

// nothing is the reserve of a wait after which nothing more is to be done.
func nothing(time.Duration) time.Duration { return 0 }
