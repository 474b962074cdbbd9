package hold

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// asOwner is a request for a hold by somebody who may touch nothing else.
func asOwner(l *Ledger, owner, id string, ttl time.Duration) Placing {
	p := request(l, id, soft, ttl)
	p.Owner, p.OwnOnly = owner, true
	return p
}

func isNotOwner(err error) bool {
	_, is := errors.AsType[*NotOwnerError](err)
	return is
}

// What another placed is not renewed, replaced or released, nor is its end told; the own is, as ever.
func TestOwnOnly(t *testing.T) {
	tests := map[string]struct {
		end     func(t *testing.T, l *Ledger, h Hold) // how the hold of "me" ended; nil if it lives
		act     func(l *Ledger, h Hold, by string) error
		refused bool // for "you"
	}{
		"renew":           {nil, renewing, true},
		"renew expired":   {expired, renewing, true},
		"renew ended":     {ended, renewing, true},
		"place":           {nil, placing, true},
		"place expired":   {expired, placing, false},
		"place ended":     {ended, placing, false},
		"replace":         {nil, replacing, true},
		"release":         {nil, releasing, true},
		"release expired": {expired, releasing, true},
		"release ended":   {ended, releasing, true},
	}
	for name, test := range tests {
		for _, by := range []string{"me", "you"} {
			t.Run(name+" by "+by, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l, memory := opened(t)
					placed, err := l.Place(t.Context(), asOwner(l, "me", "a", time.Hour))
					if err != nil {
						t.Fatal(err)
					}
					if test.end != nil {
						test.end(t, l, placed.Hold)
					}
					before := lastIn(t, memory)
					err = test.act(l, placed.Hold, by)
					if refused := test.refused && by == "you"; isNotOwner(err) != refused || err != nil && !refused {
						t.Errorf("error %v, want refused %v", err, refused)
					}
					if diff := compare(before, lastIn(t, memory)); isNotOwner(err) && diff != "" {
						t.Errorf("it changed the ledger all the same:\n%s", diff)
					}
				})
			})
		}
	}
}

func expired(*testing.T, *Ledger, Hold) { <-time.After(2 * time.Hour) }

func ended(t *testing.T, l *Ledger, _ Hold) {
	t.Helper()
	l.Force(t.Context(), "an operator")
}

func renewing(l *Ledger, h Hold, by string) error {
	_, err := l.Renew(context.Background(), Renewing{UID: h.UID, TTL: time.Hour, By: by, OwnOnly: true})
	return err
}

func placing(l *Ledger, _ Hold, by string) error {
	_, err := l.Place(context.Background(), asOwner(l, by, "a", time.Hour))
	return err
}

func replacing(l *Ledger, _ Hold, by string) error {
	p := asOwner(l, by, "a", time.Hour)
	p.Phase = hard
	_, err := l.Place(context.Background(), p)
	return err
}

func releasing(l *Ledger, _ Hold, by string) error {
	state, _ := l.State()
	h, _ := state.Find("a")
	_, err := l.Release(context.Background(), Releasing{ID: "a", Judged: h.UID, By: by, OwnOnly: true})
	return err
}

// The anonymous hold is nobody's own, also where it would be free, or has the same owner.
func TestAnonymousIsNobodysOwn(t *testing.T) {
	l, _ := opened(t)
	refused := func() {
		t.Helper()
		if _, err := l.Place(t.Context(), asOwner(l, "me", Operator, 0)); !isNotOwner(err) {
			t.Errorf("place: %v", err)
		}
		state, _ := l.State()
		h, _ := state.Find(Operator)
		if _, err := l.Release(t.Context(), Releasing{ID: Operator, Judged: h.UID, By: "me", OwnOnly: true}); !isNotOwner(err) {
			t.Errorf("release: %v", err)
		}
		if _, err := l.Renew(t.Context(), Renewing{UID: h.UID, By: "me", OwnOnly: true}); h.UID != "" && !isNotOwner(err) {
			t.Errorf("renew: %v", err)
		}
	}
	refused()
	if h := placed(t, l, Operator, soft, 0); h.Owner != "me" {
		t.Fatalf("owner %q", h.Owner)
	}
	refused()
}

