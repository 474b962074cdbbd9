package hold

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

func opened(t *testing.T) (*Ledger, *Memory) {
	t.Helper()
	memory := NewMemory()
	return openedOn(t, memory), memory
}

func openedOn(t *testing.T, store Store) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), store, "memory")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// lastIn is what a store keeps.
func lastIn(t *testing.T, m *Memory) State {
	t.Helper()
	m.mu.Lock()
	record := m.record
	m.mu.Unlock()
	s, err := decode(record)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// request is a plain one, judged by what the ledger says now.
func request(l *Ledger, id string, phase exporting.Phase, ttl time.Duration) Placing {
	state, _ := l.State()
	return Placing{
		ID: id, Phase: phase, Owner: "me", TTL: ttl, Restore: Phases{"0": exports}, Foreign: exports, Held: state.Target(),
	}
}

// placed places a hold that must be taken, and judges again where others are faster.
func placed(t *testing.T, l *Ledger, id string, phase exporting.Phase, ttl time.Duration) Hold {
	t.Helper()
	for {
		p, err := l.Place(t.Context(), request(l, id, phase, ttl))
		if err == nil {
			return p.Hold
		}
		if !errors.Is(err, ErrOvertaken) {
			t.Fatalf("place %s: %v", id, err)
		}
	}
}

func released(t *testing.T, l *Ledger, id string) Release {
	t.Helper()
	for {
		state, _ := l.State()
		h, _ := state.Find(id)
		r, err := l.Release(t.Context(), Releasing{ID: id, Judged: h.UID, By: "me"})
		if err == nil {
			return r
		}
		if !errors.Is(err, ErrOvertaken) {
			t.Fatalf("release %s: %v", id, err)
		}
	}
}

func refresh(t *testing.T, l *Ledger) State {
	t.Helper()
	if err := l.Refresh(t.Context()); err != nil {
		t.Fatalf("refresh: %v", err)
	}
	state, _ := l.State()
	return state
}

func TestOpen(t *testing.T) {
	l, memory := opened(t)
	want := placed(t, l, "a", soft, time.Hour)
	state, _ := openedOn(t, memory).State()
	if diff := compare([]Hold{want}, state.Holds); diff != "" {
		t.Errorf("opened again (-want +got):\n%s", diff)
	}
}

func TestOpenDamaged(t *testing.T) {
	memory := NewMemory()
	if err := memory.Swap(t.Context(), Record{1, []byte("{")}); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), memory, "the/file")
	if damaged, is := errors.AsType[*DamagedError](err); !is || damaged.Where != "the/file" || !strings.Contains(err.Error(), cure) {
		t.Errorf("error %v", err)
	}
}

// Time ends a hold at its instant, whether anybody has written that or not, and the next write has it.
func TestExpiredBeforeItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, memory := opened(t)
		h := placed(t, l, "a", soft, time.Hour)
		placed(t, l, "b", hard, 2*time.Hour)
		before := lastIn(t, memory)

		<-time.After(time.Hour - time.Nanosecond)
		if state, _ := l.State(); len(state.Holds) != 2 {
			t.Errorf("just before: %+v", state.Holds)
		}
		<-time.After(time.Nanosecond)
		state, _ := l.State()
		ended, known := state.LastUID(h.UID)
		if len(state.Holds) != 1 || !known || ended.How != Expired || state.Revision != before.Revision {
			t.Errorf("then: %+v", state)
		}
		if diff := compare(before, lastIn(t, memory)); diff != "" {
			t.Errorf("it was written:\n%s", diff)
		}
		if r := released(t, l, "a"); r.Now || r.Ended == nil || r.Ended.How != Expired {
			t.Errorf("its release: %+v", r)
		}
		if written := lastIn(t, memory); len(written.Holds) != 1 {
			t.Error("the release did not write it")
		}

		<-time.After(time.Hour)
		state, _ = l.State()
		if goal, enforce := state.Goal(); goal.Phase != exports || !enforce || state.Undo == nil {
			t.Errorf("with no hold left: %+v", state)
		}
		if err := l.Tick(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if diff := compare(state.Undo, lastIn(t, memory).Undo); diff != "" {
			t.Errorf("written is another undo than was told (-told +written):\n%s", diff)
		}
		before = lastIn(t, memory)
		if err := l.Tick(t.Context(), 0); err != nil || lastIn(t, memory).Revision != before.Revision {
			t.Errorf("error %v, a tick with nothing to do was written", err)
		}
	})
}

// What is written forgets what is too old.
func TestLedgerForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, memory := opened(t)
		placed(t, l, "a", soft, 0)
		released(t, l, "a")
		<-time.After(maxAge + time.Nanosecond)
		placed(t, l, "b", soft, 0)
		if history := lastIn(t, memory).History; len(history) != 0 {
			t.Errorf("history %+v", history)
		}
	})
}

// A change is decided on what the store has, whatever this ledger still takes for it.
func TestOvertakenByAnotherLedger(t *testing.T) {
	l, memory := opened(t)
	other := openedOn(t, memory)
	a, b := placed(t, l, "a", soft, 0), placed(t, l, "b", soft, 0)
	refresh(t, other)
	released(t, other, "a")
	if renewed, err := l.Renew(t.Context(), Renewing{UID: a.UID, TTL: time.Hour}); err != nil || renewed != nil {
		t.Errorf("error %v, renewed what is released: %+v", err, renewed)
	}
	placed(t, other, "b", hard, 0)
	if r := released(t, l, "b"); !r.Now || r.Ended.Hold.UID == b.UID || len(r.State.Holds) != 0 {
		t.Errorf("released %+v", r)
	}
}

