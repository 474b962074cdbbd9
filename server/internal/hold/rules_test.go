package hold

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// endings are all the ways for a hold to go, whatever the others do.
var endings = map[End]func(s *script, id string){
	Released: (*script).release,
	Expired: func(s *script, id string) {
		h := s.live(id)
		s.now = h.Expires.Add(-time.Nanosecond)
		s.change(func(*State) {})
		s.live(id) // Up to, not including, that instant.
		s.now = h.Expires
		s.change(func(*State) {})
	},
	Forced: func(s *script, id string) {
		s.change(func(state *State) {
			state.force(func(h *Hold) bool { return h.ID == id }, Ended{At: s.now, How: Forced, By: "me"})
		})
	},
	Withdrawn: (*script).withdraw,
}

// What two holds add up to while both live, and what is left of that when one has gone, whichever it is and however it
// goes. none is a hold that was never placed.
func TestTwoHolds(t *testing.T) {
	const none = exports
	table := []struct{ first, second, both, withoutFirst, withoutSecond exporting.Phase }{
		{none, none, exports, exports, exports},
		{soft, none, soft, exports, soft},
		{none, soft, soft, soft, exports},
		{hard, none, hard, exports, hard},
		{none, hard, hard, hard, exports},
		{soft, soft, soft, soft, soft},
		{soft, hard, hard, hard, soft},
		{hard, soft, hard, soft, hard},
		{hard, hard, hard, hard, hard},
	}
	for _, row := range table {
		phases := map[string]exporting.Phase{"first": row.first, "second": row.second}
		maps.DeleteFunc(phases, func(_ string, phase exporting.Phase) bool { return phase == none })
		for how, end := range endings {
			for _, order := range [][]string{{"first", "second"}, {"second", "first"}} {
				t.Run(fmt.Sprintf("%v and %v, %s %v", row.first, row.second, order[0], how), func(t *testing.T) {
					s := play(t)
					for _, id := range []string{"first", "second"} {
						if phase, placed := phases[id]; placed {
							p := s.asked(id, phase)
							p.TTL = map[string]time.Duration{order[0]: time.Hour, order[1]: 2 * time.Hour}[id]
							s.place(p)
						}
					}
					checkTarget(s, row.both, len(phases) > 0)
					left := map[string]exporting.Phase{"first": row.withoutFirst, "second": row.withoutSecond}[order[0]]
					placed := slices.DeleteFunc(slices.Clone(order), func(id string) bool { return phases[id] == 0 })
					for i, id := range placed {
						end(s, id)
						if id == order[0] && i < len(placed)-1 {
							checkTarget(s, left, true)
						}
					}
					checkTarget(s, exports, len(placed) > 0)
					checkHistory(s, placed, how)
				})
			}
		}
	}
}

// checkTarget checks what the holds add up to, that every broker shall show that, and whether anybody asked for it.
func checkTarget(s *script, want exporting.Phase, wantEnforced bool) {
	s.Helper()
	if _, enforce := s.state.Goal(); s.state.Target() != want || enforce != wantEnforced {
		s.Errorf("target %v, enforced %v; want %v, %v", s.state.Target(), enforce, want, wantEnforced)
	}
	for _, broker := range []exporting.BrokerID{"0", "1", "of nobody"} {
		if got := s.goal(broker); got != want {
			s.Errorf("broker %s shall show %v, want %v", broker, got, want)
		}
	}
}

func checkHistory(s *script, ids []string, how End) {
	s.Helper()
	var got []string
	for _, e := range s.state.History {
		got = append(got, fmt.Sprintf("%s %v", e.Hold.ID, e.How))
	}
	var want []string
	for _, id := range ids {
		want = append(want, fmt.Sprintf("%s %v", id, how))
	}
	if !slices.Equal(got, want) {
		s.Errorf("history %v, want %v", got, want)
	}
}

