package reconcile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// ErrShuttingDown is answered to calls that come when the loop has ended, or that still wait then.
var ErrShuttingDown = errors.New("the server is shutting down")

// SupersededError ends a call whose hold was released or replaced by a later one.
type SupersededError struct {
	Hold string
}

// Error names the hold.
func (e *SupersededError) Error() string {
	return fmt.Sprintf("a later call changed hold %q meanwhile and has the word now; this call undid nothing", e.Hold)
}

// Outcome says what becomes of an operation that did not settle in time.
type Outcome string

// The outcomes.
const (
	OutcomeReverted   Outcome = "reverted"   // every replica is back where it was
	OutcomeReverting  Outcome = "reverting"  // the loop goes on until it is
	OutcomeKept       Outcome = "kept"       // the hold stays and the loop goes on pausing
	OutcomeResuming   Outcome = "resuming"   // the loop goes on resuming
	OutcomeContinuing Outcome = "continuing" // the operation goes on for another caller, who gave it more time
)

// NotSettledError ends an operation that some replicas did not follow.
type NotSettledError struct {
	Outcome  Outcome
	Wanted   exporting.Phase
	Failures []exporting.Failure // by partition and broker
	Total    int                 // replicas known
}

// Error names the replicas that did not follow, as many as a terminal shows, why, and what happens next.
func (e *NotSettledError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "not every replica is confirmed %s: %s", e.Wanted, exporting.Summary(e.Failures))
	if len(e.Failures) == 0 {
		b.WriteString("the reads that prove it were not finished in time")
	}
	switch e.Outcome {
	case OutcomeReverted:
		b.WriteString(". The pause was reverted: every replica is back in its earlier phase")
	case OutcomeReverting:
		b.WriteString(". The pause is being reverted: the server goes on until every replica is back in its earlier phase")
	case OutcomeKept:
		b.WriteString(". The hold is kept: the server goes on pausing; resume to give up")
	case OutcomeResuming:
		b.WriteString(". The others are resumed; the server goes on until these follow")
	case OutcomeContinuing:
		b.WriteString(". The operation goes on for another caller: ask for the status")
	}
	return b.String()
}

// notSettled describes what does not show the goal of a request, as of a view; nil means as of now.
func (r *Reconciler) notSettled(req request, outcome Outcome, view *exporting.View) *NotSettledError {
	if view == nil {
		view = r.opts.Fanout.View()
	}
	goal := exporting.Goal{Phase: req.phase}
	return &NotSettledError{
		Outcome: outcome, Wanted: req.phase, Total: len(view.Replicas()),
		Failures: view.Unsettled(goal, r.opts.Fanout.ConfirmInterval()),
	}
}
