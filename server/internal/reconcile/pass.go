package reconcile

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// errOver ends a drive whose goal, term or time is over.
var errOver = errors.New("there is something else to do")

// pass brings the cluster to what the ledger asks for, or looks at it: if the ledger asks for nothing, if another server
// drives, or if the ledger cannot be read, because an old one must not be enforced. It fails only with what ends the loop.
func (r *Reconciler) pass(ctx context.Context) error {
	lost := r.opts.Ledger.Refresh(ctx)
	r.noticeStore()
	if _, damaged := errors.AsType[*hold.DamagedError](lost); damaged {
		return lost
	}
	term, driving := r.drives()
	driving = driving && lost == nil && r.begin(ctx, term)
	if driving {
		r.unlessStored(r.opts.Ledger.Tick(ctx, term.ID))
	}
	state, changed := r.opts.Ledger.State()
	r.tell(state)
	goal, enforce := state.Goal()
	// A resume of everything that could not be written is carried out by whom it was asked of: nobody else knows of it.
	if enforce && (driving || r.opts.Ledger.Forced() && state.Undo != nil) {
		r.drive(ctx, term.ID, state, changed, goal)
	} else {
		r.observe(ctx, r.opts.Fanout.Look(ctx))
	}
	return r.bind(ctx, lost)
}

// drives reports whether this server drives the brokers, and in which term.
func (r *Reconciler) drives() (Term, bool) {
	if r.opts.Election == nil {
		return Term{}, true
	}
	term, driving, _ := r.opts.Election.Term()
	return term, driving
}

// begin begins a term, if it has not, and reports whether it may be driven in. Whoever drove before may have asked the
// brokers for something that is not applied yet.
func (r *Reconciler) begin(ctx context.Context, term Term) bool {
	r.mu.Lock()
	begun := r.begun && r.term == term.ID
	r.mu.Unlock()
	if begun {
		return true
	}
	if err := r.opts.Ledger.Take(ctx, term.ID, term.Driver); err != nil && r.opts.Election != nil {
		r.unlessStored(err)
		return false
	}
	state, _ := r.opts.Ledger.State()
	if _, enforce := state.Goal(); enforce {
		r.opts.Fanout.Suspect(mayHaveSoftened(&state, time.Now()))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.term, r.begun = term.ID, true
	return true
}

// mayHaveSoftened reports whether a soft pause may be on its way to the brokers, going by the ledger.
func mayHaveSoftened(state *hold.State, now time.Time) bool {
	for i := range state.Holds {
		if state.Holds[i].Phase == exporting.PhaseSoftPaused {
			return true
		}
	}
	for i := range state.History {
		if e := &state.History[i]; e.Hold.Phase == exporting.PhaseSoftPaused && now.Sub(e.At) < time.Minute {
			return true
		}
	}
	if state.Undo != nil {
		for _, phase := range state.Undo.Restore {
			if phase == exporting.PhaseSoftPaused {
				return true
			}
		}
	}
	return false
}

// drive brings the cluster to a goal. It ends early when there is something else to do.
func (r *Reconciler) drive(ctx context.Context, term uint64, state hold.State, changed <-chan struct{}, goal exporting.Goal) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	guarding := make(chan struct{})
	defer func() { <-guarding }()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		defer close(guarding)
		r.guard(ctx, stop, ended, term, state, changed)
	}()

	if state.Settled() {
		view := r.opts.Fanout.Look(ctx)
		astray := view.Unsettled(goal, r.opts.Fanout.ConfirmInterval())
		if len(astray) == 0 {
			r.foreign.settled(time.Now())
			r.repausing(nil)
			r.observe(ctx, view)
			return
		}
		if r.resumedElsewhere(ctx, term, state, view) {
			return
		}
		r.repausing(astray)
	}
	view, err := r.opts.Fanout.Drive(ctx, goal)
	switch {
	case errors.Is(context.Cause(ctx), errOver):
		return
	case err == nil && state.Undo != nil:
		r.unlessStored(r.opts.Ledger.Prove(ctx, term, state.Undo.Revision, !r.opts.Fanout.Doubtful()))
	case err != nil && ctx.Err() == nil:
		r.refused(ctx, term, state, err)
	}
	r.observe(ctx, view)
}

