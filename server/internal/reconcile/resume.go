package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// ResumeRequest asks that a hold be released, or all.
type ResumeRequest struct {
	Hold         string // its id; empty is the anonymous one
	Force        bool   // every hold
	ValidateOnly bool
	Owner        string // who asks
	// OwnOnly refuses a hold of another owner, and to end every hold.
	OwnOnly bool
}

// checkOwner refuses another's hold, as of a state.
func (req *ResumeRequest) checkOwner(state *hold.State) error {
	if !req.OwnOnly {
		return nil
	}
	return state.CheckOwner(req.Hold, req.Owner)
}

// Resume releases a hold, if it lives, and waits until every replica is confirmed to show what the others ask for. With
// none left that is EXPORTING, and pauses that nobody holds end too. It needs no complete topology. Where the others are not
// enforced, because somebody resumed at the brokers and that is left alone, there is nothing to wait for.
//
// It fails with a [*NotSettledError], which names the replicas that did not follow while all others did and the loop goes
// on; with a [*HeldByOthersError] if it released the anonymous hold and others are left; with a [*HoldNotFoundError],
// [*HoldExpiredError] or [*HoldBrokenError] for a named hold, once the cluster shows what the others ask for; with a
// [*hold.NotOwnerError], when nothing is touched; with a [*SupersededError] if a pause came meanwhile; with a
// [*hold.UnavailableError], but not if it ends every hold; or with [ErrShuttingDown]. If the caller leaves, the call goes on.
func (r *Reconciler) Resume(ctx context.Context, req ResumeRequest) (Result, error) {
	req.Hold = cmp.Or(req.Hold, hold.Operator)
	if req.OwnOnly && req.Force {
		return Result{}, &hold.NotOwnerError{Hold: req.Hold} // The anonymous one is nobody's own.
	}
	if !req.ValidateOnly {
		return r.start(ctx, func(ctx context.Context, c *call) (Result, error) { return r.resume(ctx, c, req) })
	}
	if !req.Force {
		if err := r.opts.Ledger.Stale(); err != nil {
			return Result{}, &hold.UnavailableError{Err: err}
		}
		state, _ := r.opts.Ledger.State()
		if err := req.checkOwner(&state); err != nil {
			return Result{}, err
		}
		last, known := state.Last(req.Hold)
		if _, live := state.Find(req.Hold); !live || req.Hold == hold.Operator {
			if err := answer(&state, req.Hold, &last, known); err != nil {
				return Result{}, err
			}
		}
	}
	status, err := r.Status(ctx)
	return Result{Status: status}, err
}

// resume is the call behind Resume.
func (r *Reconciler) resume(ctx context.Context, c *call, req ResumeRequest) (Result, error) {
	if req.Force {
		return r.force(ctx, c, req)
	}
	released, err := r.release(ctx, c, req)
	if err != nil {
		return Result{}, err
	}
	result := Result{}
	var reason error
	if released.Ended != nil || req.Hold != hold.Operator || len(released.State.Named()) > 0 {
		reason = answer(&released.State, req.Hold, released.Ended, released.Ended != nil)
	}
	if notFound, is := errors.AsType[*HoldNotFoundError](reason); is {
		return Result{}, notFound
	}
	if others, is := errors.AsType[*HeldByOthersError](reason); is {
		return Result{}, others
	}
	if released.Ended != nil && (released.Now || req.Hold != hold.Operator) {
		result.Hold, result.Verdict = &released.Ended.Hold, released.Ended.Continuity
	}
	if !released.Now && req.Hold == hold.Operator {
		r.event(EventResumed, "", "exporting was resumed by %s, with no hold to release", req.Owner)
	}
	if err := r.awaitResumed(ctx, c, req.Hold); err != nil {
		return Result{}, err
	}
	if reason != nil {
		return Result{}, reason
	}
	return r.finish(c, result), nil
}

// force ends every hold, also where that cannot be written.
func (r *Reconciler) force(ctx context.Context, c *call, req ResumeRequest) (Result, error) {
	writing, cancel := context.WithDeadline(ctx, c.deadline)
	ended, recorded := r.opts.Ledger.Force(writing, req.Owner)
	cancel()
	if !recorded {
		r.event(EventStore, "", "exporting is resumed by %s by force, which the ledger does not know yet: another server would enforce its holds again",
			req.Owner)
	}
	if len(ended) == 0 {
		r.event(EventResumed, "", "exporting was resumed by %s by force, with no hold to end", req.Owner)
	}
	if err := r.awaitResumed(ctx, c, hold.Operator); err != nil {
		return Result{}, err
	}
	return r.finish(c, Result{Forced: ended, Unrecorded: !recorded}), nil
}

