package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// freshness is how old a view may be that answers a question for the status. It bounds what many callers cost.
const freshness = 500 * time.Millisecond

// patience is how long a question for the status waits for brokers that do not answer.
const patience = 3 * time.Second

// Status is what the cluster ought to show, what it showed, and why. It is a copy: nobody changes it.
type Status struct {
	Target   exporting.Phase
	Observed exporting.Phase
	// Settled is true if every replica is confirmed in the target; else Unsettled says what is not.
	Settled   bool
	Unsettled []exporting.Failure
	// Foreign is true if a replica is paused although no hold asks for it, and nothing is being undone.
	Foreign bool
	View    *exporting.View
	Holds   []hold.Hold
	// Stalled has the leaders that ought to export and whose stored position stands still.
	Stalled  map[exporting.PartitionID]exporting.BrokerID
	Events   []Event
	Warnings []string
}

// Status reads every broker, unless that was done moments ago, and returns what is known then. Brokers that do not answer
// within three seconds are in it as they were last read, with the error. It fails only when its context ends.
func (r *Reconciler) Status(ctx context.Context) (*Status, error) {
	select {
	case r.looking <- struct{}{}:
		defer func() { <-r.looking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if time.Since(r.looked) > freshness {
		limited, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		r.seen = r.opts.Fanout.Look(limited)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r.observe(r.seen)
		r.looked = time.Now()
	}
	return r.status(r.seen), nil
}

// status describes a view beside what ought to be.
func (r *Reconciler) status(view *exporting.View) *Status {
	state, _ := r.opts.Ledger.State()
	goal, enforce := state.Goal()
	s := &Status{
		Target: goal.Phase, Observed: view.Observed(), View: view, Holds: state.Holds,
		Unsettled: view.Unsettled(goal, r.opts.Fanout.ConfirmInterval()),
	}
	s.Settled = len(s.Unsettled) == 0
	s.Foreign = !enforce && paused(view)
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Events = append(s.Events, r.events...)
	s.Stalled = r.stalled(time.Now())
	s.Warnings = warnings(s)
	return s
}

// warnings is what deserves an operator's attention.
func warnings(s *Status) []string {
	var w []string
	for _, h := range s.Holds {
		w = append(w, describe(h)+" never expires: disks fill until somebody resumes")
	}
	if s.Foreign {
		w = append(w, "exporting is paused by somebody who did not ask here: disks fill until somebody resumes")
	}
	if s.View.Topology != nil && len(s.View.Topology.Expected) == 0 {
		w = append(w, "nothing tells how many replicas there ought to be: a resume is confirmed for those that were found, "+
			"a pause is refused; set zeebe.cluster-size, zeebe.partitions and zeebe.replication-factor, or use zeebe.gateway")
	}
	for partition, broker := range s.Stalled {
		w = append(w, fmt.Sprintf("%s on broker %s is stalled: %s", partition, broker, StallCure))
	}
	return w
}
