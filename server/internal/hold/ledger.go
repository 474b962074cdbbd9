package hold

import (
	"bytes"
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
	store     Store
	where     string
	observers []Observer
	writing   chan struct{} // capacity 1: one change at a time
	telling   sync.Mutex    // held while observers are told, so that they are in order; before mu

	mu       sync.Mutex
	state    State // as it was last read or written
	readErr  error // why the last read failed; nil if it did not
	writeErr error // why the last write failed
	forced   *forced
	changed  chan struct{} // closed at the next change
	unsure   []attempt     // own writes of which the store was not sure
	untold   []attempt     // own writes that observers are still to be told of
}

// forced is a resume of everything that could not be written yet.
type forced struct {
	ctx    context.Context // of who asked for it
	uids   []string        // of the holds that were known to live
	as     Ended           // when, how and by whom
	proven time.Time       // when every replica was confirmed exporting
	done   bool            // whether nobody has to look after that any more
}

// ends reports whether it ends a hold: one that was known to live, or that lived then although that could not be read. One
// that was placed later stays.
func (f *forced) ends(h *Hold) bool {
	return slices.Contains(f.uids, h.UID) || h.Created.Before(f.as.At) && h.Live(f.as.At)
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
// Observers are told what the ledger writes.
func Open(ctx context.Context, store Store, where string, observers ...Observer) (*Ledger, error) {
	l := &Ledger{
		store: store, where: where, observers: observers, writing: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	if err := l.read(ctx); damaged(err) {
		return nil, err
	}
	return l, nil
}

// Run follows what others write to the store, until the context ends. A store that is lost is asked again and again; a
// record that makes no sense ends it.
func (l *Ledger) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		watching, stop := context.WithCancelCause(ctx)
		err := l.store.Watch(watching, func(r Record) {
			if err := l.adopt(r); err != nil {
				stop(err)
			}
		})
		if cause := context.Cause(watching); damaged(cause) {
			err = cause
		}
		stop(nil)
		if err != nil {
			l.lost(err)
		}
		if damaged(err) {
			return err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	return nil
}

// State returns what ought to be now, and a channel that is closed when something was written. Holds whose time is over do
// not live in it, whether that is written yet or not.
func (l *Ledger) State() (State, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, _ := l.effective(time.Now())
	if f := l.forced; f != nil && s.Undo != nil {
		s.Undo.Proven = f.proven
		if f.done {
			s.Undo = nil
		}
	}
	return s, l.changed
}

// Recorded returns what was written last: holds whose time is over may live in it still.
func (l *Ledger) Recorded() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// effective is the state at an instant. due is true if that is not written yet: holds ended by themselves, or by force
// when nothing could be written. l.mu is held.
func (l *Ledger) effective(now time.Time) (s State, due bool) {
	f := l.forced
	if f == nil && !slices.ContainsFunc(l.state.Holds, func(h Hold) bool { return !h.Live(now) }) {
		return l.state, false
	}
	s = l.state.clone()
	if f != nil {
		s.force(f.ends, f.as)
	}
	s.expire(now)
	return s, true
}

// Stale is why the state may not be the last, or cannot be changed; nil if it is and can.
func (l *Ledger) Stale() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readErr != nil && l.writeErr != nil && l.readErr.Error() == l.writeErr.Error() {
		return l.readErr // What ails both is told once.
	}
	return errors.Join(l.readErr, l.writeErr)
}

// Lost reports that the store could not be read. Then nobody may act on the state, but for what [Ledger.Forced] reports.
func (l *Ledger) Lost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.readErr != nil
}

// Forced reports that a resume of everything waits to be written. It may be acted on all the same.
func (l *Ledger) Forced() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.forced != nil
}