func TestDue(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	tests := []struct {
		name  string
		holds []Hold
		want  time.Time
	}{
		{"no hold", nil, time.Time{}},
		{"endless", []Hold{{}}, time.Time{}},
		{"expires", []Hold{{}, {Expires: at(102)}}, at(102)},
		{"the first of several", []Hold{{Expires: at(103)}, {Expires: at(102)}, {Expires: at(104)}}, at(102)},
		{"is withdrawn before it expires", []Hold{{Expires: at(103), Deadline: at(101)}}, at(101)},
		{"expires before it is withdrawn", []Hold{{Expires: at(101), Deadline: at(103)}}, at(101)},
		{"now is over", []Hold{{Expires: at(100)}, {Deadline: at(100)}}, time.Time{}},
		{"over, and another to come", []Hold{{Expires: at(99), Deadline: at(101)}}, at(101)},
	}
	for _, test := range tests {
		s := State{Holds: test.holds}
		if got := s.Due(at(100)); !got.Equal(test.want) {
			t.Errorf("%s: due %v, want %v", test.name, got, test.want)
		}
	}
}

// A hold that does not settle is withdrawn at its deadline, not before; one that settled in time, never.
func TestOverdue(t *testing.T) {
	tests := []struct {
		name    string
		wait    time.Duration
		settled bool
		want    bool
	}{
		{"just before", time.Minute - time.Nanosecond, false, false},
		{"at the deadline", time.Minute, false, true},
		{"settled", time.Hour, true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := play(t)
			s.revertible("a", hard, Phases{"0": soft})
			if test.settled {
				s.settle()
			}
			s.wait(test.wait)
			var late bool
			s.change(func(state *State) { late = state.overdue(s.now) })
			_, live := s.state.Find("a")
			if late != test.want || live == test.want {
				t.Errorf("overdue %v, lives %v; want %v, %v", late, live, test.want, !test.want)
			}
			if want := map[bool]exporting.Phase{true: soft, false: hard}[test.want]; s.goal("0") != want {
				t.Errorf("broker 0 shall show %v, want %v", s.goal("0"), want)
			}
		})
	}
}

// A resume with no hold asks that every broker export, once.
func TestReleaseOfNothing(t *testing.T) {
	s := play(t)
	release := func(id string) (ended, changed bool) {
		s.change(func(state *State) { ended, changed = state.release(id, Ended{At: s.now, How: Released}) })
		return ended, changed
	}
	if ended, changed := release("a"); ended || changed || s.state.Undo != nil {
		t.Errorf("a named hold that never was: ended %v, changed %v, undo %+v", ended, changed, s.state.Undo)
	}
	if ended, changed := release(Operator); ended || !changed || s.state.Undo == nil || s.state.Undo.Revision != s.state.Revision {
		t.Errorf("the anonymous hold: ended %v, changed %v, undo %+v at revision %d", ended, changed, s.state.Undo, s.state.Revision)
	}
	if _, changed := release(Operator); changed {
		t.Error("the second resume changed something before the first was proven")
	}
	s.state.Undo.Proven = s.now
	if _, changed := release(Operator); !changed || !s.state.Undo.Proven.IsZero() {
		t.Error("a resume after the first was proven is not asked for")
	}
	s.place(s.asked("a", soft))
	if _, changed := release(Operator); changed || s.state.Undo != nil {
		t.Error("a plain resume changed something while a named hold lives")
	}
}

func TestSettled(t *testing.T) {
	s := play(t)
	check := func(what string, want bool) {
		t.Helper()
		if s.state.Settled() != want {
			t.Errorf("%s: settled is %v", what, !want)
		}
	}
	check("no hold", false)
	s.place(s.asked("a", soft))
	check("placed", false)
	s.settle()
	check("settled", true)
	s.place(s.asked("b", hard))
	check("a second one placed", false)
	s.settle()
	check("the second settled", true)
	s.withdraw("b")
	check("something to undo", false)
}

func TestFind(t *testing.T) {
	s := play(t)
	for _, id := range []string{"b", Operator, "a"} {
		s.place(s.asked(id, soft))
	}
	if got := s.state.Named(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("named %v", got)
	}
	h := s.live("b")
	if got, live := s.state.FindUID(h.UID); !live || got.ID != "b" {
		t.Errorf("found %+v", got)
	}
	if _, live := s.state.FindUID("b"); live {
		t.Error("found an id by uid")
	}
}
