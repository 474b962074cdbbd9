package reconcile

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// Somebody who resumes every replica again and again wants something: after so many pauses in an hour nobody fights any
// more, and the status says so.
const (
	maxRepauses  = 5
	repauseFrame = time.Hour
)

// foreign remembers how often somebody resumed at the brokers what holds keep paused. Its methods may be called by many
// goroutines.
type foreign struct {
	report bool // such resumes are never undone

	mu       sync.Mutex
	proven   time.Time   // when every replica was last confirmed in the target
	answered bool        // whether the present foreign resume was counted
	repauses []time.Time // within the frame
	told     bool        // whether it was told that nobody fights any more
}

// settled takes notice that every replica is confirmed in the target.
func (f *foreign) settled(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.proven, f.answered, f.told = now, false, false
}

// undoes decides whether a foreign resume is undone.
func (f *foreign) undoes(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.report, !f.answered && f.spent(now):
		return false
	case !f.answered && !f.proven.IsZero():
		f.answered = true
		f.repauses = append(f.repauses, now)
	}
	return true
}

// spent reports whether it was undone often enough lately. f.mu is held.
func (f *foreign) spent(now time.Time) bool {
	for len(f.repauses) > 0 && now.Sub(f.repauses[0]) >= repauseFrame {
		f.repauses = f.repauses[1:]
	}
	return len(f.repauses) >= maxRepauses
}

// stays reports whether a foreign resume that was left alone is to be for longer.
func (f *foreign) stays(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.report || f.spent(now)
}

// tell reports whether it is to be told that a foreign resume is left alone, which is once.
func (f *foreign) tell() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	told := f.told
	f.told = true
	return !told
}

// fight takes notice that what was left alone is not any more.
func (f *foreign) fight() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = false
}

// left reports whether holds are not enforced at present because of a foreign resume. Where that could not be written this
// server alone knows it.
func (r *Reconciler) left(state *hold.State) bool {
	if state.Stance == hold.Leave {
		return true
	}
	r.foreign.mu.Lock()
	defer r.foreign.mu.Unlock()
	return r.foreign.told && state.Stance == hold.Judge && r.opts.Ledger.Stale() != nil
}

// resumedElsewhere deals with the case that somebody resumed at the brokers, and reports whether nothing is to be done
// about it in this pass. The anonymous hold is Zeebe's own pause, and this is how Zeebe ends it. Named holds are enforced,
// unless that was forbidden, or tried too often. Who asked for a pause since the holds were last proven wants it in spite of
// the resume, and that is no try.
//
// Every replica must be confirmed exporting, on brokers that were readable all the time since the holds were last proven:
// a broker that came back with an empty disk exports too, and nobody asked it to. Where they were not proven since this
// server began that cannot be told; then it counts as a resume, because a pause that somebody ended and nobody remembers
// fills disks.
func (r *Reconciler) resumedElsewhere(ctx context.Context, o *order, view *exporting.View) bool {
	if o.state.Stance == hold.Insist {
		return false
	}
	if r.left(&o.state) && r.foreign.stays(time.Now()) && !isPaused(view) {
		r.leave(ctx, o.term, &o.state)
		r.observe(ctx, view)
		return true // A broker that falls silent now is no reason to undo what was left alone.
	}
	if !exports(view) || !sleep(ctx, r.opts.Fanout.ConfirmInterval()) {
		return false
	}
	view = r.opts.Fanout.Look(ctx)
	if !exports(view) {
		return false
	}
	r.foreign.mu.Lock()
	proven := r.foreign.proven
	r.foreign.mu.Unlock()
	for _, o := range view.Observations {
		if !o.Confirmed(r.opts.Fanout.ConfirmInterval()) || !proven.IsZero() && o.Failed.After(proven) {
			return false
		}
	}
	r.observe(ctx, view)
	state, _ := r.opts.Ledger.State()
	if state.Stance == hold.Insist || !state.Settled() {
		return false // Somebody asked for a pause meanwhile.
	}
	if _, live := state.Find(hold.Operator); live {
		dropped, err := r.opts.Ledger.Drop(ctx, o.term, state.Revision)
		r.unlessStored(err)
		if dropped || len(state.Named()) == 0 {
			return true // Also where that cannot be written: a full disk may be why somebody resumed.
		}
	}
	if r.foreign.undoes(time.Now()) {
		return false
	}
	r.leave(ctx, o.term, &state)
	return true
}

// leave writes and tells, once each, that a foreign resume is left alone, unless the ledger is not what that was judged by
// any more.
func (r *Reconciler) leave(ctx context.Context, term uint64, state *hold.State) {
	if state.Stance != hold.Leave && !r.stand(ctx, term, state.Revision, hold.Leave) {
		return
	}
	if r.foreign.tell() {
		r.event(EventForeign, "", "somebody resumed every replica at the brokers although %s keep it paused: that is not undone",
			strings.Join(state.Named(), ", "))
	}
}

// fight enforces what was left alone, if anything was.
func (r *Reconciler) fight(ctx context.Context, term uint64) {
	r.foreign.fight()
	if state, _ := r.opts.Ledger.State(); state.Stance == hold.Leave {
		r.stand(ctx, term, state.Revision, hold.Judge)
	}
}

// stand writes what is made of a foreign resume, and reports false if the ledger is not what that was judged by any more.
// Where the ledger cannot be written that has to wait for a later pass.
func (r *Reconciler) stand(ctx context.Context, term, revision uint64, stance hold.Stance) bool {
	if r.opts.Ledger.Stale() != nil {
		return true
	}
	changed, err := r.opts.Ledger.Stand(ctx, term, revision, stance)
	r.unlessStored(err)
	return changed || err != nil
}

func exports(view *exporting.View) bool {
	return view.Observed() == exporting.PhaseExporting && len(view.Incomplete()) == 0
}
