// Package bolt keeps the ledger in one file, for one process of this machine. A file that cannot be right is refused, with
// its path and the way out, and never replaced.
//
// bbolt has two meta pages. A commit writes and syncs the new pages, and only then the older meta page, which makes them
// what the file holds; so a process or a machine that dies leaves the old record or the new one, whole.
package bolt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/exportgate/exportgate/server/internal/hold"
)

// patience is how long Close waits for a disk.
const patience = 5 * time.Second

var (
	errUnanswered = errors.New("the disk has not answered yet")
	errClosed     = errors.New("the ledger is closed")
)

// Store is a [hold.Store] in a file, which belongs to this process from [Open] to [Store.Close].
type Store struct {
	path string
	file *file
	// turn, of capacity 1, is held by whoever uses the file. Reads take it too: bbolt shows them a record whose commit has
	// not been synced yet.
	turn chan struct{}
	// unsettled is true while the file shows a record that the disk may not have. Whoever holds the turn may use it.
	unsettled bool
	lost      chan struct{} // closed when err is set
	err       error         // why the file is not used any more; set once, by whoever holds the turn
}

var _ hold.Store = (*Store)(nil)

// Open opens the ledger in a file, which it makes where there is none, as it does the directory: for this user alone. An
// empty file is taken as new; nothing that a store writes is ever empty.
//
// A file that another process holds is an error after a second. A file that is damaged, another program's or a newer
// program's is a [*hold.DamagedError], and stays as it is.
func Open(path string) (*Store, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	return &Store{path: path, file: f, turn: make(chan struct{}, 1), lost: make(chan struct{})}, nil
}

// Read implements [hold.Store].
func (s *Store) Read(ctx context.Context) (hold.Record, error) {
	var last hold.Record
	err := s.do(ctx, func() error {
		if err := s.settle(); err != nil {
			return err
		}
		var err error
		last, err = s.file.read()
		return err
	})
	if err != nil {
		return hold.Record{}, err
	}
	return last, nil
}

// Swap implements [hold.Store].
func (s *Store) Swap(ctx context.Context, next hold.Record) error {
	if len(next.Data) > hold.MaxRecord {
		return fmt.Errorf("a ledger of %d bytes is not written to %s: it may have %d; release holds", len(next.Data), s.path,
			hold.MaxRecord)
	}
	value := encode(next) // A copy: the caller may go before the disk answers.
	err := s.do(ctx, func() error {
		if err := s.settle(); err != nil {
			return err
		}
		if err := s.file.inPlace(); err != nil {
			return err
		}
		return s.swap(next.Revision, value)
	})
	if errors.Is(err, errUnanswered) {
		return &hold.UncertainError{Err: err}
	}
	return err
}

func (s *Store) swap(revision uint64, value []byte) error {
	committing := false
	err := s.file.db.Update(func(tx *bbolt.Tx) error {
		last, err := load(tx)
		if err != nil {
			return &hold.DamagedError{Where: s.path, Err: err}
		}
		if last.Revision+1 != revision {
			return hold.ErrConflict
		}
		committing = true
		return tx.Bucket(bucket).Put(recordKey, value)
	})
	if err != nil && committing {
		return s.outcome(revision, err)
	}
	return err
}

// outcome says what a commit that failed has come to. While the file shows the old record, the meta page was not written,
// and nothing will come of the pages that were: that is certain. Once it shows the new one, only the last sync can have
// failed. Then the write counts if a sync succeeds; if none does, nobody knows what the disk has.
func (s *Store) outcome(revision uint64, cause error) error {
	last, err := s.file.read()
	if err == nil && last.Revision != revision {
		return fmt.Errorf("the ledger was not written to %s: %w; is its disk full, or failing?", s.path, cause)
	}
	s.unsettled = true
	if err := errors.Join(err, s.settle()); err != nil {
		return &hold.UncertainError{Err: fmt.Errorf("%w; %w", cause, err)}
	}
	return nil
}

// settle makes sure that the disk has what the file shows. Until then neither may a record be told that the next crash takes
// back, nor pages be used again that the disk's meta page still needs.
func (s *Store) settle() error {
	if !s.unsettled {
		return nil
	}
	if err := s.file.sync(); err != nil {
		return fmt.Errorf("an earlier write to the ledger %s is not on the disk yet: %w; is the disk failing?", s.path, err)
	}
	s.unsettled = false
	return nil
}

// Watch implements [hold.Store]. Nobody else writes the file, so it tells of the last record and waits.
func (s *Store) Watch(ctx context.Context, changed func(hold.Record)) error {
	last, err := s.Read(ctx)
	if err == nil {
		changed(last)
		select {
		case <-ctx.Done():
		case <-s.lost:
			err = s.err
		}
	}
	select {
	case <-ctx.Done():
		return nil
	default:
		return err
	}
}

// Close gives the file back. It waits 5 s for a disk that hangs, and fails then.
func (s *Store) Close() error {
	select {
	case s.turn <- struct{}{}:
	case <-time.After(patience):
		return fmt.Errorf("close the ledger %s: %w", s.path, errUnanswered)
	}
	defer func() { <-s.turn }()
	if err := s.file.close(); err != nil {
		return fmt.Errorf("close the ledger %s: %w", s.path, err)
	}
	s.lose(errClosed)
	return nil
}

// do lets one use of the file follow the others. It returns when the context ends, also while a disk hangs: the use goes on
// then, and keeps the turn until the disk answers.
func (s *Store) do(ctx context.Context, use func() error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("the ledger %s is in use: %w", s.path, context.Cause(ctx))
	}
	done := make(chan error, 1)
	go func() {
		err := s.use(use)
		<-s.turn
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the ledger %s: %w: %w", s.path, errUnanswered, context.Cause(ctx))
	}
}

// use runs a use of the file. One that panics is the last: bbolt is left with its locks held.
func (s *Store) use(use func() error) error {
	if s.err != nil {
		return s.err
	}
	err := s.file.protect(use)
	if s.file.broken {
		s.lose(err)
	}
	return err
}

func (s *Store) lose(err error) {
	if s.err == nil {
		s.err = err
		close(s.lost)
	}
}
