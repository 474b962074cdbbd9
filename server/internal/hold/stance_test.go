package hold

import (
	"errors"
	"testing"
	"time"
)

// Who asks for a pause by a name has a foreign resume undone: of a hold that has settled that is said, for one that has not
// it is clear. A renewal by uid says nothing of it, and where nothing is held there is nothing to resume.
func TestStance(t *testing.T) {
	p := func(s *script, id string) { s.Helper(); s.place(s.asked(id, soft)) }
	tests := []struct {
		name  string
		began Stance // with a settled hold a
		step  func(*script)
		want  Stance
	}{
		{"renewed by name", Leave, func(s *script) { p(s, "a") }, Insist},
		{"renewed by name, with nothing seen", Judge, func(s *script) { p(s, "a") }, Insist},
		{"renewed again", Insist, func(s *script) { p(s, "a") }, Insist},
		{"renewed before it has settled", Leave, func(s *script) { p(s, "b"); p(s, "b") }, Judge},
		{"renewed by uid", Leave, func(s *script) {
			s.change(func(state *State) { state.extend(s.live("a"), time.Hour, s.now) })
		}, Leave},
		{"another placed", Leave, func(s *script) { p(s, "b") }, Judge},
		{"another placed, while somebody insists", Insist, func(s *script) { p(s, "b") }, Insist},
		{"replaced", Leave, func(s *script) { s.place(s.asked("a", hard)) }, Judge},
		{"withdrawn", Insist, func(s *script) { s.revertible("b", hard, Phases{}); s.withdraw("b") }, Insist},
		{"settled", Insist, func(s *script) { p(s, "b"); s.settle() }, Insist},
		{"released", Leave, func(s *script) { s.release("a") }, Judge},
		{"another released", Leave, func(s *script) {
			p(s, "b")
			s.change(func(state *State) { state.stand(Leave) })
			s.release("b")
		}, Leave},
		{"ended by force", Insist, func(s *script) {
			s.change(func(state *State) { state.force(func(*Hold) bool { return true }, Ended{At: s.now, How: Forced}) })
		}, Judge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := play(t)
			s.place(s.asked("a", soft))
			s.settle()
			s.change(func(state *State) { state.stand(test.began) })
			test.step(s)
			if s.state.Stance != test.want {
				t.Errorf("stance %q, want %q", s.state.Stance, test.want)
			}
		})
	}
}

// What was judged by an earlier ledger, or in an earlier term, is not written: somebody may have asked for a pause since.
func TestStandOvertaken(t *testing.T) {
	l, memory := opened(t)
	if changed, err := l.Stand(t.Context(), 0, 0, Leave); changed || err != nil {
		t.Errorf("with nothing held: %v, error %v", changed, err)
	}
	placed(t, l, "a", soft, 0)
	before, _ := l.State()
	if changed, err := l.Stand(t.Context(), 0, before.Revision, Leave); !changed || err != nil {
		t.Fatalf("changed %v, error %v", changed, err)
	}
	state, _ := l.State()
	for _, test := range []struct {
		revision uint64
		stance   Stance
	}{{before.Revision, Judge}, {state.Revision, Leave}} {
		if changed, err := l.Stand(t.Context(), 0, test.revision, test.stance); changed || err != nil {
			t.Errorf("%+v: changed %v, error %v", test, changed, err)
		}
	}
	if err := l.Take(t.Context(), 2, "b"); err != nil {
		t.Fatal(err)
	}
	state = lastIn(t, memory)
	if changed, err := l.Stand(t.Context(), 1, state.Revision, Judge); changed || !errors.Is(err, ErrEarlierTerm) {
		t.Errorf("in an earlier term: changed %v, error %v", changed, err)
	}
	if again := lastIn(t, memory); again.Stance != Leave || again.Revision != state.Revision {
		t.Errorf("written: %+v", again)
	}
}