// An operator may touch what is another's, which stays another's when it is renewed.
func TestOperatorsTouchAll(t *testing.T) {
	l, _ := opened(t)
	mine, err := l.Place(t.Context(), asOwner(l, "me", "a", time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	p := request(l, "a", soft, 2*time.Hour)
	p.Owner = "an operator"
	renewed, err := l.Place(t.Context(), p)
	if err != nil || !renewed.Renewed || renewed.Hold.Owner != "me" {
		t.Errorf("error %v, renewed %+v", err, renewed)
	}
	if err := releasing(l, mine.Hold, "me"); err != nil {
		t.Errorf("the owner's release afterwards: %v", err)
	}
}

// Two who want the same name at the same time: one has it, and the other is told so, whichever server they ask.
func TestOwnersRace(t *testing.T) {
	memory := NewMemory()
	owners := []string{"me", "you", "they"}
	ledgers := make([]*Ledger, len(owners))
	for i := range ledgers {
		l, err := Open(t.Context(), memory, "memory")
		if err != nil {
			t.Fatal(err)
		}
		ledgers[i] = l
	}
	for round := range 50 {
		id := fmt.Sprint("hold-", round)
		errs := make([]error, len(owners))
		var all sync.WaitGroup
		for i, owner := range owners {
			all.Go(func() {
				p := asOwner(ledgers[i], owner, id, time.Hour)
				for {
					state, _ := ledgers[i].State()
					p.Held = state.Target()
					if _, errs[i] = ledgers[i].Place(t.Context(), p); !errors.Is(errs[i], ErrOvertaken) {
						return
					}
				}
			})
		}
		all.Wait()
		state := lastIn(t, memory)
		h, _ := state.Find(id)
		for i, owner := range owners {
			if (errs[i] == nil) != (h.Owner == owner) || errs[i] != nil && !isNotOwner(errs[i]) {
				t.Errorf("%s is %s's, and %s was told %v", id, h.Owner, owner, errs[i])
			}
		}
		l := ledgers[round%len(ledgers)]
		if _, err := l.Release(t.Context(), Releasing{ID: id, Judged: h.UID, By: h.Owner, OwnOnly: true}); err != nil {
			t.Fatalf("release %s: %v", id, err)
		}
	}
}

// Whatever owners ask for, in whatever order: a hold changes by its owner's word and time alone.
func TestOwnersProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &script{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			s.wait(drawDuration(t, "wait"))
			owner, id := rapid.SampledFrom([]string{"me", "you"}).Draw(t, "owner"), drawID(t)
			before := s.state.clone()
			before.expire(s.now)
			act := rapid.SampledFrom([]string{"place", "renew", "release"}).Draw(t, "act")
			var err error
			s.change(func(state *State) {
				switch h, live := state.Find(id); act {
				case "place":
					p := s.asked(id, soft)
					p.Owner, p.OwnOnly, p.TTL = owner, true, drawDuration(t, "ttl")
					_, _, err = state.place(p, s.now)
				case "renew":
					if err = state.CheckOwnerUID(h.UID, owner); err == nil && live {
						state.extend(h, drawDuration(t, "ttl"), s.now)
					}
				case "release":
					if err = state.CheckOwner(id, owner); err == nil {
						state.release(id, Ended{At: s.now, How: Released, By: owner})
					}
				}
			})
			if err != nil && !isNotOwner(err) {
				t.Fatalf("%s %s: %v", act, id, err)
			}
			for _, old := range before.Holds {
				if h, _ := s.state.FindUID(old.UID); old.Owner != owner && compare(old, h) != "" {
					t.Fatalf("%s by %s changed %+v to %+v", act, owner, old, h)
				}
			}
			if old, live := before.Find(id); err == nil && (live && old.Owner != owner || id == Operator && act != "renew") {
				t.Fatalf("%s by %s of %+v was not refused", act, owner, old)
			}
		}
	})
}

// What a server did not hear yet refuses nobody: a name that was released elsewhere moments ago is free.
func TestOwnersAreReadFirst(t *testing.T) {
	l, memory := opened(t)
	if err := placing(l, Hold{}, "me"); err != nil {
		t.Fatal(err)
	}
	other := openedOn(t, memory)
	if err := releasing(l, Hold{}, "me"); err != nil {
		t.Fatal(err)
	}
	if state, _ := other.State(); len(state.Holds) != 1 {
		t.Fatal("the other server has heard of it: nothing is tested")
	}
	p := asOwner(other, "you", "a", time.Hour)
	p.Held = exports
	if _, err := other.Place(t.Context(), p); err != nil {
		t.Errorf("place: %v", err)
	}
}
