package hold

import (
	"cmp"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// Ledger keeps the state, in memory, and changes it one step at a time. Its methods may be called by many goroutines.
type Ledger struct {
	mu      sync.Mutex
	state   State
	changed chan struct{} // closed at the next change
}

// NewLedger returns a ledger without holds.
func NewLedger() *Ledger {
	return &Ledger{changed: make(chan struct{})}
}

// State returns what the ledger says now, and a channel that is closed when it says something else.
func (l *Ledger) State() (State, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.changed
}

// Placed is what [Ledger.Place] did.
type Placed struct {
	Hold          Hold
	Before, After State
}

// Renewed reports whether the hold was live before, with the same phase.
func (p *Placed) Renewed() bool {
	old, ok := p.Before.Find(p.Hold.ID)
	return ok && old.UID == p.Hold.UID
}

// Place places a hold, or renews the live one of the same id and phase, which keeps its uid, owner and times. A live hold
// of another phase is replaced. What was to be undone is forgotten, unless the hold is renewed: a new hold has the word.
func (l *Ledger) Place(id string, phase exporting.Phase, owner string) Placed {
	var p Placed
	p.After, _ = l.change(func(s *State) bool {
		p.Before = *s
		p.Before.Holds = slices.Clone(s.Holds)
		p.Hold = Hold{ID: id, UID: rand.Text(), Phase: phase, Owner: owner, Created: time.Now()}
		if old, ok := s.Find(id); ok && old.Phase == phase {
			p.Hold = old
		}
		p.Hold.Written = s.Revision + 1
		s.put(p.Hold)
		if !p.Renewed() {
			s.Undo = nil
		}
		return true
	})
	return p
}

// Withdraw undoes a placing that could not settle: the hold that it replaced is live again, if there was one, and brokers
// go back to the phases that they were read in before, or to what an earlier undo still owed then. It does nothing and
// reports false if the hold was released, replaced or renewed since: then a later call has the word.
func (l *Ledger) Withdraw(p Placed, read map[exporting.BrokerID]exporting.Phase) (State, bool) {
	return l.change(func(s *State) bool {
		if h, ok := s.Find(p.Hold.ID); !ok || h.UID != p.Hold.UID || h.Written != p.Hold.Written {
			return false
		}
		s.remove(p.Hold.ID)
		if old, ok := p.Before.Find(p.Hold.ID); ok {
			s.put(old)
		}
		s.Undo = &Undo{Restore: p.Before.restore(read)}
		return true
	})
}

// Release ends a hold, if it lives, and asks that the cluster go back to what the others ask for: with none left, also
// the pauses that somebody else made end. It returns the hold that it ended, if there was one.
func (l *Ledger) Release(id string) (released *Hold, state State) {
	state, _ = l.change(func(s *State) bool {
		if h, ok := s.Find(id); ok {
			released = &h
			s.remove(id)
		}
		s.Undo = &Undo{}
		return true
	})
	return released, state
}

// Settle records that the goal of a revision was reached. If there was something to undo, that is done now, and what the
// holds ask for is still to be proven. Otherwise the holds that were not settled are. It does nothing if the ledger has
// changed since that revision.
//
// The revision, by which waiting calls know their own change, stays.
func (l *Ledger) Settle(revision uint64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state.Revision != revision {
		return
	}
	if l.state.Undo != nil {
		l.state.Undo = nil
		return
	}
	l.state.Holds = slices.Clone(l.state.Holds)
	for i := range l.state.Holds {
		if l.state.Holds[i].Settled.IsZero() {
			l.state.Holds[i].Settled = now
		}
	}
}

// Drop ends a hold that somebody ended behind our back, by resuming at the brokers. There is nothing to undo. It does
// nothing and reports false if the ledger has changed since that revision.
func (l *Ledger) Drop(id string, revision uint64) bool {
	_, dropped := l.change(func(s *State) bool {
		if s.Revision != revision {
			return false
		}
		s.remove(id)
		return true
	})
	return dropped
}

// change applies one step to a copy of the state. If the step says that it changed something, the copy is the state from
// then on, and those who wait are told. It returns the state and what the step said.
func (l *Ledger) change(step func(*State) bool) (State, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := State{Revision: l.state.Revision, Holds: slices.Clone(l.state.Holds), Undo: l.state.Undo}
	if !step(&next) {
		return l.state, false
	}
	next.Revision++
	l.state = next
	close(l.changed)
	l.changed = make(chan struct{})
	return next, true
}

func (s *State) put(h Hold) {
	s.remove(h.ID)
	s.Holds = append(s.Holds, h)
	slices.SortFunc(s.Holds, func(a, b Hold) int { return cmp.Compare(a.ID, b.ID) })
}

func (s *State) remove(id string) {
	s.Holds = slices.DeleteFunc(s.Holds, func(h Hold) bool { return h.ID == id })
}
