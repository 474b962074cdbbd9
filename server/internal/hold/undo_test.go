package hold

import (
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// What a pause that failed goes back to is what there was before any of ours.
func TestRestore(t *testing.T) {
	tests := []struct {
		name  string
		steps func(*script)
		want  Phases // of some brokers, at last
	}{
		{"what was read", func(s *script) {
			s.revertible("a", hard, Phases{"0": soft, "1": exports})
			s.withdraw("a")
		}, Phases{"0": soft, "1": exports, "unread": exports}},
		{"at least what another hold asks for", func(s *script) {
			s.place(s.asked("b", soft))
			s.revertible("a", hard, Phases{"0": soft, "1": soft})
			s.withdraw("a")
		}, Phases{"0": soft, "1": soft, "unread": soft}},
		{"not what another hold asked for", func(s *script) {
			s.place(s.asked("b", soft))
			s.settle()
			s.revertible("a", hard, Phases{"0": soft, "1": soft})
			s.release("b")
			s.withdraw("a")
		}, Phases{"0": exports, "1": exports}},
		{"what was there before another hold that is not settled", func(s *script) {
			s.revertible("b", soft, Phases{"0": hard, "1": exports})
			s.revertible("a", hard, Phases{"0": soft, "1": soft, "2": soft})
			s.withdraw("b")
			s.withdraw("a")
		}, Phases{"0": hard, "1": exports, "2": exports}},
		{"not what the one that it replaces asked for", func(s *script) {
			p := s.asked("a", soft)
			p.TTL = time.Second
			s.place(p)
			s.settle()
			s.revertible("a", hard, Phases{"0": soft})
			s.wait(time.Second)
			s.withdraw("a")
		}, Phases{"0": exports}},
		{"not what a pause that was withdrawn left", func(s *script) {
			s.revertible("a", hard, Phases{"0": soft, "1": exports})
			s.withdraw("a")
			s.revertible("a", hard, Phases{"0": hard, "1": hard, "2": hard})
			s.withdraw("a")
		}, Phases{"0": soft, "1": exports, "2": exports}},
		{"not what a resume has not ended yet", func(s *script) {
			s.release(Operator)
			s.revertible("a", hard, Phases{"0": hard})
			s.withdraw("a")
		}, Phases{"0": exports}},
		{"not what a hold left that has expired", func(s *script) {
			p := s.asked("b", soft)
			p.TTL = time.Second
			s.place(p)
			s.settle()
			s.wait(time.Second)
			s.revertible("a", hard, Phases{"0": soft})
			s.withdraw("a")
		}, Phases{"0": exports}},
		{"nothing to go back to, once it has settled", func(s *script) {
			s.revertible("a", hard, Phases{"0": soft})
			s.settle()
			s.release("a")
		}, Phases{"0": exports}},
		{"nothing to go back to, once everything is resumed", func(s *script) {
			s.revertible("a", hard, Phases{"0": soft})
			s.withdraw("a")
			s.release(Operator)
		}, Phases{"0": exports}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := play(t)
			test.steps(s)
			for broker, want := range test.want {
				if got := s.goal(broker); got != want {
					t.Errorf("broker %s goes to %v, want %v", broker, got, want)
				}
			}
			if _, enforce := s.state.Goal(); !enforce {
				t.Error("nobody asks for it")
			}
		})
	}
}

// A new hold has the word, and a renewal has not.
func TestWhatForgetsTheUndo(t *testing.T) {
	s := play(t)
	s.place(s.asked("b", soft))
	s.revertible("a", hard, Phases{"0": soft})
	s.withdraw("a")
	undo := s.state.Undo
	if undo == nil || undo.Revision != s.state.Revision {
		t.Fatalf("undo %+v at revision %d", undo, s.state.Revision)
	}
	s.place(s.asked("b", soft))
	s.settle()
	if diff := compare(undo, s.state.Undo); diff != "" {
		t.Errorf("after a renewal and settling (-want +got):\n%s", diff)
	}
	s.place(s.asked("c", soft))
	if s.state.Undo != nil {
		t.Errorf("a new hold left %+v to undo", s.state.Undo)
	}
}

// A pause that was there before the first named hold is kept for whoever made it, if it is one: uniform, and nothing of
// ours.
func TestForeign(t *testing.T) {
	nothing := func(*script) {}
	tests := []struct {
		name    string
		before  func(*script)
		id      string
		foreign exporting.Phase
		want    bool
	}{
		{"soft", nothing, "a", soft, true},
		{"hard", nothing, "a", hard, true},
		{"exporting", nothing, "a", exports, false},
		{"mixed", nothing, "a", exporting.PhaseMixed, false},
		{"closed", nothing, "a", exporting.PhaseClosed, false},
		{"unknown", nothing, "a", exporting.PhaseUnknown, false},
		{"the anonymous hold is Zeebe's pause itself", nothing, Operator, hard, false},
		{"ours, of another hold", func(s *script) { s.place(s.asked("b", hard)) }, "a", hard, false},
		{"ours, of the hold that is replaced", func(s *script) { s.place(s.asked("a", soft)) }, "a", soft, false},
		{"to be undone", func(s *script) { s.release(Operator) }, "a", hard, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := play(t)
			test.before(s)
			p := s.asked(test.id, hard)
			p.Foreign = test.foreign
			h := s.place(p)
			adopted, live := s.state.Find(Operator)
			live = live && adopted.UID != h.UID
			if live != test.want {
				t.Fatalf("adopted %v, want %v", live, test.want)
			}
			if !live {
				return
			}
			want := Hold{ID: Operator, UID: adopted.UID, Phase: test.foreign, Owner: Foreign, Reason: adopted.Reason, Created: s.now, Settled: s.now}
			if diff := compare(want, adopted); diff != "" || adopted.UID == "" || adopted.Reason == "" {
				t.Errorf("adopted (-want +got):\n%s", diff)
			}
			s.release("a")
			if got := s.goal("0"); got != test.foreign {
				t.Errorf("after the release broker 0 shall show %v, want %v", got, test.foreign)
			}
		})
	}
}
