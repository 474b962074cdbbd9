package hold

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// Whatever is asked for, and whenever, what the rules promise of every state and every step holds.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &script{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			s.wait(drawDuration(t, "wait"))
			name := rapid.SampledFrom(slices.Sorted(maps.Keys(moves))).Draw(t, "move")
			before := s.state.clone()
			s.change(moves[name](t, s))
			failures := append(wrong(&s.state, s.now), wrongStep(&before, &s.state)...)
			if len(failures) > 0 {
				t.Fatalf("after %s:\n%s\nbefore %+v\nafter %+v", name, strings.Join(failures, "\n"), before, s.state)
			}
		}
		record, err := encode(&s.state)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decode(record); err != nil || compare(s.state, again) != "" {
			t.Fatalf("error %v, (-written +read):\n%s", err, compare(s.state, again))
		}
	})
}

// drawDuration draws one of a few that meet each other to the nanosecond, and, now and then, any.
func drawDuration(t *rapid.T, what string) time.Duration {
	if rapid.IntRange(0, 9).Draw(t, what+" is odd") == 0 {
		return time.Duration(rapid.Int64Range(0, int64(maxAge)).Draw(t, what))
	}
	return rapid.SampledFrom([]time.Duration{0, time.Nanosecond, time.Minute - time.Nanosecond, time.Minute, time.Hour}).Draw(t, what)
}

func drawID(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", Operator}).Draw(t, "id")
}

func drawPhase(t *rapid.T, what string) exporting.Phase {
	return rapid.SampledFrom([]exporting.Phase{exports, soft, hard}).Draw(t, what)
}

// drawHold draws a live hold, or nobody's uid.
func drawHold(t *rapid.T, s *script) Hold {
	return rapid.SampledFrom(append(slices.Clone(s.state.Holds), Hold{UID: "nobody"})).Draw(t, "hold")
}

// moves are all that can be asked of the rules.
var moves = map[string]func(t *rapid.T, s *script) func(*State){
	"wait": func(*rapid.T, *script) func(*State) { return func(*State) {} },
	"place": func(t *rapid.T, s *script) func(*State) {
		p := s.asked(drawID(t), rapid.SampledFrom([]exporting.Phase{soft, hard}).Draw(t, "phase"))
		p.TTL = drawDuration(t, "ttl")
		p.Foreign = drawPhase(t, "foreign")
		p.Restore = Phases{"0": p.Foreign, "1": drawPhase(t, "read")}
		if rapid.Bool().Draw(t, "revert") {
			p.Deadline = s.now.Add(drawDuration(t, "deadline"))
		}
		return func(state *State) {
			if _, _, err := state.place(p, s.now); err != nil {
				t.Fatalf("place: %v", err)
			}
		}
	},
	"extend": func(t *rapid.T, s *script) func(*State) {
		uid, ttl := drawHold(t, s).UID, drawDuration(t, "ttl")
		return func(state *State) {
			if h, live := state.FindUID(uid); live {
				state.extend(h, ttl, s.now)
			}
		}
	},
	"release": func(t *rapid.T, s *script) func(*State) {
		id, verdict := drawID(t), rapid.SampledFrom([]Continuity{Pending, Intact, Unknown, Broken}).Draw(t, "verdict")
		return func(state *State) { state.release(id, Ended{At: s.now, How: Released, Continuity: verdict}) }
	},
	"force": func(t *rapid.T, s *script) func(*State) {
		uids := rapid.SliceOf(rapid.Custom(func(t *rapid.T) string { return drawHold(t, s).UID })).Draw(t, "uids")
		how := rapid.SampledFrom([]End{Forced, Guarded}).Draw(t, "how")
		return func(state *State) {
			state.force(func(h *Hold) bool { return slices.Contains(uids, h.UID) }, Ended{At: s.now, How: how, By: "me"})
		}
	},
	"tick": func(_ *rapid.T, s *script) func(*State) { return func(state *State) { state.overdue(s.now) } },
	"refuse": func(t *rapid.T, s *script) func(*State) {
		uid := drawHold(t, s).UID
		return func(state *State) {
			if h, live := state.FindUID(uid); live && h.Settled.IsZero() {
				state.withdraw(h, Ended{At: s.now, Refusal: &Refusal{}})
			}
		}
	},
	"settle": func(t *rapid.T, s *script) func(*State) {
		records := map[string]Continuous{drawHold(t, s).UID: {Complete: rapid.Bool().Draw(t, "complete")}}
		return func(state *State) { state.settle(records, s.now) }
	},
	"note": func(t *rapid.T, s *script) func(*State) {
		f := Found{Baselines: []Baseline{{Partition: 1, Position: rapid.Int64().Draw(t, "position")}}, Complete: true}
		if rapid.Bool().Draw(t, "broken") {
			f.Broken = []string{"it was passed"}
		}
		found := map[string]Found{drawHold(t, s).UID: f}
		return func(state *State) { state.note(found) }
	},
	"drop": func(_ *rapid.T, s *script) func(*State) {
		return func(state *State) {
			if _, live := state.Find(Operator); live {
				state.end(Operator, Ended{At: s.now, How: ResumedElsewhere})
			}
		}
	},
	"stand": func(t *rapid.T, _ *script) func(*State) {
		stance := rapid.SampledFrom([]Stance{Judge, Insist, Leave}).Draw(t, "stance")
		return func(state *State) { state.stand(stance) }
	},
	"prove": func(t *rapid.T, s *script) func(*State) {
		done := rapid.Bool().Draw(t, "done")
		return func(state *State) {
			switch {
			case state.Undo == nil:
			case done:
				state.Undo = nil
			default:
				state.Undo.Proven = s.now
			}
		}
	},
}

