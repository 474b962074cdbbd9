package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// PauseRequest asks for a hold, or for a renewal.
type PauseRequest struct {
	Hold  string          // its id; empty is the anonymous one
	Phase exporting.Phase // SOFT_PAUSED or PAUSED
	// TTL is how long it lives from now on, cut to the longest that is allowed. 0 is the default for a named hold, and for
	// ever for the anonymous one.
	TTL    time.Duration
	Reason string
	// Renew is the uid of a live hold that is extended by the TTL, and nothing else; then ID and Phase do not count. Empty
	// for anything else.
	Renew        string
	OnFailure    OnFailure
	ValidateOnly bool
	Owner        string // who asks
	// OwnOnly refuses to touch a hold of another owner.
	OwnOnly bool
	// MaxTTL is the longest that this owner may ask for; 0 where it may as long as anybody.
	MaxTTL time.Duration
}

// checkOwner refuses what touches another's hold, as of a state.
func (req *PauseRequest) checkOwner(state *hold.State) error {
	switch {
	case !req.OwnOnly:
		return nil
	case req.Renew != "":
		return state.CheckOwnerUID(req.Renew, req.Owner)
	}
	return state.CheckPlacer(req.Hold, req.Owner)
}

// Pause places a hold, or renews the live one of the same id and phase, and waits until every replica is confirmed to show
// at least what it asks for.
//
// Before anything is touched it fails with an [*exporting.IncompleteTopologyError], [*exporting.MixedVersionsError],
// [*exporting.UnsafeTransitionError], [*exporting.SoftPauseUnsupportedError], [*DiskLowError], [*hold.UnavailableError],
// [*hold.TooManyError] or [ErrShuttingDown]; with a [*hold.NotOwnerError] where the hold is another's; where a uid is to be
// renewed also with a [*HoldNotFoundError], [*HoldExpiredError] or [*HoldBrokenError]. Afterwards with a [*NotSettledError],
// a [*HoldExpiredError], a [*SupersededError], or a [*HoldBrokenError] if the disk guard ended the hold. If the caller
// leaves, the call goes on.
func (r *Reconciler) Pause(ctx context.Context, req PauseRequest) (Result, error) {
	req.Hold = cmp.Or(req.Hold, hold.Operator)
	req.OnFailure = cmp.Or(req.OnFailure, r.opts.OnFailure)
	if req.TTL == 0 && (req.Hold != hold.Operator || req.Renew != "") {
		req.TTL = r.opts.DefaultTTL
	}
	req.TTL = min(req.TTL, r.opts.MaxTTL)
	if req.MaxTTL > 0 && (req.TTL == 0 || req.TTL > req.MaxTTL) {
		req.TTL = req.MaxTTL
	}
	if !req.ValidateOnly {
		return r.start(ctx, func(ctx context.Context, c *call) (Result, error) { return r.pause(ctx, c, req) })
	}
	ctx, cancel := context.WithDeadline(ctx, r.deadline(ctx))
	defer cancel()
	if err := r.opts.Ledger.Stale(); err != nil {
		return Result{}, &hold.UnavailableError{Err: err}
	}
	state, _ := r.opts.Ledger.State()
	if err := req.checkOwner(&state); err != nil {
		return Result{}, err
	}
	if req.Renew != "" {
		if _, live := state.FindUID(req.Renew); !live {
			return Result{}, notRenewed(&state, req.Renew)
		}
		status, err := r.Status(ctx)
		return Result{Status: status}, err
	}
	if h, live := state.Find(req.Hold); live && h.Phase == req.Phase {
		status, err := r.Status(ctx)
		return Result{Status: status}, err
	}
	view, err := r.preflight(ctx, req.Phase)
	if err != nil {
		return Result{}, err
	}
	return Result{Status: r.status(view)}, nil
}

// pause is the call behind Pause: check, write the hold, wait for proof. The loop withdraws the hold if there is none in
// time, also where this call, or this server, is no more.
func (r *Reconciler) pause(ctx context.Context, c *call, req PauseRequest) (Result, error) {
	placed, err := r.place(ctx, c, req)
	if err != nil {
		return Result{}, err
	}
	var goal exporting.Goal
	var ended *hold.Ended
	var left bool
	err = r.await(ctx, c, func(state hold.State, view *exporting.View) (bool, error) {
		left = r.left(&state)
		h, live := state.FindUID(placed.Hold.UID)
		goal = own(&state, &placed.Hold)
		if !live {
			e, known := state.LastUID(placed.Hold.UID)
			if !known {
				return false, &SupersededError{placed.Hold.ID}
			}
			ended = &e
			return true, nil
		}
		placed.Hold = h
		return !h.Settled.IsZero() && r.shows(c, view, goal), nil
	})
	switch {
	case errors.Is(err, errLate), errors.Is(err, errStopped):
		failed := r.notSettled(placed.Hold.ID, goal, outcomeOf(&placed.Hold, left))
		r.event(EventNotSettled, placed.Hold.ID, "%s is not settled in time: %v", describe(&placed.Hold), failed)
		return Result{}, failed
	case err != nil:
		return Result{}, err
	case ended != nil:
		return Result{}, r.lost(ctx, c, ended, goal)
	}
	return r.finish(c, Result{Hold: &placed.Hold}), nil
}

