package hold

import (
	"fmt"
	"testing"
	"time"
)

// What only a live hold needs goes when it ends; who it was, and what became of it, stays.
func TestEnd(t *testing.T) {
	s := play(t)
	p := s.asked("a", hard)
	p.TTL, p.Reason = time.Hour, "backup"
	s.place(p)
	s.settle()
	s.change(func(state *State) {
		h := s.live("a")
		h.Record = h.Record.with([]Baseline{{Partition: 1, Position: 7}}, true)
		h.Record = h.Record.found([]string{"it leads, and read EXPORTING"}, true)
		state.put(h)
	})
	want := s.live("a")
	want.Record.Baselines = nil
	s.wait(time.Minute)
	s.release("a")
	ended := Ended{Hold: want, At: s.now, How: Released, By: "me", Continuity: Broken}
	if diff := compare([]Ended{ended}, s.state.History); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if got, known := s.state.Last("a"); !known || got.Hold.UID != want.UID {
		t.Errorf("last: %+v", got)
	}
	if got, known := s.state.LastUID(want.UID); !known || got.Hold.ID != "a" {
		t.Errorf("last by uid: %+v", got)
	}
	if _, known := s.state.Last("b"); known {
		t.Error("a hold is known that never was")
	}
}

// Of several holds of one id the last one counts.
func TestLast(t *testing.T) {
	s := play(t)
	s.place(s.asked("a", soft))
	s.release("a")
	want := s.place(s.asked("a", soft)).UID
	s.release("a")
	s.place(s.asked("b", soft))
	s.release("b")
	if e, _ := s.state.Last("a"); e.Hold.UID != want {
		t.Errorf("last: %+v", e)
	}
}

func TestEndBeforeItSettles(t *testing.T) {
	s := play(t)
	s.place(s.asked("a", soft))
	s.revertible("a", hard, Phases{"0": soft})
	s.release("a")
	e, _ := s.state.Last("a")
	if e.Hold.Restore != nil || e.Hold.Replaced != nil || !e.Hold.Deadline.IsZero() || e.Continuity != Pending {
		t.Errorf("ended: %+v", e)
	}
}

// The verdict at the end is the record's; that nothing could be seen at the last moment beats that it is intact, and is
// beaten by what was found before.
func TestVerdictAtTheEnd(t *testing.T) {
	pending, intact, broken := Continuous{}, Continuous{Complete: true}, Continuous{Complete: true, Broken: true}
	tests := []struct {
		record Continuous
		moment Continuity
		want   Continuity
	}{
		{pending, Pending, Pending},
		{pending, Intact, Pending}, // The record may have lost its baselines to nobody: it has the word.
		{pending, Unknown, Unknown},
		{intact, Intact, Intact},
		{intact, Pending, Intact},
		{intact, Unknown, Unknown},
		{broken, Intact, Broken},
		{broken, Unknown, Broken},
		{broken, Broken, Broken},
		{Continuous{Broken: true}, Pending, Broken},
	}
	for _, test := range tests {
		s := play(t)
		h := s.place(s.asked("a", soft))
		s.change(func(state *State) { state.settle(map[string]Continuous{h.UID: test.record}, s.now) })
		s.change(func(state *State) { state.end("a", Ended{At: s.now, How: Released, Continuity: test.moment}) })
		if e, _ := s.state.Last("a"); e.Continuity != test.want {
			t.Errorf("record %v, %v at the moment: %v, want %v", test.record.Verdict(), test.moment, e.Continuity, test.want)
		}
	}
}

// A hold that expires ended when it was due, however late that was noticed.
func TestExpiredLate(t *testing.T) {
	s := play(t)
	p := s.asked("a", soft)
	p.TTL = time.Hour
	want := s.place(p).Expires
	s.wait(24 * time.Hour)
	s.change(func(*State) {})
	if e, _ := s.state.Last("a"); !e.At.Equal(want) || e.How != Expired || e.By == "" {
		t.Errorf("ended: %+v, want at %v", e, want)
	}
	if s.state.Undo == nil {
		t.Error("nobody is asked to export")
	}
}

func TestHistoryIsBoundedByCount(t *testing.T) {
	s := play(t)
	for i := range maxHistory + 5 {
		s.place(s.asked(fmt.Sprint("hold-", i), soft))
		s.release(fmt.Sprint("hold-", i))
	}
	if first := s.state.History[0].Hold.ID; len(s.state.History) != maxHistory || first != "hold-5" {
		t.Errorf("%d are remembered, the first %s", len(s.state.History), first)
	}
}

func TestHistoryIsBoundedByAge(t *testing.T) {
	s := play(t)
	s.place(s.asked("a", soft))
	s.release("a")
	s.wait(maxAge)
	s.place(s.asked("b", soft))
	if _, known := s.state.Last("a"); !known {
		t.Error("forgotten too soon")
	}
	s.wait(time.Nanosecond)
	s.release("b")
	if _, known := s.state.Last("a"); known {
		t.Error("not forgotten")
	}
	if _, known := s.state.Last("b"); !known {
		t.Error("forgotten at once")
	}
}

func TestEndWords(t *testing.T) {
	seen := map[string]bool{}
	for end := range Guarded + 2 {
		seen[end.String()] = true
	}
	if len(seen) != int(Guarded)+1 { // The zero value and one that is not known share a word.
		t.Errorf("words %v", seen)
	}
}