// wrong is what a state must never be.
func wrong(s *State, now time.Time) (failures []string) {
	fail := func(format string, args ...any) { failures = append(failures, fmt.Sprintf(format, args...)) }
	target := exports
	for i := range s.Holds {
		h := &s.Holds[i]
		target = max(target, h.Phase)
		if i > 0 && s.Holds[i-1].ID >= h.ID {
			fail("hold %s is after %s", h.ID, s.Holds[i-1].ID)
		}
		if _, ended := s.LastUID(h.UID); ended || !h.Live(now) {
			fail("hold %s has ended, and lives", h.ID)
		}
		if !h.Settled.IsZero() && (!h.Deadline.IsZero() || h.Restore != nil || h.Replaced != nil) {
			fail("hold %s has settled, and may be withdrawn", h.ID)
		}
		if h.Settled.IsZero() && h.Restore == nil {
			fail("hold %s has nothing to go back to", h.ID)
		}
	}
	if s.Target() != target || len(s.Holds) > MaxHolds || len(s.History) > maxHistory {
		fail("target %v, want %v; %d holds, %d ended", s.Target(), target, len(s.Holds), len(s.History))
	}
	if s.Undo != nil && (len(s.Holds) > 0 && s.Undo.Restore == nil || s.Undo.Revision > s.Revision) {
		fail("%+v is to be undone at revision %d, with %d holds", s.Undo, s.Revision, len(s.Holds))
	}
	if len(s.Holds) == 0 && s.Stance != Judge {
		fail("nothing is held, and the stance is %q", s.Stance)
	}
	for _, e := range s.History {
		if now.Sub(e.At) > maxAge || e.At.After(now) || e.How < Released || e.How > Guarded || e.How == Guarded && e.Continuity != Broken {
			fail("remembered is %+v", e)
		}
		if e.Hold.Record.Broken && e.Continuity != Broken || e.Hold.Restore != nil || e.Hold.Replaced != nil || e.Hold.Record.Baselines != nil {
			fail("remembered is %+v", e)
		}
	}
	return failures
}

// wrongStep is what no change may do.
func wrongStep(before, after *State) (failures []string) {
	fail := func(format string, args ...any) { failures = append(failures, fmt.Sprintf(format, args...)) }
	if after.Revision != before.Revision+1 {
		fail("revision %d follows %d", after.Revision, before.Revision)
	}
	for _, old := range before.Holds {
		h, live := after.FindUID(old.UID)
		if !live {
			if e, known := after.LastUID(old.UID); known && e.How == Withdrawn && !old.Settled.IsZero() {
				fail("hold %s had settled, and was withdrawn", old.ID)
			} else if _, replaced := after.Find(old.ID); !known && !replaced && !old.Expires.IsZero() {
				continue // It expired so long ago that it is forgotten at once.
			} else if !known {
				fail("hold %s is lost", old.ID)
			}
			continue
		}
		switch {
		case !h.Expires.IsZero() && (old.Expires.IsZero() || h.Expires.Before(old.Expires)):
			fail("hold %s expires at %v, no longer at %v", h.ID, h.Expires, old.Expires)
		case !h.Deadline.IsZero() && (old.Deadline.IsZero() || h.Deadline.Before(old.Deadline)):
			fail("hold %s is withdrawn at %v, no longer at %v", h.ID, h.Deadline, old.Deadline)
		case !old.Settled.IsZero() && !h.Settled.Equal(old.Settled), old.Record.Broken && !h.Record.Broken, old.Record.Complete && !h.Record.Complete:
			fail("hold %s has forgotten %+v", h.ID, old)
		case len(old.Record.Baselines) > 0 && compare(old.Record.Baselines, h.Record.Baselines) != "":
			fail("hold %s has other baselines", h.ID)
		case h.ID != old.ID || h.Phase != old.Phase || h.Owner != old.Owner || !h.Created.Equal(old.Created):
			fail("hold %+v was %+v", h, old)
		}
	}
	return failures
}
