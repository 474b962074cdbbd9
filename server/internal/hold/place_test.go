package hold

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

func TestPlace(t *testing.T) {
	s := play(t)
	p := s.asked("a", hard)
	p.TTL, p.Reason, p.Deadline = time.Hour, "backup", s.now.Add(time.Minute)
	h := s.place(p)
	want := Hold{
		ID: "a", UID: h.UID, Phase: hard, Owner: "me", Reason: "backup", Created: s.now, Asked: s.now,
		Expires: s.now.Add(time.Hour), Deadline: p.Deadline, Restore: p.Restore,
	}
	if diff := compare(want, h); diff != "" || h.UID == "" {
		t.Errorf("uid %q, placed (-want +got):\n%s", h.UID, diff)
	}
	if diff := compare([]Hold{h}, s.state.Holds); diff != "" {
		t.Errorf("holds (-want +got):\n%s", diff)
	}
	s.release("a")
	if again := s.place(s.asked("a", hard)); again.UID == h.UID {
		t.Error("a new hold of the same id has the same uid")
	}
}

// What was judged before the holds changed is judged again; so is what was to be a renewal, and is none.
func TestOvertaken(t *testing.T) {
	tests := []struct {
		name   string
		change func(s *script, p *Placing)
		want   error
	}{
		{"nothing changed", func(*script, *Placing) {}, nil},
		{"another hold, which asks for as much", func(s *script, _ *Placing) { s.place(s.asked("b", soft)) }, nil},
		{"another hold, which asks for more", func(s *script, _ *Placing) { s.place(s.asked("b", hard)) }, ErrOvertaken},
		{"what it was judged beside is gone", func(s *script, _ *Placing) { s.release("old") }, ErrOvertaken},
		{"nothing was read", func(_ *script, p *Placing) { p.Restore = nil }, ErrOvertaken},
		{"nothing was read, and it lives by now", func(s *script, p *Placing) {
			s.place(s.asked("a", soft))
			p.Restore = nil
		}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := play(t)
			s.place(s.asked("old", soft))
			p := s.asked("a", soft)
			test.change(s, &p)
			before := s.state.clone()
			if _, _, err := s.state.place(p, s.now); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if diff := compare(before, s.state); test.want != nil && diff != "" {
				t.Errorf("it changed the state all the same:\n%s", diff)
			}
		})
	}
}

func TestMaxHolds(t *testing.T) {
	s := play(t)
	for i := range MaxHolds {
		s.place(s.asked(fmt.Sprint("hold-", i), soft))
	}
	p := s.asked("one-more", soft)
	_, _, err := s.state.place(p, s.now)
	if tooMany, is := errors.AsType[*TooManyError](err); !is || tooMany.Limit != MaxHolds {
		t.Errorf("one more: %v", err)
	}
	s.place(s.asked("hold-7", soft)) // A renewal,
	s.place(s.asked("hold-7", hard)) // and a replacement, make no more of them.
	s.release("hold-8")
	s.place(s.asked("one-more", hard))
	if len(s.state.Holds) != MaxHolds {
		t.Errorf("%d holds", len(s.state.Holds))
	}
}

// Who may touch only its own cannot place so many that an operator has no room.
func TestRoomForOperators(t *testing.T) {
	s := play(t)
	for i := range MaxHolds - forOperators {
		p := s.asked(fmt.Sprint("hold-", i), soft)
		p.OwnOnly = true
		s.place(p)
	}
	p := s.asked("one-more", soft)
	p.OwnOnly = true
	_, _, err := s.state.place(p, s.now)
	if tooMany, is := errors.AsType[*TooManyError](err); !is || tooMany.Limit != MaxHolds-forOperators {
		t.Errorf("one more: %v", err)
	}
	p = s.asked("hold-7", soft)
	p.OwnOnly = true
	s.place(p) // A renewal makes no more of them.
	for i := range forOperators {
		s.place(s.asked(fmt.Sprint("operators-", i), soft))
	}
	if len(s.state.Holds) != MaxHolds {
		t.Errorf("%d holds", len(s.state.Holds))
	}
}