// Refresh reads the store, linearizably. Where it could not be written the last time it also writes, what waits for that
// first of all, and so finds out whether it can be again; it is no error if it cannot.
func (l *Ledger) Refresh(ctx context.Context) error {
	if err := l.read(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	failed, waits := l.writeErr != nil, l.forced != nil
	l.mu.Unlock()
	if failed || waits {
		// What waits is written anyway. Stale tells what came of it.
		_, _ = l.change(ctx, func(*State, time.Time) (bool, error) { return !waits, nil })
	}
	return nil
}

// change applies one step to a copy of what ought to be. If the step says that it changed something, or that was not written
// yet, the copy is written. It returns the state from then on. A step may be tried several times: another process may be
// faster.
func (l *Ledger) change(caller context.Context, step func(*State, time.Time) (bool, error)) (State, error) {
	ctx, cancel := context.WithTimeout(caller, patience)
	defer cancel()
	select {
	case l.writing <- struct{}{}:
		defer func() { <-l.writing }()
	case <-ctx.Done():
		return State{}, &UnavailableError{Err: errors.New("an earlier change is not written yet")}
	}
	for {
		l.mu.Lock()
		now := time.Now()
		before, forced := l.state, l.forced
		last, due := l.effective(now)
		l.mu.Unlock()
		next := last.clone()
		changed, err := step(&next, now)
		if err != nil || !changed && !due {
			return next, err
		}
		next.Revision++
		next.trim(now)
		record, err := fit(&next)
		if err != nil {
			return State{}, err
		}
		a := &attempt{asker(caller, changed, forced), Change{Before: before, After: next}, record}
		switch err := l.write(ctx, record); {
		case err == nil:
			l.wrote(a, forced)
			return next, nil
		case !errors.Is(err, ErrConflict):
			return State{}, l.failed(caller, a, err)
		}
		if err := l.read(caller); err != nil {
			return State{}, &UnavailableError{Err: err}
		}
	}
}

// decide is change for what a caller is told also if nothing changes, such as that there is no such hold: another process
// may have placed it a moment ago, so that the store is asked first.
func (l *Ledger) decide(caller context.Context, step func(*State, time.Time) (bool, error)) (State, error) {
	if err := l.read(caller); err != nil {
		return State{}, &UnavailableError{Err: err}
	}
	return l.change(caller, step)
}

// write writes a record. Where it is not known whether that happened, it looks.
func (l *Ledger) write(ctx context.Context, r Record) error {
	err := l.store.Swap(ctx, r)
	if _, uncertain := errors.AsType[*UncertainError](err); uncertain && l.written(ctx, r) {
		return nil
	}
	return err
}

// written reports whether a record is the last.
func (l *Ledger) written(ctx context.Context, r Record) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	last, err := l.store.Read(ctx)
	return err == nil && bytes.Equal(last.Data, r.Data) // They say their revisions.
}

// wrote makes a state the last, which includes what waited to be written.
func (l *Ledger) wrote(a *attempt, waited *forced) {
	defer l.tell()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resolve(a.record)
	if len(l.observers) > 0 {
		l.untold = append(l.untold, *a)
	}
	if l.writeErr != nil || waited != nil {
		l.writeErr = nil
		l.notify()
	}
	if l.forced == waited { // Unless there is another by now.
		l.forced = nil
	}
	l.advance(a.change.After)
}

// failed is what to say of a write that failed. If its caller did not wait for it, that says nothing of the store.
func (l *Ledger) failed(caller context.Context, a *attempt, err error) error {
	if tooMany, is := errors.AsType[*TooManyError](err); is {
		return tooMany
	}
	_, uncertain := errors.AsType[*UncertainError](err)
	l.mu.Lock()
	defer l.mu.Unlock()
	if uncertain {
		l.doubt(a)
	}
	if caller.Err() == nil {
		if l.writeErr == nil {
			l.notify()
		}
		l.writeErr = err
	}
	return &UnavailableError{err, uncertain}
}

func (l *Ledger) read(caller context.Context) error {
	ctx, cancel := context.WithTimeout(caller, patience)
	defer cancel()
	record, err := l.store.Read(ctx)
	switch {
	case err == nil:
		return l.adopt(record)
	case caller.Err() == nil, damaged(err):
		l.lost(err)
	}
	return err
}

// adopt takes a record that the store has.
func (l *Ledger) adopt(r Record) error {
	state, err := decode(r)
	if err != nil {
		err = &DamagedError{l.where, err}
		l.lost(err)
		return err
	}
	defer l.tell()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resolve(r)
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
	if l.readErr == nil {
		l.notify()
	}
	l.readErr = err
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
	if !found.bound() {
		return nil // It does not tell what it is.
	}
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
