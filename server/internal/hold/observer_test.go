package hold

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// told is what an observer was told, and for whom.
type told struct {
	mu      sync.Mutex
	changes []Change
	by      []string
}

type whoKey struct{}

func as(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, whoKey{}, who)
}

func (w *told) observe(ctx context.Context, c Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	who, _ := ctx.Value(whoKey{}).(string)
	w.changes, w.by = append(w.changes, c), append(w.by, who)
}

// chain checks that each change begins where the one before ended, and that the last is what is written.
func (w *told) chain(t *testing.T, last State) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var state State
	for i, c := range w.changes {
		if diff := compare(state, c.Before); diff != "" || c.After.Revision != c.Before.Revision+1 {
			t.Fatalf("change %d leads from revision %d to %d (-after the last +before this one):\n%s", i, c.Before.Revision, c.After.Revision, diff)
		}
		state = c.After
	}
	if diff := compare(last, state); diff != "" {
		t.Errorf("after %d changes (-written +told):\n%s", len(w.changes), diff)
	}
}

func observed(t *testing.T, store Store) (*Ledger, *told) {
	t.Helper()
	w := &told{}
	l, err := Open(t.Context(), store, "memory", w.observe)
	if err != nil {
		t.Fatal(err)
	}
	return l, w
}

// Whoever writes, and however many at once, observers are told of each write once, in order, before it returns.
func TestObserverIsToldInOrder(t *testing.T) {
	memory := NewMemory()
	l, w := observed(t, memory)
	var calls sync.WaitGroup
	for i := range 8 {
		calls.Go(func() {
			for range 10 {
				id := fmt.Sprint("hold-", i)
				h := placed(t, l, id, soft, time.Hour)
				w.mu.Lock()
				known := w.changes[len(w.changes)-1].After
				w.mu.Unlock()
				if _, live := known.FindUID(h.UID); !live {
					t.Errorf("hold %s is placed, and nobody was told", id)
				}
				released(t, l, id)
			}
		})
	}
	calls.Wait()
	w.chain(t, lastIn(t, memory))
	if len(w.changes) != 160 {
		t.Errorf("%d changes were told, want 160", len(w.changes))
	}
}

// What changes nothing, or is not taken, is not told; what time has changed is part of what is.
func TestObserverIsToldOfWritesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := NewMemory()
		l, w := observed(t, memory)
		placed(t, l, "a", soft, time.Hour)
		memory.Fail(nil, errDisk)
		if _, err := l.Place(t.Context(), request(l, "b", soft, 0)); err == nil {
			t.Error("a full disk took it")
		}
		memory.Fail(nil, nil)
		<-time.After(time.Hour)
		if len(w.changes) != 1 {
			t.Errorf("told of %+v", w.changes)
		}
		if err := l.Tick(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if err := l.Tick(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		w.chain(t, lastIn(t, memory))
		if len(w.changes) != 2 || w.changes[1].After.History[0].How != Expired {
			t.Errorf("told of %+v", w.changes)
		}
	})
}

