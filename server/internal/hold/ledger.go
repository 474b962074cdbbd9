package hold

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// Ledger applies the rules, one change at a time, to what a store keeps. It remembers the last state, so that it can say
// what ought to be also where the store is lost. Its methods may be called by many goroutines.
type Ledger struct {
	store   Store
	where   string
	writing chan struct{} // capacity 1: one change at a time

	mu       sync.Mutex
	state    State // as it was last read or written
	readErr  error // why the last read failed; nil if it did not
	writeErr error // why the last write failed
	forced   *forced
	changed  chan struct{} // closed at the next change
}

// forced is a resume of everything that could not be written yet.
type forced struct {
	uids   []string // of the holds that it ends
	by     string
	at     time.Time
	proven time.Time
}

// patience bounds every request to the store.
const patience = 5 * time.Second

// UnavailableError is a change that the store did not take, or that may have been taken if it is uncertain.
type UnavailableError struct {
	Err       error
	Uncertain bool
}

// Error tells what is wrong and what works all the same.
func (e *UnavailableError) Error() string {
	if e.Uncertain {
		return fmt.Sprintf("%v: ask for the status; a resume with force works all the same", e.Err)
	}
	return fmt.Sprintf("the ledger of holds cannot be written, nothing was touched: %v; a resume with force works all the same", e.Err)
}

// Unwrap returns what went wrong.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Open returns the ledger that a store keeps; where is the store's name, for errors. A record that makes no sense is a
// [*DamagedError]. A store that does not answer is no error: the ledger is stale then, until [Ledger.Refresh] succeeds.
func Open(ctx context.Context, store Store, where string) (*Ledger, error) {
	l := &Ledger{store: store, where: where, writing: make(chan struct{}, 1), changed: make(chan struct{})}
	if err := l.read(ctx); err != nil && damaged(err) {
		return nil, err
	}
	return l, nil
}

// Run follows what others write to the store, until the context ends. A store that is lost is asked again and again; a
// record that makes no sense ends it.
func (l *Ledger) Run(ctx context.Context) error {
	for {
		watching, stop := context.WithCancelCause(ctx)
		err := l.store.Watch(watching, func(r Record) {
			if err := l.adopt(r); err != nil {
				stop(err)
			}
		})
		cause := context.Cause(watching)
		stop(nil)
		switch {
		case ctx.Err() != nil:
			return nil
		case damaged(cause):
			return cause
		case err != nil:
			l.lost(err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil
		}
	}
}

// State returns what ought to be now, and a channel that is closed when something was written. Holds whose time is over do
// not live in it, whether that is written yet or not.
func (l *Ledger) State() (State, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.effective(time.Now()), l.changed
}

// effective is the state at an instant. l.mu is held.
func (l *Ledger) effective(now time.Time) State {
	if l.forced == nil && !slices.ContainsFunc(l.state.Holds, func(h Hold) bool { return !h.Live(now) }) {
		return l.state
	}
	s := l.state.clone()
	s.expire(now)
	if f := l.forced; f != nil {
		s.force(f.ends, f.by, f.at)
		if s.Undo != nil && !f.proven.IsZero() {
			s.Undo = nil
		}
	}
	return s
}

func (f *forced) ends(h *Hold) bool { return slices.Contains(f.uids, h.UID) }

// Stale is why the state may not be the last, nil if it is: the store could not be read or written. Lost reports that it
// could not be read: then nobody may act on the state, but for a resume of everything that waits to be written, which
// Forced reports.
func (l *Ledger) Stale() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.readErr, l.writeErr)
}

// Lost: see [Ledger.Stale].
func (l *Ledger) Lost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.readErr != nil
}

// Forced: see [Ledger.Stale].
func (l *Ledger) Forced() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.forced != nil
}

