package reconcile

import (
	"context"
	"errors"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// ResumeRequest asks that the anonymous hold be released.
type ResumeRequest struct {
	ValidateOnly bool
	Owner        string // who asks, for people
}

// Resume releases the anonymous hold, if it lives, and waits until every replica is confirmed exporting: pauses that
// nobody holds end too. It needs no complete topology.
//
// It fails with a [*NotSettledError], which names the replicas that did not follow while all others were resumed and the
// loop goes on; with a [*SupersededError] if a pause came meanwhile; or with [ErrShuttingDown]. If the caller leaves, the
// operation goes on.
func (r *Reconciler) Resume(ctx context.Context, req ResumeRequest) (Result, error) {
	if req.ValidateOnly {
		status, err := r.Status(ctx)
		return Result{Status: status}, err
	}
	return r.start(ctx, request{phase: exporting.PhaseExporting}, req.Owner, r.resume)
}

// resume is the operation behind Resume.
func (r *Reconciler) resume(ctx context.Context, op *operation) (Result, error) {
	before := r.opts.Fanout.View()
	released, state := r.opts.Ledger.Release(hold.Operator)
	if released != nil {
		r.event(released.ID, "%s was released by %s", describe(*released), op.owner)
	} else {
		r.event("", "exporting was resumed by %s, with no hold to release", op.owner)
	}
	view, err := r.await(ctx, op, state.Revision, nothing, func(s hold.State) bool { return len(s.Holds) == 0 })
	var superseded *SupersededError
	switch {
	case err == nil:
		return Result{released, exporting.Changes(before, view), r.status(view)}, nil
	case errors.As(err, &superseded), errors.Is(err, ErrShuttingDown):
		return Result{}, err
	}
	failed := r.notSettled(op.request, OutcomeResuming, view)
	r.event("", "the resume is not settled: %v", failed)
	return Result{}, failed
}
