package reconcile

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// errOver ends a drive whose order does not stand any more.
var errOver = errors.New("there is something else to do")

// drive carries out an order. It ends early when there is something else to do.
func (r *Reconciler) drive(ctx context.Context, o order) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var guarding sync.WaitGroup
	defer guarding.Wait()
	underway, ended := context.WithCancel(ctx)
	defer ended()
	guarding.Go(func() { r.guard(ctx, underway, stop, o) })

	if o.state.Settled() {
		view := r.opts.Fanout.Look(ctx)
		astray := view.Unsettled(o.goal, r.opts.Fanout.ConfirmInterval())
		if len(astray) == 0 {
			r.proven(ctx, &o)
			r.observe(ctx, view)
			return
		}
		if r.resumedElsewhere(ctx, &o, view) {
			return
		}
		r.repausing(astray)
		r.fight(ctx, o.term)
	}
	traced, end := r.trace(ctx, &o)
	view, err := r.opts.Fanout.Drive(traced, o.goal)
	end(err)
	switch {
	case errors.Is(context.Cause(ctx), errOver):
		return
	case err == nil && o.state.Undo == nil:
		r.proven(ctx, &o)
	case err == nil:
		r.unlessStored(r.opts.Ledger.Prove(ctx, o.term, o.state.Undo.Revision, !r.opts.Fanout.Doubtful() && !r.strays(o.state.Undo)))
	case ctx.Err() == nil:
		r.refused(ctx, o.term, o.state, err)
	}
	r.observe(ctx, view)
}

// proven takes notice that every replica is confirmed to show what the holds of an order ask for: what happens next is
// something new. A pause that was asked for since the order was made waits for the next pass.
func (r *Reconciler) proven(ctx context.Context, o *order) {
	r.foreign.settled(time.Now())
	r.repausing(nil)
	if o.state.Stance != hold.Judge {
		r.stand(ctx, o.term, o.state.Revision, hold.Judge)
	}
}

// stray is how long a server that drives may take to notice that the store is lost, with a drive or a lease under way.
const stray = 15 * time.Second

// strays reports whether another server, which cannot know of a resume by force that is not written, may still pause what was
// resumed. It is looked after for a time, not for ever: a server that has the store is right to enforce what is in it.
func (r *Reconciler) strays(undo *hold.Undo) bool {
	return r.opts.Election != nil && r.opts.Ledger.Forced() && (undo.Proven.IsZero() || time.Since(undo.Proven) < stray)
}

// guard does what passes do while a drive is under way, which lasts as long as a broker is dead: it observes what is read,
// finds out whether the ledger is lost or back, and stops the drive when its order does not stand any more.
func (r *Reconciler) guard(ctx, underway context.Context, stop context.CancelCauseFunc, o order) {
	tick := time.NewTicker(max(r.opts.Fanout.ConfirmInterval(), minPause))
	defer tick.Stop()
	var due <-chan time.Time
	if !o.due.IsZero() {
		timer := time.NewTimer(time.Until(o.due))
		defer timer.Stop()
		due = timer.C
	}
	observed, refreshed := time.Now(), time.Now()
	for {
		select {
		case <-underway.Done():
			return
		case <-due:
			stop(errOver)
			return
		case <-o.changed:
		case <-o.elected:
		case now := <-tick.C:
			if r.inDemand(o.state) || now.Sub(observed) >= r.opts.Interval {
				observed = now
				r.observe(ctx, r.opts.Fanout.View())
			}
			if now.Sub(refreshed) < r.opts.Interval {
				continue
			}
			refreshed = now
			_ = r.opts.Ledger.Refresh(underway) // Whether it is lost is asked below.
			r.noticeStore()
		}
		if !r.stands(&o) {
			stop(errOver)
			return
		}
	}
}

// stands takes notice of what the ledger and the election say by now, and reports whether an order still stands.
func (r *Reconciler) stands(o *order) bool {
	now := time.Now()
	before := o.state
	term, driving, elected := r.drives()
	o.state, o.changed = r.tell(now)
	o.elected = elected
	goal, enforce := o.state.Goal()
	return enforce && goal.Phase == o.goal.Phase && maps.Equal(goal.Restore, o.goal.Restore) &&
		undoing(&o.state) == undoing(&before) && o.state.Due(now).Equal(before.Due(now)) &&
		(r.opts.Ledger.Forced() || driving && term.ID == o.term && !r.opts.Ledger.Lost())
}

// undoing is the revision that asked for what is being undone; 0 if there is none.
func undoing(s *hold.State) uint64 {
	if s.Undo == nil {
		return 0
	}
	return s.Undo.Revision
}

// inDemand reports whether somebody waits for what a drive reads: a call, or a hold that is to settle.
func (r *Reconciler) inDemand(state hold.State) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting) > 0 || !state.Settled()
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
