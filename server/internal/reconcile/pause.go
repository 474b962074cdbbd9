package reconcile

import (
	"context"
	"errors"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// PauseRequest asks for the anonymous hold.
type PauseRequest struct {
	Phase        exporting.Phase // SOFT_PAUSED or PAUSED
	OnFailure    OnFailure
	ValidateOnly bool
	Owner        string // who asks, for people
}

// Pause places the anonymous hold, or renews it, and waits until every replica is confirmed in its phase.
//
// Before anything is touched it fails with an [*exporting.IncompleteTopologyError], [*exporting.MixedVersionsError],
// [*exporting.UnsafeTransitionError], [*exporting.SoftPauseUnsupportedError] or [ErrShuttingDown]. Afterwards with a
// [*NotSettledError] or a [*SupersededError]. If the caller leaves, the operation goes on.
func (r *Reconciler) Pause(ctx context.Context, req PauseRequest) (Result, error) {
	if req.OnFailure == OnFailureDefault {
		req.OnFailure = r.opts.OnFailure
	}
	if req.ValidateOnly {
		ctx, cancel := context.WithDeadline(ctx, r.deadline(ctx))
		defer cancel()
		view, err := r.preflight(ctx, req.Phase)
		if err != nil {
			return Result{}, err
		}
		return Result{Status: r.status(view)}, nil
	}
	return r.start(ctx, request{req.Phase, req.OnFailure}, req.Owner, r.pause)
}

// pause is the operation behind Pause: check, write the hold, wait for proof, and undo it if there is none.
func (r *Reconciler) pause(ctx context.Context, op *operation) (Result, error) {
	placed, before, err := r.place(ctx, op)
	if err != nil {
		return Result{}, err
	}
	// A renewal is no event: a script that repeats its pause would push what matters out of the list.
	if !placed.Renewed() {
		r.event(placed.Hold.ID, "%s was placed by %s", describe(placed.Hold), op.owner)
	}
	view, err := r.await(ctx, op, placed.After.Revision, forRevert, func(s hold.State) bool {
		h, ok := s.Find(placed.Hold.ID)
		return ok && h.UID == placed.Hold.UID
	})
	var superseded *SupersededError
	switch {
	case err == nil:
		state, _ := r.opts.Ledger.State()
		if h, ok := state.Find(placed.Hold.ID); ok && h.UID == placed.Hold.UID {
			placed.Hold = h
		}
		return Result{&placed.Hold, exporting.Changes(before, view), r.status(view)}, nil
	case errors.As(err, &superseded), errors.Is(err, ErrShuttingDown):
		return Result{}, err
	}
	failed := r.notSettled(op.request, OutcomeKept, view)
	refused := !errors.Is(err, errLate) // A broker refused for good: to go on would be in vain.
	if placed.Renewed() || op.onFailure == Keep && !refused {
		r.event(placed.Hold.ID, "%s is kept although not settled: %v", describe(placed.Hold), failed)
		return Result{}, failed
	}
	if reverted := r.revert(ctx, op, placed, before, failed); !refused || failed.Outcome != OutcomeReverted {
		return Result{}, reverted
	}
	return Result{}, err
}

// place checks what a new hold needs and writes it. One pause at a time does so, so that what was checked still holds when
// it is written. The live hold of the same phase is renewed whatever the cluster looks like.
func (r *Reconciler) place(ctx context.Context, op *operation) (hold.Placed, *exporting.View, error) {
	select {
	case r.admit <- struct{}{}:
		defer func() { <-r.admit }()
	case <-ctx.Done():
		return hold.Placed{}, nil, ErrShuttingDown
	}
	state, _ := r.opts.Ledger.State()
	if h, ok := state.Find(hold.Operator); ok && h.Phase == op.phase {
		return r.opts.Ledger.Place(hold.Operator, op.phase, op.owner), r.opts.Fanout.View(), nil
	}
	r.mu.Lock()
	deadline := op.deadline
	r.mu.Unlock()
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	view, err := r.preflight(ctx, op.phase)
	if err != nil {
		return hold.Placed{}, nil, err
	}
	return r.opts.Ledger.Place(hold.Operator, op.phase, op.owner), view, nil
}

// revert withdraws a hold that did not settle and waits a little for the replicas to be back.
func (r *Reconciler) revert(ctx context.Context, op *operation, placed hold.Placed, before *exporting.View,
	failed *NotSettledError,
) error {
	state, ok := r.opts.Ledger.Withdraw(placed, before.Settable())
	if !ok {
		return &SupersededError{Hold: placed.Hold.ID}
	}
	failed.Outcome = OutcomeReverting
	r.event(placed.Hold.ID, "%s was withdrawn: %v", describe(placed.Hold), failed)
	_, err := r.await(ctx, op, state.Revision, nothing, func(s hold.State) bool { return s.Revision == state.Revision })
	if err == nil {
		failed.Outcome = OutcomeReverted
	}
	return failed
}

// forRevert keeps a fifth of the time for undoing what did not settle.
func forRevert(left time.Duration) time.Duration { return min(left/5, 5*time.Second) }

// preflight reads the cluster until nothing stands against pausing it, or its patience ends, and returns what it read. It
// touches nothing.
func (r *Reconciler) preflight(ctx context.Context, phase exporting.Phase) (*exporting.View, error) {
	patience := 10 * time.Second
	if d, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(d)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var before error // what the last look that was not cut short found
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		view := r.opts.Fanout.Look(ctx)
		err := r.permits(view, phase)
		switch {
		case err != nil && r.base.Err() != nil:
			return nil, ErrShuttingDown
		case err != nil && before != nil && ctx.Err() != nil:
			return nil, before
		}
		before = err
		if _, incomplete := errors.AsType[*exporting.IncompleteTopologyError](err); !incomplete {
			return view, err
		}
		if !sleep(ctx, jitter(wait)) {
			return nil, err
		}
	}
}

// permits judges whether a view and the ledger permit a pause.
func (r *Reconciler) permits(view *exporting.View, phase exporting.Phase) error {
	if incomplete := view.Incomplete(); len(incomplete) > 0 {
		return &exporting.IncompleteTopologyError{Missing: exporting.Describe(incomplete)}
	}
	state, _ := r.opts.Ledger.State()
	return view.Permits(phase, state.Target(), r.opts.Fanout.ConfirmInterval())
}

func describe(h hold.Hold) string {
	return "hold " + h.ID + " (" + h.Phase.String() + ")"
}
