package storetest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// good is what the faulty stores are made of: all its handles are one.
func good(*testing.T) storetest.Open {
	memory := hold.NewMemory()
	return func() (hold.Store, error) { return memory, nil }
}

func TestGood(t *testing.T) {
	storetest.Run(t, good)
}

func TestExceptions(t *testing.T) {
	alone := func(*testing.T) storetest.Open {
		return func() (hold.Store, error) { return hold.NewMemory(), nil }
	}
	storetest.Run(t, alone, storetest.Without(storetest.Shared, "each handle has its own memory"),
		storetest.Without(storetest.Durable, "the memory goes with its handle"))
}

// faulty is a store that does one thing wrong.
type faulty struct {
	hold.Store
	swap  func(ctx context.Context, s hold.Store, next hold.Record) error
	read  func(ctx context.Context, s hold.Store) (hold.Record, error)
	watch func(ctx context.Context, s hold.Store, changed func(hold.Record)) error
}

func (f *faulty) Swap(ctx context.Context, next hold.Record) error {
	if f.swap == nil {
		return f.Store.Swap(ctx, next)
	}
	return f.swap(ctx, f.Store, next)
}

func (f *faulty) Read(ctx context.Context) (hold.Record, error) {
	if f.read == nil {
		return f.Store.Read(ctx)
	}
	return f.read(ctx, f.Store)
}

func (f *faulty) Watch(ctx context.Context, changed func(hold.Record)) error {
	if f.watch == nil {
		return f.Store.Watch(ctx, changed)
	}
	return f.watch(ctx, f.Store, changed)
}

// faults are what stores do wrong, by the test that finds it.
func faults() map[string]map[string]func() hold.Store {
	with := func(f faulty) func() hold.Store {
		return func() hold.Store {
			own := f
			own.Store = hold.NewMemory()
			return &own
		}
	}
	return map[string]map[string]func() hold.Store{
		"Successors": {
			"takes any later revision": with(faulty{swap: func(ctx context.Context, s hold.Store, next hold.Record) error {
				last, err := s.Read(ctx)
				if err != nil || next.Revision <= last.Revision {
					return errors.Join(err, hold.ErrConflict)
				}
				return s.Swap(ctx, hold.Record{Revision: last.Revision + 1, Data: next.Data})
			}}),
			"calls a conflict something else": with(faulty{swap: func(ctx context.Context, s hold.Store, next hold.Record) error {
				if err := s.Swap(ctx, next); err != nil {
					return errors.New("conflict")
				}
				return nil
			}}),
		},
		"Bytes": {
			"ends data at a zero byte": with(faulty{swap: func(ctx context.Context, s hold.Store, next hold.Record) error {
				if i := slices.Index(next.Data, 0); i >= 0 {
					next.Data = next.Data[:i]
				}
				return s.Swap(ctx, next)
			}}),
		},
		"Limit": {
			"takes everything": with(faulty{swap: func(ctx context.Context, s hold.Store, next hold.Record) error {
				next.Data = next.Data[:min(len(next.Data), hold.MaxRecord)]
				return s.Swap(ctx, next)
			}}),
			"takes less": with(faulty{swap: func(ctx context.Context, s hold.Store, next hold.Record) error {
				if len(next.Data) >= hold.MaxRecord {
					return errors.New("too large")
				}
				return s.Swap(ctx, next)
			}}),
			"calls a large record a conflict": with(faulty{swap: func(ctx context.Context, s hold.Store, next hold.Record) error {
				if len(next.Data) > hold.MaxRecord {
					return hold.ErrConflict
				}
				return s.Swap(ctx, next)
			}}),
		},
		"Contexts": {
			"reads without a context": with(faulty{read: func(ctx context.Context, s hold.Store) (hold.Record, error) {
				return s.Read(context.WithoutCancel(ctx))
			}}),
			"writes without a context": with(faulty{swap: func(ctx context.Context, s hold.Store, next hold.Record) error {
				return errors.Join(s.Swap(context.WithoutCancel(ctx), next), ctx.Err())
			}}),
		},
		"Race": {
			"does not tell losers": with(faulty{swap: func(ctx context.Context, s hold.Store, next hold.Record) error {
				if err := s.Swap(ctx, next); !errors.Is(err, hold.ErrConflict) {
					return err
				}
				return nil
			}}),
			"reads late": func() hold.Store { return &late{Memory: hold.NewMemory()} },
		},
		"WatchFirst": {
			"has nothing to tell of an empty store": with(faulty{watch: func(ctx context.Context, s hold.Store, changed func(hold.Record)) error {
				if last, err := s.Read(ctx); err != nil || last.Revision == 0 {
					return err
				}
				return s.Watch(ctx, changed)
			}}),
		},
		"WatchOwn": {
			"tells twice": with(faulty{watch: func(ctx context.Context, s hold.Store, changed func(hold.Record)) error {
				return s.Watch(ctx, func(r hold.Record) { changed(r); changed(r) })
			}}),
			"tells two at a time": with(faulty{watch: func(ctx context.Context, s hold.Store, changed func(hold.Record)) error {
				return s.Watch(ctx, func(r hold.Record) {
					var group sync.WaitGroup
					for range 100 {
						group.Go(func() { changed(r) })
					}
					group.Wait()
				})
			}}),
		},
		"WatchEnds": {
			"calls its end an error": with(faulty{watch: func(ctx context.Context, s hold.Store, changed func(hold.Record)) error {
				return errors.Join(s.Watch(ctx, changed), ctx.Err())
			}}),
		},
		"SharedWatch": {
			"tells only the first": with(faulty{watch: func(ctx context.Context, s hold.Store, changed func(hold.Record)) error {
				first, stop := context.WithCancel(ctx)
				defer stop()
				return s.Watch(first, func(r hold.Record) { changed(r); stop() })
			}}),
		},
		"Aliases": {"keeps its caller's slices": func() hold.Store { return &aliasing{Memory: hold.NewMemory()} }},
	}
}

