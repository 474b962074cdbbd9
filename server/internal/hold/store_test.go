package hold

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var errDisk = errors.New("no space left on device")

// faulty is a store of which single requests are something else.
type faulty struct {
	*Memory

	err   error // of all reads and writes, while there is one
	read  func(context.Context) (Record, error)
	swap  func(context.Context, Record) error
	watch func(context.Context, func(Record)) error
}

func (f *faulty) Read(ctx context.Context) (Record, error) {
	switch {
	case f.err != nil:
		return Record{}, f.err
	case f.read != nil:
		return f.read(ctx)
	}
	return f.Memory.Read(ctx)
}

func (f *faulty) Swap(ctx context.Context, next Record) error {
	switch {
	case f.err != nil:
		return f.err
	case f.swap != nil:
		return f.swap(ctx, next)
	}
	return f.Memory.Swap(ctx, next)
}

func (f *faulty) Watch(ctx context.Context, changed func(Record)) error {
	if f.watch != nil {
		return f.watch(ctx, changed)
	}
	return f.Memory.Watch(ctx, changed)
}

// Of a write that may have happened the ledger looks what came of it. Where that cannot be told either it says so; and
// what comes late is taken for what it is.
func TestUncertainWrites(t *testing.T) {
	tests := []struct {
		name          string
		written, read bool
		wantErr       bool
	}{
		{"it happened", true, true, false},
		{"it did not, yet", false, true, true},
		{"it happened, and nobody can tell", true, false, true},
		{"nobody can tell whether", false, false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			memory := NewMemory()
			store := &faulty{Memory: memory}
			l := openedOn(t, store)
			var late Record
			store.swap = func(ctx context.Context, next Record) error {
				if late = next; test.written {
					if err := memory.Swap(ctx, next); err != nil {
						return err
					}
				}
				return &UncertainError{errDisk}
			}
			if !test.read {
				store.read = func(context.Context) (Record, error) { return Record{}, errDisk }
			}
			_, err := l.Place(t.Context(), request(l, "a", soft, 0))
			unavailable, is := errors.AsType[*UnavailableError](err)
			if (err != nil) != test.wantErr || is && !unavailable.Uncertain {
				t.Fatalf("error %v", err)
			}
			if stale := l.Stale(); (stale != nil) != test.wantErr {
				t.Errorf("stale: %v", stale)
			}
			store.swap, store.read = nil, nil
			if !test.written {
				if err := memory.Swap(t.Context(), late); err != nil {
					t.Fatal(err)
				}
			}
			placed(t, l, "b", soft, 0) // It is decided on the late one, not instead of it.
			if state, _ := l.State(); len(state.Holds) != 2 || l.Stale() != nil {
				t.Errorf("stale %v, holds %+v", l.Stale(), state.Holds)
			}
		})
	}
}

// What another process wrote after an uncertain write keeps it uncertain.
func TestUncertainAndOvertaken(t *testing.T) {
	memory := NewMemory()
	store := &faulty{Memory: memory}
	l, other := openedOn(t, store), openedOn(t, memory)
	theirs := request(other, "theirs", soft, 0)
	store.swap = func(ctx context.Context, _ Record) error {
		_, err := other.Place(ctx, theirs)
		return &UncertainError{errors.Join(errDisk, err)}
	}
	_, err := l.Place(t.Context(), request(l, "ours", soft, 0))
	if unavailable, is := errors.AsType[*UnavailableError](err); !is || !unavailable.Uncertain {
		t.Errorf("error %v", err)
	}
}

func TestReadsFail(t *testing.T) {
	l, memory := opened(t)
	want := placed(t, l, "a", hard, 0)
	memory.Fail(errDisk, errDisk)
	if err := l.Refresh(t.Context()); !errors.Is(err, errDisk) || !l.Lost() || !errors.Is(l.Stale(), errDisk) || l.Forced() {
		t.Errorf("error %v, lost %v, stale %v, forced %v", err, l.Lost(), l.Stale(), l.Forced())
	}
	if state, _ := l.State(); !cmp.Equal([]Hold{want}, state.Holds) {
		t.Errorf("the last state is forgotten: %+v", state)
	}
	memory.Fail(nil, nil)
	refresh(t, l)
	if l.Lost() || l.Stale() != nil {
		t.Errorf("lost %v, stale %v", l.Lost(), l.Stale())
	}
}

