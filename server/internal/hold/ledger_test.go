package hold_test

import (
	"maps"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

type phases = map[exporting.BrokerID]exporting.Phase

func TestPlace(t *testing.T) {
	l := hold.NewLedger()
	first := l.Place("a", exporting.PhaseSoftPaused, "me")
	if first.Hold.UID == "" || first.Renewed() {
		t.Errorf("first: %+v", first)
	}
	again := l.Place("a", exporting.PhaseSoftPaused, "you")
	want := first.Hold
	want.Written = again.After.Revision
	if again.Hold != want || !again.Renewed() || again.After.Revision <= first.After.Revision {
		t.Errorf("renewed: %+v, first %+v", again, first)
	}
	other := l.Place("a", exporting.PhasePaused, "you")
	if other.Hold.UID == first.Hold.UID || other.Renewed() || len(other.After.Holds) != 1 {
		t.Errorf("replaced: %+v", other)
	}
}

func TestGoal(t *testing.T) {
	tests := []struct {
		name    string
		steps   func(*hold.Ledger)
		want    phases // by broker; "" is every other
		enforce bool
	}{
		{"nothing", func(*hold.Ledger) {}, phases{"": exporting.PhaseExporting}, false},
		{"soft", func(l *hold.Ledger) {
			l.Place("a", exporting.PhaseSoftPaused, "")
		}, phases{"": exporting.PhaseSoftPaused}, true},
		{"soft and hard", func(l *hold.Ledger) {
			l.Place("a", exporting.PhaseSoftPaused, "")
			l.Place("b", exporting.PhasePaused, "")
		}, phases{"": exporting.PhasePaused}, true},
		{"released", func(l *hold.Ledger) {
			l.Place("a", exporting.PhasePaused, "")
			l.Release("a")
		}, phases{"": exporting.PhaseExporting}, true},
		{"released without a hold", func(l *hold.Ledger) {
			l.Release("a")
		}, phases{"": exporting.PhaseExporting}, true},
		{"released and settled", func(l *hold.Ledger) {
			_, s := l.Release("a")
			l.Settle(s.Revision, time.Now())
		}, phases{"": exporting.PhaseExporting}, false},
		{"withdrawn", func(l *hold.Ledger) {
			p := l.Place("a", exporting.PhasePaused, "")
			l.Withdraw(p, phases{"0": exporting.PhaseSoftPaused, "1": exporting.PhaseExporting})
		}, phases{"0": exporting.PhaseSoftPaused, "1": exporting.PhaseExporting}, true},
		{"withdrawn to a weaker hold", func(l *hold.Ledger) {
			l.Place("a", exporting.PhaseSoftPaused, "")
			p := l.Place("a", exporting.PhasePaused, "")
			l.Withdraw(p, phases{"0": exporting.PhaseExporting, "1": exporting.PhasePaused})
		}, phases{"0": exporting.PhaseSoftPaused, "1": exporting.PhasePaused, "2": exporting.PhaseSoftPaused}, true},
		{"withdrawn twice: what the first owed is not the state to go back to", func(l *hold.Ledger) {
			l.Withdraw(l.Place("a", exporting.PhasePaused, ""), phases{"0": exporting.PhaseExporting})
			l.Withdraw(l.Place("a", exporting.PhasePaused, ""), phases{"0": exporting.PhasePaused})
		}, phases{"0": exporting.PhaseExporting}, true},
		{"withdrawn after a resume that was not settled", func(l *hold.Ledger) {
			l.Release("a")
			l.Withdraw(l.Place("a", exporting.PhasePaused, ""), phases{"0": exporting.PhasePaused})
		}, phases{"0": exporting.PhaseExporting}, true},
		{"a new hold forgets the undo", func(l *hold.Ledger) {
			l.Withdraw(l.Place("a", exporting.PhasePaused, ""), phases{"0": exporting.PhaseExporting})
			l.Place("b", exporting.PhaseSoftPaused, "")
		}, phases{"0": exporting.PhaseSoftPaused}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := hold.NewLedger()
			test.steps(l)
			state, _ := l.State()
			goal, enforce := state.Goal()
			got := phases{}
			for id := range test.want {
				got[id] = goal.Want(id)
			}
			if !maps.Equal(got, test.want) || enforce != test.enforce {
				t.Errorf("got %v, enforced %v; want %v, %v", got, enforce, test.want, test.enforce)
			}
		})
	}
}

// A change that lost its word must change nothing.
func TestLateChangesDoNothing(t *testing.T) {
	l := hold.NewLedger()
	placed := l.Place("a", exporting.PhasePaused, "")
	l.Release("a")
	l.Place("a", exporting.PhasePaused, "")
	if _, ok := l.Withdraw(placed, nil); ok {
		t.Error("a replaced hold was withdrawn")
	}
	renewed := l.Place("b", exporting.PhasePaused, "")
	l.Place("b", exporting.PhasePaused, "")
	if _, ok := l.Withdraw(renewed, nil); ok {
		t.Error("a hold was withdrawn that a later call had renewed")
	}
	l.Release("b")
	fresh := l.Place("a", exporting.PhasePaused, "")
	l.Settle(placed.After.Revision, time.Now())
	if l.Drop("a", placed.After.Revision) {
		t.Error("a hold was dropped at an old revision")
	}
	state, changed := l.State()
	if h, ok := state.Find("a"); !ok || h != fresh.Hold {
		t.Errorf("state %+v", state)
	}
	select {
	case <-changed:
		t.Error("a change that did nothing woke those who wait")
	default:
	}
	l.Settle(fresh.After.Revision, time.Now()) // what the release of b left to undo
	if state, _ := l.State(); state.Settled() {
		t.Error("settled by an undo, which proves less")
	}
	l.Settle(fresh.After.Revision, time.Now())
	if state, _ := l.State(); !state.Settled() {
		t.Error("not settled")
	}
	if !l.Drop("a", fresh.After.Revision) {
		t.Error("not dropped")
	}
	<-changed
}