// guard observes what a drive reads, which lasts as long as a broker is dead, and stops it when there is something else
// to do. It returns when the drive has ended.
func (r *Reconciler) guard(ctx context.Context, stop context.CancelCauseFunc, ended <-chan struct{}, term uint64,
	state hold.State, changed <-chan struct{},
) {
	tick := time.NewTicker(max(r.opts.Fanout.ConfirmInterval(), minPause))
	defer tick.Stop()
	var due <-chan time.Time
	if at := state.Due(time.Now()); !at.IsZero() {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		due = timer.C
	}
	observed := time.Now()
	for {
		select {
		case <-ended:
			return
		case <-changed:
			state, changed = r.follows(stop, state)
			continue
		case <-r.elected():
			if now, driving := r.drives(); !driving && !r.opts.Ledger.Forced() || now.ID != term {
				stop(errOver)
				return
			}
			continue
		case <-due:
			stop(errOver)
			return
		case now := <-tick.C:
			if !r.inDemand(state) && now.Sub(observed) < r.opts.Interval {
				continue
			}
			observed = now
		}
		r.observe(ctx, r.opts.Fanout.View())
	}
}

// follows takes notice of a change of the ledger during a drive, and stops the drive if it has another goal now.
func (r *Reconciler) follows(stop context.CancelCauseFunc, before hold.State) (hold.State, <-chan struct{}) {
	state, changed := r.opts.Ledger.State()
	r.tell(state)
	goal, enforce := state.Goal()
	old, _ := before.Goal()
	undo := state.Undo == nil && before.Undo == nil ||
		state.Undo != nil && before.Undo != nil && state.Undo.Revision == before.Undo.Revision
	if !enforce || !undo || goal.Phase != old.Phase || !maps.Equal(goal.Restore, old.Restore) || !state.Due(time.Now()).Equal(before.Due(time.Now())) {
		stop(errOver)
	}
	return state, changed
}

// inDemand reports whether somebody waits for what a drive reads: a call, or a hold that is to settle.
func (r *Reconciler) inDemand(state hold.State) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting > 0 || !state.Settled()
}

// refused withdraws the holds that a broker's final no makes impossible. To go on would be in vain, also for those that
// were to be kept: a hold that can never settle helps nobody.
func (r *Reconciler) refused(ctx context.Context, term uint64, state hold.State, err error) {
	var refusal hold.Refusal
	phase := exporting.PhasePaused
	if unsafe, is := errors.AsType[*exporting.UnsafeTransitionError](err); is {
		refusal.Unsafe = unsafe.Brokers
	} else if unsupported, is := errors.AsType[*exporting.SoftPauseUnsupportedError](err); is {
		refusal.Unsupported, refusal.Version, phase = unsupported.Brokers, unsupported.Version, exporting.PhaseSoftPaused
	} else {
		return
	}
	uids := map[string]hold.Refusal{}
	for i := range state.Holds {
		if h := &state.Holds[i]; h.Settled.IsZero() && h.Phase == phase && h.Restore != nil {
			uids[h.UID] = refusal
		}
	}
	if len(uids) > 0 {
		r.unlessStored(r.opts.Ledger.Refuse(ctx, term, uids, err.Error()))
	}
}

// bind binds the ledger to the cluster that was found. Where that is another's, nothing may be enforced on it.
func (r *Reconciler) bind(ctx context.Context, lost error) error {
	topology := r.opts.Fanout.View().Topology
	if topology == nil || lost != nil {
		return nil
	}
	err := r.opts.Ledger.Bind(ctx, topology)
	if other, is := errors.AsType[*hold.OtherClusterError](err); is {
		return other
	}
	r.unlessStored(err)
	return nil
}

// unlessStored logs that something could not be written to the ledger. The next pass finds it still to be done.
func (r *Reconciler) unlessStored(err error) {
	if err != nil && r.base.Err() == nil {
		r.log.LogAttrs(r.base, levelOf(err), "the ledger was not written", attrError(err))
	}
}
