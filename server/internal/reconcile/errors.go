package reconcile

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// ErrShuttingDown is answered to calls that come when the loop has ended, or that have not touched anything by then. What
// a call has written is carried on by whoever serves the ledger next.
var ErrShuttingDown = errors.New("the server is shutting down")

// SupersededError ends a call whose hold was released, replaced or forced away by a later one.
type SupersededError struct {
	Hold string
}

// Error names the hold.
func (e *SupersededError) Error() string {
	return fmt.Sprintf("a later call changed hold %q meanwhile and has the word now; this call undid nothing", e.Hold)
}

// HoldNotFoundError refuses what needs a hold that is not known, or not live any more.
type HoldNotFoundError struct {
	Hold string // its id, or its uid where that was asked for
	// Released says when and by whom it was released, empty if it is not known.
	Released string
}

// Error names the hold.
func (e *HoldNotFoundError) Error() string {
	if e.Released != "" {
		return fmt.Sprintf("hold %q was %s, and cannot be renewed", e.Hold, e.Released)
	}
	return fmt.Sprintf("there is no hold %q, and none is remembered: it was never placed, or ended long ago", e.Hold)
}

// HoldExpiredError tells of a hold whose time was over too soon.
type HoldExpiredError struct {
	Hold string
	At   time.Time
}

// Error names the hold and the time.
func (e *HoldExpiredError) Error() string {
	return fmt.Sprintf("hold %q expired at %s, and exporting was not kept back since: what was done under it later is worth "+
		"nothing; ask for a longer ttl, or renew it in time", e.Hold, e.At.UTC().Format(time.RFC3339))
}

// HoldBrokenError tells of a hold under which exporting did not stand still, or may not have.
type HoldBrokenError struct {
	Hold string
	// Continuity is BROKEN or UNKNOWN.
	Continuity hold.Continuity
	// Evidence in words, never empty.
	Evidence []string
}

// Error names the hold and what was found.
func (e *HoldBrokenError) Error() string {
	what := "did not keep exporting back all the time"
	if e.Continuity == hold.Unknown {
		what = "may not have kept exporting back all the time"
	}
	return fmt.Sprintf("hold %q %s: what was done under it, such as a backup, is worth nothing: %s", e.Hold, what,
		strings.Join(e.Evidence, "; "))
}

// HeldByOthersError refuses to resume because named holds are left. The anonymous one has ended all the same.
type HeldByOthersError struct {
	Holds []string
}

// Error names the holds and the ways out.
func (e *HeldByOthersError) Error() string {
	return fmt.Sprintf("exporting stays paused, held by %s: release by name, or use force to end every hold",
		strings.Join(e.Holds, ", "))
}

// Outcome says what becomes of an operation that did not settle in time.
type Outcome string

// The outcomes.
const (
	OutcomeReverted   Outcome = "reverted"   // every replica is back where it was
	OutcomeReverting  Outcome = "reverting"  // the loop goes on until it is
	OutcomeKept       Outcome = "kept"       // the hold stays and the loop goes on pausing
	OutcomeResuming   Outcome = "resuming"   // the loop goes on resuming
	OutcomeContinuing Outcome = "continuing" // the operation goes on: another caller gave it more time, or the server stops
	OutcomeUnenforced Outcome = "unenforced" // the hold stays, and somebody's resume at the brokers is left alone
)

// NotSettledError ends an operation that some replicas did not follow.
type NotSettledError struct {
	Hold     string // its id
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
		b.WriteString(". The server goes on until all have followed; those that are not named have")
	case OutcomeContinuing:
		b.WriteString(". The operation goes on: ask for the status")
	case OutcomeUnenforced:
		b.WriteString(". The hold is kept, but nothing pauses again: somebody resumed at the brokers, and that is left alone; pause under " +
			"its name to enforce it, or resume to give up")
	}
	return b.String()
}

// notSettled describes what does not show a goal as of now.
func (r *Reconciler) notSettled(id string, goal exporting.Goal, outcome Outcome) *NotSettledError {
	view := r.opts.Fanout.View()
	return &NotSettledError{
		Hold: id, Outcome: outcome, Wanted: goal.Phase, Total: len(view.Replicas()),
		Failures: view.Unsettled(goal, r.opts.Fanout.ConfirmInterval()),
	}
}

// refusal is the error that a broker's final no stands for.
func refusal(r *hold.Refusal) error {
	if r.Unsafe != nil {
		return &exporting.UnsafeTransitionError{Brokers: r.Unsafe}
	}
	return &exporting.SoftPauseUnsupportedError{Brokers: r.Unsupported, Version: r.Version}
}