// A write that fails changes nothing. A refresh finds out when it would not any more.
func TestWritesFail(t *testing.T) {
	l, memory := opened(t)
	want := placed(t, l, "a", hard, 0)
	memory.Fail(nil, errDisk)
	for range 2 {
		_, err := l.Place(t.Context(), request(l, "b", hard, 0))
		unavailable, is := errors.AsType[*UnavailableError](err)
		if !is || unavailable.Uncertain || !errors.Is(err, errDisk) {
			t.Errorf("error %v", err)
		}
		if state := refresh(t, l); l.Lost() || !errors.Is(l.Stale(), errDisk) || !cmp.Equal([]Hold{want}, state.Holds) {
			t.Errorf("lost %v, stale %v, state %+v", l.Lost(), l.Stale(), state)
		}
	}
	memory.Fail(nil, nil)
	if state := refresh(t, l); l.Stale() != nil || !cmp.Equal([]Hold{want}, state.Holds) {
		t.Errorf("stale %v, state %+v", l.Stale(), state)
	}
	revision := lastIn(t, memory).Revision
	refresh(t, l)
	if got := lastIn(t, memory).Revision; got != revision {
		t.Error("a refresh writes where nothing has failed")
	}
}

// What a record has no room for is refused as such: the store is well.
func TestRecordIsFull(t *testing.T) {
	memory := NewMemory()
	store := &faulty{Memory: memory, swap: func(context.Context, Record) error { return &TooManyError{MaxHolds} }}
	l := openedOn(t, store)
	_, err := l.Place(t.Context(), request(l, "a", soft, 0))
	if _, is := errors.AsType[*TooManyError](err); !is || l.Stale() != nil {
		t.Errorf("error %v, stale %v", err, l.Stale())
	}
}

// A store that hangs keeps nobody for longer than the ledger's patience; who waits behind is told why.
func TestStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context) error {
			<-ctx.Done()
			return &UncertainError{ctx.Err()}
		}
		store := &faulty{Memory: NewMemory()}
		l := openedOn(t, store)
		store.swap = func(ctx context.Context, _ Record) error { return hang(ctx) }
		store.read = func(ctx context.Context) (Record, error) { return Record{}, hang(ctx) }
		ended := make(chan error, 1)
		began := time.Now()
		go func() {
			_, err := l.Place(t.Context(), request(l, "a", soft, 0))
			ended <- err
		}()
		<-time.After(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Release(ctx, Releasing{ID: "b", By: "me"}); err == nil || time.Since(began) != 2*time.Second {
			t.Errorf("who waits behind: %v after %v", err, time.Since(began))
		}
		if err := <-ended; err == nil || time.Since(began) != 2*patience {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if err := l.Refresh(t.Context()); !errors.Is(err, context.DeadlineExceeded) || !l.Lost() || time.Since(began) != 3*patience {
			t.Errorf("%v after %v, lost %v", err, time.Since(began), l.Lost())
		}
	})
}

// A caller that did not wait says nothing of the store.
func TestCallerLeaves(t *testing.T) {
	store := &faulty{Memory: NewMemory()}
	l := openedOn(t, store)
	ctx, leave := context.WithCancel(t.Context())
	store.swap = func(writing context.Context, _ Record) error {
		leave()
		return writing.Err()
	}
	if _, err := l.Place(ctx, request(l, "a", soft, 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("place: %v", err)
	}
	if err := l.Refresh(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("refresh: %v", err)
	}
	if l.Lost() || l.Stale() != nil {
		t.Errorf("lost %v, stale %v", l.Lost(), l.Stale())
	}
}