// A renewal keeps what it renews, and never makes it end sooner, nor be withdrawn where it would not have been.
func TestRenew(t *testing.T) {
	const never = -1
	type life struct{ ttl, deadline time.Duration } // from when it is asked for; 0 is none, never is what that means
	tests := []struct {
		name          string
		placed, asked life
		settled       bool
		wantTTL       time.Duration // from when it was placed
		wantDeadline  time.Duration
	}{
		{name: "longer", placed: life{ttl: time.Hour}, asked: life{ttl: time.Hour}, wantTTL: time.Hour + time.Second},
		{name: "not shorter", placed: life{ttl: time.Hour}, asked: life{ttl: time.Minute}, wantTTL: time.Hour},
		{name: "endless", placed: life{ttl: time.Hour}, asked: life{}, wantTTL: never},
		{name: "stays endless", placed: life{}, asked: life{ttl: time.Hour}, wantTTL: never},
		{name: "is withdrawn later", placed: life{deadline: time.Minute}, asked: life{deadline: time.Minute}, wantTTL: never, wantDeadline: time.Minute + time.Second},
		{name: "is not withdrawn sooner", placed: life{deadline: time.Minute}, asked: life{deadline: time.Second}, wantTTL: never, wantDeadline: time.Minute},
		{name: "is kept now", placed: life{deadline: time.Minute}, asked: life{}, wantTTL: never},
		{name: "was kept", placed: life{}, asked: life{deadline: time.Minute}, wantTTL: never},
		{name: "had settled", placed: life{deadline: time.Minute}, asked: life{deadline: time.Minute}, settled: true, wantTTL: never},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := play(t)
			began := s.now
			after := func(d time.Duration) time.Time {
				if d == 0 || d == never {
					return time.Time{}
				}
				return s.now.Add(d)
			}
			p := s.asked("a", soft)
			p.TTL, p.Deadline, p.Reason = test.placed.ttl, after(test.placed.deadline), "backup"
			placed := s.place(p)
			if test.settled {
				s.settle()
				placed = s.live("a")
			}
			s.wait(time.Second)
			p.TTL, p.Deadline, p.Owner, p.Reason, p.Restore = test.asked.ttl, after(test.asked.deadline), "you", "", nil
			p.Held = exports // What it was judged by does not matter.
			want := placed
			want.Asked = s.now
			s.place(p)
			s.now = began
			want.Expires, want.Deadline = after(test.wantTTL), after(test.wantDeadline)
			if diff := compare([]Hold{want}, s.state.Holds); diff != "" {
				t.Errorf("renewed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRenewalChangesTheReason(t *testing.T) {
	s := play(t)
	s.place(s.asked("a", soft))
	p := s.asked("a", soft)
	p.Reason = "it takes longer"
	if h := s.place(p); h.Reason != "it takes longer" || h.Owner != "me" {
		t.Errorf("renewed: %+v", h)
	}
}

// A renewal by uid prolongs, and changes nothing else, least of all whether it is withdrawn.
func TestExtend(t *testing.T) {
	s := play(t)
	p := s.asked("a", soft)
	p.TTL, p.Deadline, p.Reason = time.Hour, s.now.Add(time.Minute), "backup"
	want := s.place(p)
	s.wait(time.Second)
	want.Asked, want.Expires = s.now, s.now.Add(2*time.Hour)
	s.change(func(state *State) { state.extend(s.live("a"), 2*time.Hour, s.now) })
	if diff := compare([]Hold{want}, s.state.Holds); diff != "" {
		t.Errorf("extended (-want +got):\n%s", diff)
	}
}

// A hold that is replaced by one that is withdrawn lives again, as it was; unless it was to be withdrawn itself, or its
// time is over by then.
func TestReplace(t *testing.T) {
	keep := func(s *script, phase exporting.Phase) Hold { return s.place(s.asked("a", phase)) }
	settled := func(s *script, phase exporting.Phase) Hold {
		s.place(s.asked("a", phase))
		s.settle()
		return s.live("a")
	}
	brief := func(s *script, phase exporting.Phase) Hold {
		p := s.asked("a", phase)
		p.TTL = time.Second
		return s.place(p)
	}
	revert := func(s *script, phase exporting.Phase) Hold { return s.revertible("a", phase, Phases{"0": exports}) }
	tests := []struct {
		name    string
		holds   []func(*script, exporting.Phase) Hold // soft and hard in turn
		returns int                                   // which of them lives at last; -1 is none
		history []string
	}{
		{"settled", []func(*script, exporting.Phase) Hold{settled, revert}, 0, []string{"hard withdrawn"}},
		{"kept", []func(*script, exporting.Phase) Hold{keep, revert}, 0, []string{"hard withdrawn"}},
		{"over by then", []func(*script, exporting.Phase) Hold{brief, revert}, -1, []string{"soft replaced", "hard withdrawn"}},
		{"to be withdrawn itself", []func(*script, exporting.Phase) Hold{revert, revert}, -1, []string{"soft replaced", "hard withdrawn"}},
		{"before one that was to be withdrawn", []func(*script, exporting.Phase) Hold{settled, revert, revert}, 0, []string{"hard replaced", "soft withdrawn"}},
		{"the one before alone", []func(*script, exporting.Phase) Hold{settled, keep, revert}, 1, []string{"soft replaced", "soft withdrawn"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := play(t)
			words := map[exporting.Phase]string{soft: "soft", hard: "hard"}
			var placed []Hold
			for i, place := range test.holds {
				placed = append(placed, place(s, []exporting.Phase{soft, hard}[i%2]))
				if len(s.state.Holds) != 1 {
					t.Fatalf("holds %+v", s.state.Holds)
				}
			}
			s.wait(2 * time.Second)
			s.withdraw("a")
			var want []Hold
			if test.returns >= 0 {
				want = placed[test.returns : test.returns+1]
				want[0].Replaced = nil
			}
			if diff := compare(want, s.state.Holds); diff != "" {
				t.Errorf("lives (-want +got):\n%s", diff)
			}
			var history []string
			for _, e := range s.state.History {
				history = append(history, words[e.Hold.Phase]+" "+e.How.String())
			}
			if diff := compare(test.history, history); diff != "" {
				t.Errorf("history (-want +got):\n%s", diff)
			}
		})
	}
}

// Exporting was let go further while a weaker pause was tried: a hold that had settled cannot vouch for that time.
func TestReplacedByWeaker(t *testing.T) {
	tests := []struct {
		name    string
		from    exporting.Phase
		settled bool
		want    Continuity
	}{
		{"hard by soft", hard, true, Broken},
		{"hard by soft, before it settled", hard, false, Pending},
		{"soft by hard", soft, true, Intact},
	}
	for _, test := range tests {
		s := play(t)
		s.place(s.asked("a", test.from))
		if test.settled {
			s.settle()
		}
		s.revertible("a", map[exporting.Phase]exporting.Phase{hard: soft, soft: hard}[test.from], Phases{"0": test.from})
		s.withdraw("a")
		h := s.live("a")
		if got := h.Record.Verdict(); got != test.want || (len(h.Record.Evidence) > 0) != (test.want == Broken) {
			t.Errorf("%s: %v, evidence %q; want %v", test.name, got, h.Record.Evidence, test.want)
		}
	}
}