// outcomeOf is what becomes of a hold that lives when its call's time is over, and whether or not a foreign resume is left
// alone.
func outcomeOf(h *hold.Hold, left bool) Outcome {
	switch {
	case left:
		return OutcomeUnenforced
	case h.Deadline.IsZero():
		return OutcomeKept
	case time.Now().Before(h.Deadline):
		return OutcomeContinuing
	}
	return OutcomeReverting // Only whoever drives, or the ledger, is late.
}

// own is what a hold asks for itself: at least its phase where others ask for more, else just that.
func own(state *hold.State, h *hold.Hold) exporting.Goal {
	return exporting.Goal{Phase: h.Phase, AtLeast: state.Target() > h.Phase}
}

// lost is the answer to a call whose hold has ended meanwhile. If it was withdrawn that waits a little for the replicas to
// be back.
func (r *Reconciler) lost(ctx context.Context, c *call, ended *hold.Ended, goal exporting.Goal) error {
	id := ended.Hold.ID
	switch {
	case ended.How == hold.Expired:
		return &HoldExpiredError{id, ended.At}
	case ended.How == hold.Guarded:
		return broken(ended)
	case ended.How != hold.Withdrawn:
		return &SupersededError{id}
	}
	failed := r.notSettled(id, goal, OutcomeReverting)
	err := r.await(ctx, c, func(state hold.State, _ *exporting.View) (bool, error) {
		for i := range state.Holds {
			if state.Holds[i].Created.After(ended.At) {
				return false, &SupersededError{id}
			}
		}
		return state.Undo == nil || !state.Undo.Proven.IsZero(), nil
	})
	if superseded, is := errors.AsType[*SupersededError](err); is {
		return superseded
	}
	if err == nil {
		failed.Outcome = OutcomeReverted
		if ended.Refusal != nil {
			return refusal(ended.Refusal)
		}
	}
	return failed
}

// place checks what a new hold needs and writes it. One pause at a time does so, so that what was checked still holds when
// it is written. A live hold is renewed whatever the cluster looks like.
func (r *Reconciler) place(ctx context.Context, c *call, req PauseRequest) (hold.Placed, error) {
	ctx, cancel := context.WithDeadline(ctx, c.deadline)
	defer cancel()
	if req.Renew != "" {
		return r.renew(ctx, req)
	}
	select {
	case r.admit <- struct{}{}:
		defer func() { <-r.admit }()
	case <-ctx.Done():
		return hold.Placed{}, cmp.Or(r.closing(), error(&exporting.IncompleteTopologyError{
			Missing: []string{"an earlier pause is being checked still"},
		}))
	}
	for {
		state, _ := r.opts.Ledger.State()
		p := hold.Placing{
			ID: req.Hold, Phase: req.Phase, Owner: req.Owner, OwnOnly: req.OwnOnly, Reason: req.Reason, TTL: req.TTL, Held: state.Target(),
		}
		if req.OnFailure == Revert {
			p.Deadline = c.deadline.Add(-forRevert(time.Until(c.deadline))).Round(0)
		}
		h, live := state.Find(req.Hold)
		others := req.checkOwner(&state) != nil // The ledger decides, by what it reads then; a look would be in vain.
		if !others && (!live || h.Phase != req.Phase) {
			view, err := r.preflight(ctx, req.Phase)
			if err != nil {
				return hold.Placed{}, err
			}
			c.before, p.Restore, p.Foreign = view, view.Settable(), view.Observed()
		}
		placed, err := r.opts.Ledger.Place(ctx, p)
		if !errors.Is(err, hold.ErrOvertaken) {
			return placed, err
		}
	}
}

// renew extends the live hold of a uid.
func (r *Reconciler) renew(ctx context.Context, req PauseRequest) (hold.Placed, error) {
	renewed, err := r.opts.Ledger.Renew(ctx, hold.Renewing{UID: req.Renew, TTL: req.TTL, By: req.Owner, OwnOnly: req.OwnOnly})
	switch {
	case err != nil:
		return hold.Placed{}, err
	case renewed == nil:
		state, _ := r.opts.Ledger.State()
		return hold.Placed{}, notRenewed(&state, req.Renew)
	}
	return hold.Placed{Hold: *renewed, Renewed: true}, nil
}

// notRenewed says why a uid cannot be renewed.
func notRenewed(state *hold.State, uid string) error {
	e, known := state.LastUID(uid)
	switch {
	case !known:
		return &HoldNotFoundError{Hold: uid}
	case e.How == hold.Released:
		return &HoldNotFoundError{e.Hold.ID, fmt.Sprintf("released at %s by %s", e.At.UTC().Format(time.RFC3339), e.By)}
	case e.How == hold.Expired:
		return &HoldExpiredError{e.Hold.ID, e.At}
	}
	return broken(&e)
}

// closing is why a call cannot go on if the server is closing; else nil.
func (r *Reconciler) closing() error {
	if r.base.Err() != nil {
		return ErrShuttingDown
	}
	return nil
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
			if err == nil {
				err = r.roomToPause(ctx)
			}
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