// aliasing keeps the slices that it is given.
type aliasing struct {
	*hold.Memory
	mu   sync.Mutex
	last hold.Record
}

func (a *aliasing) Swap(ctx context.Context, next hold.Record) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.Memory.Swap(ctx, next)
	if err == nil {
		a.last = next
	}
	return err
}

func (a *aliasing) Read(context.Context) (hold.Record, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last, nil
}

// late reads the last record but one.
type late struct {
	*hold.Memory
	mu       sync.Mutex
	previous hold.Record
	reads    int
}

func (l *late) Swap(ctx context.Context, next hold.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, err := l.Memory.Read(ctx)
	if err != nil {
		return err
	}
	err = l.Memory.Swap(ctx, next)
	if err == nil {
		l.previous = last
	}
	return err
}

func (l *late) Read(ctx context.Context) (hold.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reads++; l.reads%5 == 0 {
		runtime.Gosched()
		return l.previous, ctx.Err()
	}
	return l.Memory.Read(ctx)
}

const faultVariable = "EXPORTGATE_TEST_FAULT"

// TestFaults runs the suite on stores that are wrong, each in a process of its own, where it must fail: in that test which
// is about the fault. A store that forgets is among them twice: with what a handle wrote when it is closed, and as one
// whose handles do not share.
func TestFaults(t *testing.T) {
	all := faults()
	memories := func() hold.Store { return hold.NewMemory() }
	all["Reopened"] = map[string]func() hold.Store{"forgets when it is closed": memories}
	all["SharedReads"] = map[string]func() hold.Store{"does not share": memories}
	for test, stores := range all {
		for name, store := range stores {
			if os.Getenv(faultVariable) == name {
				storetest.Run(t, faultyOpen(test, store))
				return
			}
		}
	}
	if os.Getenv(faultVariable) != "" {
		t.Fatal("no such fault")
	}
	for test, stores := range all {
		for name := range stores {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				checkFound(t, name, test)
			})
		}
	}
}

// faultyOpen returns the one store at each call, or a new one where handles are what is wrong.
func faultyOpen(test string, store func() hold.Store) func(*testing.T) storetest.Open {
	return func(*testing.T) storetest.Open {
		one := store()
		return func() (hold.Store, error) {
			if test == "Reopened" || test == "SharedReads" {
				return store(), nil
			}
			return one, nil
		}
	}
}

func checkFound(t *testing.T, name, test string) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFaults$/^"+test+"$", "-test.v")
	child.Env = append(os.Environ(), faultVariable+"="+name)
	output, err := child.CombinedOutput()
	if failed := new(exec.ExitError); !errors.As(err, &failed) || !strings.Contains(string(output), "--- FAIL: TestFaults/"+test) {
		t.Errorf("%s does not find it: %v\n%s", test, err, output)
	}
}
