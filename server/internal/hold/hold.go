// Package hold is the ledger: which holds there are, what they add up to, how they end, and what is still to be undone.
// Its rules are functions of a [State] and an instant; [Ledger] applies them one at a time to what a [Store] keeps.
//
// It must not know brokers' ways, transports or stores; it only says what ought to be.
package hold

import (
	"slices"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// Operator is the id of the anonymous hold, which is what Zeebe's own plain pause is.
const Operator = "operator"

// Foreign is the owner of an anonymous hold that nobody asked for here: a pause at the brokers that was there before the
// first named hold.
const Foreign = "foreign"

// MaxHolds is how many holds may live at once. It keeps the ledger within what a store takes as one record.
const MaxHolds = 100

// Phases says in which phase brokers are, or shall be.
type Phases map[exporting.BrokerID]exporting.Phase

// Hold is a claim that exporting stay paused. It lives from when it was created up to, not including, when it expires.
type Hold struct {
	// ID is the name that its owner chose.
	ID string `json:"id"`
	// UID is new at each placing: it tells a hold from an earlier one of the same id.
	UID string `json:"uid"`
	// Phase is what it asks for: SOFT_PAUSED or PAUSED.
	Phase exporting.Phase `json:"phase"`
	// Owner is who placed it; Reason why, in the owner's words.
	Owner  string `json:"owner,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Created is when it was placed; Expires when it ends by itself, zero for never; Settled when every replica was first
	// confirmed in its phase, zero until then.
	Created time.Time `json:"created,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
	Settled time.Time `json:"settled,omitzero"`
	// Asked is when it was placed or renewed last.
	Asked time.Time `json:"asked,omitzero"`
	// Deadline is when it is withdrawn unless it has settled by then; zero if it stays all the same. Restore is what each
	// broker goes back to then, and Replaced the live hold of the same id that comes back.
	Deadline time.Time `json:"deadline,omitzero"`
	Restore  Phases    `json:"restore,omitzero"`
	Replaced *Hold     `json:"replaced,omitempty"`
	// Record is the evidence for its continuity.
	Record Continuous `json:"record,omitzero"`
}

// Live reports whether it lives at an instant, as far as time alone has a say.
func (h *Hold) Live(now time.Time) bool { return h.Expires.IsZero() || now.Before(h.Expires) }

// State is the ledger at one moment. It is a value: every change makes a new one with a higher revision, and shares
// nothing that it changes.
type State struct {
	// Revision counts the changes.
	Revision uint64 `json:"revision"`
	// Cluster is what the ledger is bound to; zero until that is known.
	Cluster Cluster `json:"cluster,omitzero"`
	// Term is the highest term that a server has driven the brokers in, and Driver that server's name. What was decided in
	// an earlier term is not written any more.
	Term   uint64 `json:"term,omitempty"`
	Driver string `json:"driver,omitempty"`
	// Holds that live, by id.
	Holds []Hold `json:"holds,omitempty"`
	// Stance is how far they are enforced against who resumes at the brokers.
	Stance Stance `json:"stance,omitempty"`
	// Undo is what a resume or a failed pause still has to bring about, nil if nothing: the last one's word counts.
	Undo *Undo `json:"undo,omitempty"`
	// History is the holds that have ended, in the order in which that was written.
	History []Ended `json:"history,omitempty"`
}

// Undo is a return to earlier phases that is not done yet.
type Undo struct {
	// Revision of the state that asked for it.
	Revision uint64 `json:"revision"`
	// Restore is the phase that each broker goes back to after a pause that failed; nil after a resume.
	Restore Phases `json:"restore,omitzero"`
	// Proven is when every replica was confirmed back; zero until then. It is looked after for some time still, where
	// brokers may apply earlier requests late.
	Proven time.Time `json:"proven,omitzero"`
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

// Find returns the live hold of an id.
func (s *State) Find(id string) (Hold, bool) {
	return s.find(func(h *Hold) bool { return h.ID == id })
}

// FindUID returns the live hold of a uid.
func (s *State) FindUID(uid string) (Hold, bool) {
	return s.find(func(h *Hold) bool { return h.UID == uid })
}

func (s *State) find(is func(*Hold) bool) (Hold, bool) {
	for i := range s.Holds {
		if is(&s.Holds[i]) {
			return s.Holds[i], true
		}
	}
	return Hold{}, false
}

// Named lists the ids of the live holds but the anonymous one.
func (s *State) Named() []string {
	var ids []string
	for i := range s.Holds {
		if s.Holds[i].ID != Operator {
			ids = append(ids, s.Holds[i].ID)
		}
	}
	return ids
}

// Due is the first instant after now at which time alone changes the state: a hold expires, or is withdrawn. It is zero
// if there is none.
func (s *State) Due(now time.Time) time.Time {
	var due time.Time
	for i := range s.Holds {
		for _, t := range []time.Time{s.Holds[i].Expires, s.Holds[i].Deadline} {
			if t.After(now) && (due.IsZero() || t.Before(due)) {
				due = t
			}
		}
	}
	return due
}

// clone returns a copy whose lists may be changed, and whose holds' fields may be replaced.
func (s *State) clone() State {
	next := *s
	next.Holds, next.History = slices.Clone(s.Holds), slices.Clone(s.History)
	if s.Undo != nil {
		undo := *s.Undo
		next.Undo = &undo
	}
	return next
}
