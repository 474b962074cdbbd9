package hold

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const (
	exports = exporting.PhaseExporting
	soft    = exporting.PhaseSoftPaused
	hard    = exporting.PhasePaused
)

// compare tells how two values differ; nothing and an empty list are the same.
func compare[T any](want, got T) string { return cmp.Diff(want, got, cmpopts.EquateEmpty()) }

// script plays changes on a state, as a ledger does, at instants of its own choice.
type script struct {
	*testing.T

	state State
	now   time.Time
}

func play(t *testing.T) *script {
	t.Helper()
	return &script{T: t, now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
}

// change is what [Ledger.change] does, without a store.
func (s *script) change(step func(*State)) {
	next := s.state.clone()
	next.expire(s.now)
	step(&next)
	next.Revision++
	next.trim(s.now)
	s.state = next
}

func (s *script) wait(d time.Duration) { s.now = s.now.Add(d) }

// asked is a plain request for a hold, on two brokers that export.
func (s *script) asked(id string, phase exporting.Phase) Placing {
	now := s.state.clone()
	now.expire(s.now)
	return Placing{
		ID: id, Phase: phase, Owner: "me", Restore: Phases{"0": exports, "1": exports}, Foreign: exports, Held: now.Target(),
	}
}

// place places or renews a hold that must be taken.
func (s *script) place(p Placing) Hold {
	s.Helper()
	var placed Hold
	s.change(func(state *State) {
		var err error
		if placed, _, err = state.place(p, s.now); err != nil {
			s.Fatalf("place %s: %v", p.ID, err)
		}
	})
	return placed
}

// revertible places a hold that is withdrawn unless it settles within a minute.
func (s *script) revertible(id string, phase exporting.Phase, read Phases) Hold {
	s.Helper()
	p := s.asked(id, phase)
	p.Deadline, p.Restore = s.now.Add(time.Minute), read
	return s.place(p)
}

// settle settles every hold, with all baselines.
func (s *script) settle() {
	records := map[string]Continuous{}
	for i := range s.state.Holds {
		records[s.state.Holds[i].UID] = Continuous{Complete: true}
	}
	s.change(func(state *State) { state.settle(records, s.now) })
}

func (s *script) release(id string) {
	s.change(func(state *State) { state.release(id, Ended{At: s.now, How: Released, By: "me"}) })
}

func (s *script) withdraw(id string) {
	s.Helper()
	h, live := s.state.Find(id)
	if !live {
		s.Fatalf("%s does not live", id)
	}
	s.change(func(state *State) { state.withdraw(h, Ended{At: s.now, By: "a broker refused"}) })
}

// live is the hold of an id, which must live.
func (s *script) live(id string) Hold {
	s.Helper()
	h, live := s.state.Find(id)
	if !live {
		s.Fatalf("%s does not live: %+v", id, s.state)
	}
	return h
}

// goal is what a broker shall show.
func (s *script) goal(broker exporting.BrokerID) exporting.Phase {
	goal, _ := s.state.Goal()
	return goal.Want(broker)
}