// Refresh reads the store, linearizably, and writes what waits to be written.
func (l *Ledger) Refresh(ctx context.Context) error {
	if err := l.read(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	waits := l.forced
	l.mu.Unlock()
	if waits == nil {
		return nil
	}
	_, err := l.change(ctx, func(s *State, _ time.Time) (bool, error) {
		s.force(waits.ends, waits.by, waits.at)
		return true, nil
	})
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.forced = nil
	}
	return nil // It was read: that it cannot be written is told by Stale.
}

// change applies one step to a copy of the last state, in which holds whose time is over have ended. If the step says that
// it changed something, or a hold ended so, the copy is written. It returns the state from then on. A step may be tried
// several times: another process may be faster.
func (l *Ledger) change(ctx context.Context, step func(*State, time.Time) (bool, error)) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case l.writing <- struct{}{}:
		defer func() { <-l.writing }()
	case <-ctx.Done():
		return State{}, &UnavailableError{Err: errors.New("an earlier change is not written yet")}
	}
	for {
		l.mu.Lock()
		last := l.state
		l.mu.Unlock()
		now := time.Now()
		next := last.clone()
		expired := next.expire(now)
		changed, err := step(&next, now)
		if err != nil || !changed && !expired {
			return next, err
		}
		next.Revision = last.Revision + 1
		next.trim(now)
		switch err := l.write(ctx, next); {
		case errors.Is(err, ErrConflict):
			if err := l.read(ctx); err != nil {
				return State{}, &UnavailableError{Err: err}
			}
		case err != nil:
			return State{}, err
		default:
			return next, nil
		}
	}
}

// write writes a state. Where it is not known whether that happened, it looks.
func (l *Ledger) write(ctx context.Context, next State) error {
	record, err := encode(&next)
	if err != nil {
		return err
	}
	err = l.store.Swap(ctx, record)
	uncertain, isUncertain := errors.AsType[*UncertainError](err)
	tooMany, isTooMany := errors.AsType[*TooManyError](err)
	switch {
	case err == nil:
	case errors.Is(err, ErrConflict):
		return err
	case isTooMany:
		return tooMany
	case isUncertain && l.written(ctx, record):
	default:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.writeErr = err
		l.notify()
		return &UnavailableError{err, uncertain != nil}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writeErr = nil
	l.advance(next)
	return nil
}

// written reports whether a record is the last.
func (l *Ledger) written(ctx context.Context, r Record) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	last, err := l.store.Read(ctx)
	return err == nil && last.Revision == r.Revision && string(last.Data) == string(r.Data)
}

func (l *Ledger) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	record, err := l.store.Read(ctx)
	if err != nil {
		l.lost(err)
		return err
	}
	return l.adopt(record)
}

// adopt takes a record that the store has.
func (l *Ledger) adopt(r Record) error {
	state, err := decode(r)
	if err != nil {
		err = &DamagedError{l.where, err}
		l.lost(err)
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readErr != nil {
		l.readErr = nil
		l.notify()
	}
	l.advance(state)
	return nil
}

// advance makes a state the last, unless a later one is known. l.mu is held.
func (l *Ledger) advance(state State) {
	if state.Revision > l.state.Revision {
		l.state = state
		l.notify()
	}
}

func (l *Ledger) lost(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readErr = err
	l.notify()
}

// notify wakes those who wait for a change. l.mu is held.
func (l *Ledger) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func damaged(err error) bool {
	_, is := errors.AsType[*DamagedError](err)
	return is
}

// Bind binds the ledger to the cluster of a topology, if it is not bound, and adds what it did not know of it. It fails
// with an [*OtherClusterError] if it is bound to another.
func (l *Ledger) Bind(ctx context.Context, t *exporting.Topology) error {
	found := ClusterOf(t)
	state, _ := l.State()
	if _, more := state.Cluster.join(found); !more && state.Cluster.same(found) {
		return nil
	}
	_, err := l.change(ctx, func(s *State, _ time.Time) (bool, error) {
		if s.Cluster.bound() && !s.Cluster.same(found) {
			return false, &OtherClusterError{s.Cluster, found}
		}
		var more bool
		s.Cluster, more = s.Cluster.join(found)
		return more, nil
	})
	return err
}
