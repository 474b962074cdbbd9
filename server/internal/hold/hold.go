// Package hold is the ledger: which holds there are, what they add up to, and what is still to be undone. Its rules are
// functions of a [State]; [Ledger] applies them one at a time.
//
// It must not know brokers, transports or stores' ways; it only says what ought to be.
package hold

import (
	"maps"
	"slices"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// Operator is the id of the anonymous hold, which is what Zeebe's own plain pause is.
const Operator = "operator"

// Hold is a claim that exporting stay paused.
type Hold struct {
	// ID is the name that its owner chose.
	ID string
	// UID is new at each placing: it tells a hold from an earlier one of the same id.
	UID string
	// Phase is what it asks for: SOFT_PAUSED or PAUSED.
	Phase exporting.Phase
	// Owner is who placed it.
	Owner string
	// Written is the revision of the ledger at which it was placed, or renewed last.
	Written uint64
	// Created is when it was placed; Settled when every replica was first confirmed in its phase, zero until then.
	Created, Settled time.Time
}

// State is the ledger at one moment. It is a value: every change makes a new one with a higher revision.
type State struct {
	// Revision counts the changes.
	Revision uint64
	// Holds that live, by id.
	Holds []Hold
	// Undo is what a resume or a failed pause still has to bring about, nil if nothing: the last one's word counts.
	Undo *Undo
}

// Undo is a return to earlier phases that is not settled yet.
type Undo struct {
	// Restore is the phase that each broker goes back to after a pause that failed; nil after a resume.
	Restore map[exporting.BrokerID]exporting.Phase
}

// Target is the phase that the holds add up to.
func (s *State) Target() exporting.Phase {
	target := exporting.PhaseExporting
	for i := range s.Holds {
		target = max(target, s.Holds[i].Phase)
	}
	return target
}

// Goal is what every replica shall show, and whether anybody asked for it: with no hold and nothing to undo the cluster
// is looked at and not touched.
func (s *State) Goal() (goal exporting.Goal, enforce bool) {
	goal.Phase = s.Target()
	if s.Undo != nil && s.Undo.Restore != nil {
		goal.Restore = make(map[exporting.BrokerID]exporting.Phase, len(s.Undo.Restore))
		for id, phase := range s.Undo.Restore {
			goal.Restore[id] = max(phase, goal.Phase) // A revert takes nothing from the holds that are left.
		}
	}
	return goal, len(s.Holds) > 0 || s.Undo != nil
}

// Settled reports whether there are holds, every one has settled, and nothing is left to undo.
func (s *State) Settled() bool {
	return len(s.Holds) > 0 && s.Undo == nil &&
		!slices.ContainsFunc(s.Holds, func(h Hold) bool { return h.Settled.IsZero() })
}

// restore is what a pause that fails goes back to: the phases that brokers were read in before it. Where an earlier undo
// is not settled, it is what that owes: a pause that was to be undone must not become the state to go back to.
func (s *State) restore(read map[exporting.BrokerID]exporting.Phase) map[exporting.BrokerID]exporting.Phase {
	restore := maps.Clone(read)
	if s.Undo != nil {
		goal, _ := s.Goal()
		for id := range restore {
			restore[id] = goal.Want(id)
		}
	}
	return restore
}

// Find returns the live hold of an id.
func (s *State) Find(id string) (Hold, bool) {
	for _, h := range s.Holds {
		if h.ID == id {
			return h, true
		}
	}
	return Hold{}, false
}