// release looks at the cluster once more before a named hold goes, because that is the last moment to see what it is
// worth, and releases it.
func (r *Reconciler) release(ctx context.Context, c *call, req ResumeRequest) (hold.Release, error) {
	ctx, cancel := context.WithDeadline(ctx, c.deadline)
	defer cancel()
	for {
		state, _ := r.opts.Ledger.State()
		releasing := hold.Releasing{ID: req.Hold, By: req.Owner, OwnOnly: req.OwnOnly}
		others := req.checkOwner(&state) != nil // The ledger decides, by what it reads then; a look would be in vain.
		if h, live := state.Find(req.Hold); live && !others {
			releasing.Judged = h.UID
			releasing.Verdict, releasing.Findings = r.lastLook(ctx, &h)
		}
		released, err := r.opts.Ledger.Release(ctx, releasing)
		switch {
		case !errors.Is(err, hold.ErrOvertaken):
			return released, err
		case ctx.Err() != nil:
			return released, &hold.UnavailableError{Err: err}
		}
	}
}

// lastLook reads the cluster and tells what a hold that ends now is worth.
func (r *Reconciler) lastLook(ctx context.Context, h *hold.Hold) (hold.Continuity, []string) {
	if h.Settled.IsZero() {
		return hold.Pending, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	view := r.opts.Fanout.Look(ctx)
	if found := r.opts.Witness.findings(h.UID); len(found) > 0 {
		return hold.Broken, found
	}
	if unseen := unseen(view); len(unseen) > 0 && !h.Record.Broken {
		return hold.Unknown, unseen
	}
	return h.Record.Verdict(), nil
}

// awaitResumed waits until the cluster shows what the holds that are left ask for, if they are enforced.
func (r *Reconciler) awaitResumed(ctx context.Context, c *call, id string) error {
	var goal exporting.Goal
	err := r.await(ctx, c, func(state hold.State, view *exporting.View) (bool, error) {
		goal, _ = state.Goal()
		switch {
		case len(state.Holds) > 0 && id == hold.Operator:
			return false, &SupersededError{id}
		case len(state.Holds) == 0 && state.Undo != nil && state.Undo.Proven.IsZero():
			return false, nil
		}
		return r.left(&state) || r.shows(c, view, goal), nil
	})
	if errors.Is(err, errLate) || errors.Is(err, errStopped) {
		failed := r.notSettled(id, goal, OutcomeResuming)
		r.event(EventNotSettled, "", "the resume is not settled: %v", failed)
		return failed
	}
	return err
}

// answer is what there is to say to whoever releases a hold that has ended, and says it again each time: nil is success.
func answer(state *hold.State, id string, ended *hold.Ended, known bool) error {
	switch named := state.Named(); {
	case id == hold.Operator && len(named) > 0:
		return &HeldByOthersError{named}
	case id == hold.Operator:
		return nil
	case !known:
		return &HoldNotFoundError{Hold: id}
	case ended.How == hold.Expired:
		return &HoldExpiredError{id, ended.At}
	case ended.How != hold.Released, ended.Continuity == hold.Broken, ended.Continuity == hold.Unknown:
		return broken(ended)
	}
	return nil
}

// broken says why what was done under a hold is worth nothing.
func broken(e *hold.Ended) *HoldBrokenError {
	err := &HoldBrokenError{e.Hold.ID, hold.Broken, e.Hold.Record.Evidence}
	switch {
	case e.How != hold.Released:
		why := func(found string) bool { return found == e.By } // It would be said twice.
		err.Evidence = append([]string{fmt.Sprintf("it was %s before it was released (%s)", e.How, e.By)},
			slices.DeleteFunc(slices.Clone(err.Evidence), why)...)
	case e.Continuity == hold.Unknown:
		err.Continuity = hold.Unknown
	}
	if len(err.Evidence) == 0 {
		err.Evidence = []string{"nothing more is remembered"}
	}
	return err
}