// That there is no such hold is not said by a ledger that has only not heard of it yet.
func TestNotHeardOf(t *testing.T) {
	l, memory := opened(t)
	other := openedOn(t, memory)
	a := placed(t, other, "a", soft, time.Minute)
	if renewed, err := l.Renew(t.Context(), Renewing{UID: a.UID, TTL: time.Hour}); err != nil || renewed == nil {
		t.Errorf("error %v, renewed %+v", err, renewed)
	}
	b := placed(t, other, "b", soft, 0)
	if r := released(t, l, "b"); !r.Now || r.Ended == nil || r.Ended.Hold.UID != b.UID {
		t.Errorf("released %+v", r)
	}
}

// Two ledgers over one store do not lose each other's changes.
func TestTwoLedgersRace(t *testing.T) {
	memory := NewMemory()
	ledgers := []*Ledger{openedOn(t, memory), openedOn(t, memory)}
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			l := ledgers[worker%2]
			for i := range 10 {
				id := fmt.Sprintf("hold-%d-%d", worker, i)
				placed(t, l, id, soft, time.Hour)
				if i%2 == 0 {
					if r := released(t, l, id); !r.Now {
						t.Errorf("%s was not there to be released: %+v", id, r.Ended)
					}
				}
			}
		})
	}
	group.Wait()
	state := refresh(t, ledgers[0])
	if len(state.Holds) != 40 || len(state.History) != 40 || state.Revision != 120 {
		t.Errorf("%d holds, %d ended, revision %d; want 40, 40, 120", len(state.Holds), len(state.History), state.Revision)
	}
	if diff := compare(state, refresh(t, ledgers[1])); diff != "" {
		t.Errorf("they differ:\n%s", diff)
	}
}

// Everybody who waits is woken by a write, here or elsewhere, and by nothing else.
func TestChanged(t *testing.T) {
	l, memory := opened(t)
	other := openedOn(t, memory)
	steps := []struct {
		name string
		do   func()
		want bool
	}{
		{"nothing new", func() { refresh(t, l) }, false},
		{"a write", func() { placed(t, l, "a", soft, 0) }, true},
		{"a release of nothing", func() { released(t, l, "b") }, false},
		{"another's write", func() { placed(t, other, "b", soft, 0); refresh(t, l) }, true},
		{"the store's loss", func() { memory.Fail(errDisk, nil); _ = l.Refresh(t.Context()) }, true},
		{"that it is still lost", func() { _ = l.Refresh(t.Context()) }, false},
		{"its return", func() { memory.Fail(nil, nil); refresh(t, l) }, true},
	}
	for _, step := range steps {
		_, changed := l.State()
		step.do()
		select {
		case <-changed:
			if !step.want {
				t.Errorf("%s woke", step.name)
			}
		default:
			if step.want {
				t.Errorf("%s woke nobody", step.name)
			}
		}
	}
}

// following runs a ledger, and returns what ends that and tells how it ended.
func following(t *testing.T, l *Ledger) (stop context.CancelFunc, ended chan error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	return stop, ended
}

func TestRunFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, memory := opened(t)
		stop, ended := following(t, l)
		defer stop()
		other := openedOn(t, memory)
		for _, id := range []string{"a", "b"} {
			h := placed(t, other, id, soft, 0)
			synctest.Wait()
			if state, _ := l.State(); state.Target() != soft {
				t.Errorf("%s is not known: %+v", id, state)
			} else if _, live := state.FindUID(h.UID); !live {
				t.Errorf("%s is not known: %+v", id, state)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestRunEndsOnDamage(t *testing.T) {
	for _, damage := range []string{"as it comes", "as the store says"} {
		t.Run(damage, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := NewMemory()
				store := &faulty{Memory: memory}
				l := openedOn(t, store)
				if damage == "as the store says" {
					store.watch = func(context.Context, func(Record)) error { return &DamagedError{"memory", errDisk} }
				}
				stop, ended := following(t, l)
				defer stop()
				synctest.Wait()
				if err := memory.Swap(t.Context(), Record{1, []byte("no ledger")}); err != nil {
					t.Fatal(err)
				}
				if err := <-ended; !damaged(err) {
					t.Errorf("it ended with %v", err)
				}
				if !l.Lost() || !damaged(l.Stale()) {
					t.Errorf("lost %v, stale %v", l.Lost(), l.Stale())
				}
			})
		})
	}
}

// A watch that breaks off is begun again, a second later.
func TestRunWatchesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := NewMemory()
		store := &faulty{Memory: memory}
		var watches int
		store.watch = func(ctx context.Context, changed func(Record)) error {
			if watches++; watches <= 3 {
				return errDisk
			}
			return memory.Watch(ctx, changed)
		}
		l := openedOn(t, store)
		stop, ended := following(t, l)
		defer stop()
		synctest.Wait()
		if !l.Lost() || !errors.Is(l.Stale(), errDisk) {
			t.Errorf("lost %v, stale %v", l.Lost(), l.Stale())
		}
		<-time.After(3*time.Second + time.Millisecond)
		if l.Lost() || l.Stale() != nil || watches != 4 {
			t.Errorf("after %d watches: lost %v, stale %v", watches, l.Lost(), l.Stale())
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
}
