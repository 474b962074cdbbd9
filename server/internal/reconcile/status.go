package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// freshness is how old a view may be that answers a question for the status. It bounds what many callers cost.
const freshness = 500 * time.Millisecond

// patience is how long a look at the cluster waits for brokers that do not answer.
const patience = 3 * time.Second

// Status is what the cluster ought to show, what it showed, and why. It is a copy: nobody changes it.
type Status struct {
	Target   exporting.Phase
	Observed exporting.Phase
	// Settled is true if every replica is confirmed in the target; else Unsettled says what is not.
	Settled   bool
	Unsettled []exporting.Failure
	// Foreign is true if a replica is paused although no hold asks for it, and nothing is being undone. Where the ledger
	// cannot be read nobody can tell.
	Foreign bool
	View    *exporting.View
	Holds   []hold.Hold
	// Unseen has the partitions whose leaders cannot be read, in words: at this moment no hold can be told to be intact.
	Unseen []string
	// History is the holds that have ended, the last one last.
	History []hold.Ended
	// Stale is why holds and history may not be the last; nil if they are.
	Stale error
	// Driver is who of several servers drives the brokers; empty where there is one.
	Driver string
	// Stalled has the leaders that ought to export and whose stored position stands still.
	Stalled  map[exporting.PartitionID]exporting.BrokerID
	Events   []Event
	Warnings []string
}

// Continuity is what a release of a hold would say now.
func (s *Status) Continuity(h *hold.Hold) hold.Continuity {
	verdict := h.Record.Verdict()
	if !h.Settled.IsZero() && verdict != hold.Broken && len(s.Unseen) > 0 {
		return hold.Unknown
	}
	return verdict
}

// Status reads every broker, unless that was done moments ago and the ledger is still the same, and returns what is known
// then. Brokers that do not answer within three seconds are in it as they were last read, with the error. It fails only when
// its context ends.
func (r *Reconciler) Status(ctx context.Context) (*Status, error) {
	select {
	case r.looking <- struct{}{}:
		defer func() { <-r.looking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if revision := r.opts.Ledger.Recorded().Revision; time.Since(r.looked) > freshness || revision != r.revision {
		limited, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		r.last = r.opts.Fanout.Look(limited)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r.observe(ctx, r.opts.Fanout.View()) // Who was only slower than this asker's patience is no news.
		r.looked, r.revision = time.Now(), revision
	}
	return r.status(r.last), nil
}

// Known is the status as of the last reads, whoever asked for them; nil before the first. It asks nobody.
func (r *Reconciler) Known() *Status {
	r.mu.Lock()
	view := r.view
	r.mu.Unlock()
	if view == nil {
		return nil
	}
	return r.status(view)
}

// status describes a view beside what ought to be.
func (r *Reconciler) status(view *exporting.View) *Status {
	state, _ := r.opts.Ledger.State()
	goal, enforce := state.Goal()
	s := &Status{
		Target: goal.Phase, Observed: view.Observed(), View: view, Holds: state.Holds, History: state.History,
		Unsettled: view.Unsettled(goal, r.opts.Fanout.ConfirmInterval()), Stale: r.opts.Ledger.Stale(), Driver: state.Driver,
	}
	s.Settled = len(s.Unsettled) == 0
	s.Foreign = !enforce && !r.opts.Ledger.Lost() && isPaused(view)
	if len(s.Holds) > 0 {
		s.Unseen = unseen(view)
	}
	s.Events, _, _ = r.journal.since("")
	r.mu.Lock()
	s.Stalled = r.stalled(time.Now())
	r.mu.Unlock()
	s.Warnings = r.warnings(s, &state)
	return s
}

// warnings is what deserves an operator's attention.
func (r *Reconciler) warnings(s *Status, state *hold.State) []string {
	var w []string
	if s.Stale != nil {
		w = append(w, fmt.Sprintf("the ledger of holds cannot be used, so that what is said of them may be old, and new pauses are "+
			"refused; a resume with force works all the same: %v", s.Stale))
	}
	for i := range s.Holds {
		h := &s.Holds[i]
		if h.Expires.IsZero() {
			w = append(w, describe(h)+" never expires: disks fill until somebody resumes")
		}
		if h.Record.Broken {
			w = append(w, describe(h)+" is broken: what is done under it, such as a backup, is worth nothing")
		}
	}
	if s.Foreign {
		w = append(w, "exporting is paused by somebody who did not ask here: disks fill until somebody resumes")
	}
	if len(s.Holds) > 0 && r.left(state) {
		w = append(w, "the holds are not enforced: somebody resumed every replica at the brokers, and that is not undone, because "+
			"exporting.on-foreign-change is observe, or because it happened too often in an hour; a pause under a hold's name "+
			"enforces them again")
	}
	if s.View.Topology != nil && len(s.View.Topology.Expected) == 0 {
		w = append(w, "nothing tells how many replicas there ought to be: a resume is confirmed for those that were found, "+
			"a pause is refused; set zeebe.cluster-size, zeebe.partitions and zeebe.replication-factor, or use zeebe.gateway")
	}
	for _, partition := range slices.SortedFunc(maps.Keys(s.Stalled), exporting.PartitionID.Compare) {
		w = append(w, fmt.Sprintf("%s on broker %s is stalled: %s", partition, s.Stalled[partition], StallCure))
	}
	w = append(w, r.diskGuard.warnings()...)
	if r.opts.Election != nil {
		w = append(w, r.opts.Election.Warnings()...)
	}
	return w
}
