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
	given    bool        // whether it was told that nobody fights any more
}

// settled takes notice that every replica is confirmed in the target.
func (f *foreign) settled(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.proven, f.answered, f.given = now, false, false
}

// repause decides whether a foreign resume is undone. tell is true if it is not and that was not told yet.
func (f *foreign) repause(now time.Time) (undo, tell bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.report, !f.answered && f.spent(now):
		tell = !f.given
		f.given = true
		return false, tell
	case !f.answered && !f.proven.IsZero():
		f.answered = true
		f.repauses = append(f.repauses, now)
	}
	return true, false
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
	return f.given && (f.report || f.spent(now))
}

// left reports whether holds are not enforced at present because of a foreign resume.
func (f *foreign) left() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.given
}

// resumedElsewhere deals with the case that somebody resumed at the brokers, and reports whether nothing is to be done
// about it in this pass. The anonymous hold is Zeebe's own pause, and this is how Zeebe ends it. Named holds are enforced,
// unless that was forbidden, or tried too often.
//
// Every replica must be confirmed exporting, on brokers that were readable all the time since the holds were last proven:
// a broker that came back with an empty disk exports too, and nobody asked it to. Where they were not proven since this
// server began that cannot be told; then it counts as a resume, because a pause that somebody ended and nobody remembers
// fills disks.
func (r *Reconciler) resumedElsewhere(ctx context.Context, term uint64, state hold.State, view *exporting.View) bool {
	if r.foreign.stays(time.Now()) && !isPaused(view) {
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
	if h, live := state.Find(hold.Operator); live {
		if h.Asked.After(proven) && h.Asked.After(r.made) {
			return false // Who asked for it, asked again since.
		}
		state, _ = r.opts.Ledger.State()
		dropped, err := r.opts.Ledger.Drop(ctx, term, state.Revision)
		r.unlessStored(err)
		if dropped || len(state.Named()) == 0 {
			return true // Also where that cannot be written: a full disk may be why somebody resumed.
		}
	}
	undo, tell := r.foreign.repause(time.Now())
	if tell {
		r.event(EventForeign, "", "somebody resumed every replica at the brokers although %s keep it paused: that is not undone",
			strings.Join(state.Named(), ", "))
	}
	return !undo
}

func exports(view *exporting.View) bool {
	return view.Observed() == exporting.PhaseExporting && len(view.Incomplete()) == 0
}
