package reconcile

import (
	"context"
	"errors"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// order is what there is to do, as of when a pass looked.
type order struct {
	term  uint64
	state hold.State
	goal  exporting.Goal
	// What tells that there may be something else to do: closed channels, or time.
	changed, elected <-chan struct{}
	due              time.Time // zero: never
}

// pass brings the cluster to what the ledger asks for, or looks at it: if the ledger asks for nothing, if another server
// drives, or if the ledger cannot be read, because an old one must not be enforced. It fails only with what ends the loop.
func (r *Reconciler) pass(ctx context.Context) (order, error) {
	lost := r.opts.Ledger.Refresh(ctx)
	r.noticeStore()
	if _, damaged := errors.AsType[*hold.DamagedError](lost); damaged {
		return order{}, lost
	}
	known, err := r.bind(ctx, lost == nil)
	if err != nil {
		return order{}, err
	}
	r.recant(ctx, lost == nil)
	term, driving, elected := r.drives()
	if !driving && !r.opts.Ledger.Forced() {
		r.opts.Fanout.Yield()
	}
	driving = driving && lost == nil && r.begin(ctx, term)
	if driving && r.opts.Ledger.Stale() == nil {
		r.unlessStored(r.opts.Ledger.Tick(ctx, term.ID))
	}
	now := time.Now()
	o := order{term: term.ID, elected: elected}
	o.state, o.changed = r.tell(now)
	o.due = o.state.Due(now)
	goal, enforce := o.state.Goal()
	o.goal = goal
	// A resume of everything that could not be written is carried out by whom it was asked of: nobody else knows of it.
	if known && enforce && (driving || r.opts.Ledger.Forced() && o.state.Undo != nil) {
		r.drive(ctx, o)
	} else {
		r.observe(ctx, r.opts.Fanout.Look(ctx))
	}
	return o, nil
}

// bind binds the ledger, if it can be read, to the cluster that was found, and reports whether one was. Where that is
// another's, nothing may be enforced on it.
func (r *Reconciler) bind(ctx context.Context, readable bool) (found bool, err error) {
	topology := r.opts.Fanout.View().Topology
	if topology == nil {
		topology = r.opts.Fanout.Discover(ctx)
	}
	if topology == nil || !readable {
		return topology != nil, nil
	}
	err = r.opts.Ledger.Bind(ctx, topology)
	if other, is := errors.AsType[*hold.OtherClusterError](err); is {
		return true, other
	}
	r.unlessStored(err)
	return true, nil
}

// recant sees to it that a pause which this server may have let through after its term does not stay, if nobody holds it:
// whoever drives now takes it for somebody's who did not ask here.
func (r *Reconciler) recant(ctx context.Context, readable bool) {
	r.strayed = r.opts.Fanout.Strayed() || r.strayed
	if !r.strayed || !readable {
		return
	}
	err := r.opts.Ledger.Recant(ctx)
	r.strayed = err != nil
	r.unlessStored(err)
}

// drives reports whether this server drives the brokers, in which term, and when to ask again: never, if there is no
// election.
func (r *Reconciler) drives() (term Term, driving bool, changed <-chan struct{}) {
	if r.opts.Election == nil {
		return Term{}, true, nil
	}
	return r.opts.Election.Term()
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
	if r.opts.Election != nil {
		state, _ := r.opts.Ledger.State()
		r.suspect(&state)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.term, r.begun = term.ID, true
	return true
}

// suspect doubts what whoever drove before may have asked the brokers for, going by the ledger.
func (r *Reconciler) suspect(state *hold.State) {
	if _, enforce := state.Goal(); enforce {
		r.opts.Fanout.Suspect(mayHaveSoftened(state, time.Now()))
	}
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

// unlessStored logs that something could not be written to the ledger. The next pass finds it still to be done.
func (r *Reconciler) unlessStored(err error) {
	if err != nil && r.base.Err() == nil {
		r.log.LogAttrs(r.base, levelOf(err), "the ledger was not written", attrError(err))
	}
}