// A write of which the store was not sure is told once it is known to have happened, for the one who asked for it.
func TestObserverIsToldWhenTheStoreIsSure(t *testing.T) {
	tests := []struct {
		name  string
		late  bool // whether the store takes it after it was read once more
		never bool
		again func(*testing.T, *Ledger) // how the ledger finds out
		want  []string
	}{
		{"it is read", false, false, func(t *testing.T, l *Ledger) { t.Helper(); refresh(t, l) }, []string{"ours", ""}},
		{"the next one is in its way", false, false, func(t *testing.T, l *Ledger) { t.Helper(); placed(t, l, "next", soft, 0) }, []string{"ours", ""}},
		{"it comes late", true, false, func(t *testing.T, l *Ledger) { t.Helper(); placed(t, l, "next", soft, 0) }, []string{"ours", ""}},
		{"it never happened", false, true, func(t *testing.T, l *Ledger) { t.Helper(); placed(t, l, "next", soft, 0) }, []string{""}},
		{"it is watched", false, false, func(t *testing.T, l *Ledger) {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			_, changed := l.State()
			done := make(chan error)
			go func() { done <- l.Run(ctx) }()
			<-changed
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}, []string{"ours"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			memory := NewMemory()
			store := &faulty{Memory: memory}
			l, w := observed(t, store)
			var kept Record
			store.swap = func(ctx context.Context, next Record) error {
				kept = next
				if !test.late && !test.never {
					if err := memory.Swap(ctx, next); err != nil {
						return err
					}
				}
				return &UncertainError{errDisk}
			}
			store.read = func(context.Context) (Record, error) { return Record{}, errDisk }
			if _, err := l.Place(as(t.Context(), "ours"), request(l, "a", soft, 0)); err == nil {
				t.Fatal("the store was sure")
			}
			store.swap, store.read = nil, nil
			if test.late {
				if err := memory.Swap(t.Context(), kept); err != nil {
					t.Fatal(err)
				}
			}
			if len(w.changes) > 0 {
				t.Errorf("told of %+v before anybody knew", w.changes)
			}
			test.again(t, l)
			w.chain(t, lastIn(t, memory))
			if diff := compare(test.want, w.by); diff != "" {
				t.Errorf("told for (-want +got):\n%s", diff)
			}
		})
	}
}

// Where another process has written on top nobody can tell whose the write in between was, and the observer is told that.
func TestObserverIsToldOfDoubt(t *testing.T) {
	memory := NewMemory()
	store := &faulty{Memory: memory}
	l, w := observed(t, store)
	other := openedOn(t, memory)
	store.swap = func(ctx context.Context, next Record) error {
		if err := memory.Swap(ctx, next); err != nil {
			return err
		}
		_, err := other.Place(ctx, request(other, "theirs", soft, 0))
		for err != nil { // It was judged by an older state.
			_, err = other.Place(ctx, request(other, "theirs", soft, 0))
		}
		return &UncertainError{errDisk}
	}
	if _, err := l.Place(t.Context(), request(l, "ours", soft, 0)); err == nil {
		t.Fatal("the store was sure")
	}
	store.swap = nil
	placed(t, l, "later", soft, 0)
	if len(w.changes) != 2 || !w.changes[0].Uncertain || w.changes[0].After.Revision != 1 ||
		w.changes[1].Uncertain || w.changes[1].Before.Revision != 2 {
		t.Errorf("told of %+v", w.changes)
	}
}

// While a store is lost, tries that it does not answer must not pile up.
func TestDoubtIsBounded(t *testing.T) {
	store := &faulty{Memory: NewMemory()}
	l, w := observed(t, store)
	var kept Record
	store.swap = func(_ context.Context, next Record) error { kept = next; return &UncertainError{errDisk} }
	for range 10 * maxUnsure {
		if _, err := l.Place(t.Context(), request(l, "a", soft, 0)); err == nil {
			t.Fatal("the store was sure")
		}
	}
	if len(l.unsure) != maxUnsure {
		t.Errorf("%d tries are remembered, want %d", len(l.unsure), maxUnsure)
	}
	if err := store.Memory.Swap(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	store.swap = nil
	refresh(t, l)
	if len(w.changes) == 0 || l.unsure != nil {
		t.Errorf("told of %d changes, still unsure of %d", len(w.changes), len(l.unsure))
	}
}

// A resume of everything that could not be written is told when it is, for the one who asked for it.
func TestObserverIsToldOfForceWhenItIsWritten(t *testing.T) {
	memory := NewMemory()
	l, w := observed(t, memory)
	placed(t, l, "a", soft, 0)
	memory.Fail(nil, errDisk)
	if _, recorded := l.Force(as(t.Context(), "on-call"), "on-call"); recorded || len(w.changes) != 1 {
		t.Errorf("recorded %t, told of %d changes", recorded, len(w.changes))
	}
	memory.Fail(nil, nil)
	refresh(t, l)
	w.chain(t, lastIn(t, memory))
	if diff := compare([]string{"", "on-call"}, w.by); diff != "" {
		t.Errorf("told for (-want +got):\n%s", diff)
	}
}
