package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/exportgate/exportgate/server/internal/hold"
)

// lockTimeout is how long another process may still hold the file.
const lockTimeout = time.Second

// file is an open bbolt file.
type file struct {
	path string
	db   *bbolt.DB
	os   *os.File // The db's own: no other handle may ever be closed, nor lock the file.
	// broken is true once bbolt panicked.
	broken bool
}

// open opens the file at a path, and makes sure that the disk has what it shows.
func open(path string) (*file, error) {
	empty, err := prepare(path)
	if err != nil {
		return nil, err
	}
	if !empty {
		if err := inspect(path); err != nil {
			return nil, err
		}
	}
	f, err := openFile(path, false)
	if err != nil {
		return nil, err
	}
	if err := f.protect(f.begin); err != nil {
		_ = f.close() // What went wrong is told; nothing was written that closing could lose.
		return nil, err
	}
	return f, nil
}

// inspect looks at a file before anything may change it: bbolt writes to a file that has no list of its free pages, whoever's
// it is, and looks for them in a goroutine of its own, where a damaged page would end the process.
func inspect(path string) error {
	f, err := openFile(path, true)
	if err != nil {
		return err
	}
	err = f.protect(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			if _, err := load(tx); err != nil && !fresh(tx) {
				return &hold.DamagedError{Where: path, Err: err}
			}
			return nil
		})
	})
	return errors.Join(err, f.close())
}

// openFile opens a file in bbolt, which makes it if it is to be written.
func openFile(path string, readOnly bool) (*file, error) {
	f := &file{path: path}
	options := &bbolt.Options{
		Timeout: lockTimeout, ReadOnly: readOnly, NoStatistics: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (opened *os.File, err error) {
			f.os, err = os.OpenFile(name, flag, mode) //nolint:gosec // Where the ledger is, is configured.
			return f.os, err
		},
	}
	err := f.protect(func() (err error) {
		f.db, err = bbolt.Open(path, 0o600, options)
		return err
	})
	system := syscall.Errno(0)
	switch {
	case err == nil:
		return f, nil
	case f.broken:
		return nil, errors.Join(err, f.close())
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("another process holds the ledger %s: stop that one, or give this one a store.path of its own", path)
	case errors.As(err, &system):
		return nil, fmt.Errorf("open the ledger %s: %w: this user must be able to read and write it and its directory", path, err)
	}
	return nil, damaged(path, err)
}

// begin checks an open file and makes a new one's layout.
func (f *file) begin() error {
	empty := false
	err := f.db.View(func(tx *bbolt.Tx) error {
		empty = fresh(tx)
		return f.check(tx)
	})
	if err != nil {
		return err
	}
	// An earlier process may have died between writing and syncing.
	if err := f.sync(); err != nil {
		return fmt.Errorf("sync the ledger %s: %w", f.path, err)
	}
	if empty {
		if err := f.db.Update(create); err != nil {
			return fmt.Errorf("begin the ledger %s: %w; is its disk full?", f.path, err)
		}
	}
	return syncDirectory(f.path)
}

// check finds pages that the next commit could overwrite although they are used, or that are beyond the file.
func (f *file) check(tx *bbolt.Tx) error {
	info, err := f.os.Stat()
	if err != nil {
		return err
	}
	if info.Size() < tx.Size() {
		return damaged(f.path, fmt.Errorf("it is cut off: it has %d bytes of %d", info.Size(), tx.Size()))
	}
	// bbolt's own check trusts how many pages one claims to cover.
	end := int(tx.Size()) / f.db.Info().PageSize
	for id := 0; id < end; id++ {
		page, err := tx.Page(id)
		if err != nil {
			return err
		}
		if page.Type != "free" {
			id += page.OverflowCount
		}
		if id >= end {
			return damaged(f.path, fmt.Errorf("its page %d covers more than the file", page.ID))
		}
	}
	var first error
	for err := range tx.Check() { // To its end, which is its goroutine's.
		if first == nil {
			first = damaged(f.path, err)
		}
	}
	return first
}

// read returns the last record, or a [*hold.DamagedError].
func (f *file) read() (last hold.Record, err error) {
	err = f.db.View(func(tx *bbolt.Tx) error {
		found, err := load(tx)
		if err != nil {
			return &hold.DamagedError{Where: f.path, Err: err}
		}
		last = hold.Record{Revision: found.Revision, Data: bytes.Clone(found.Data)}
		return nil
	})
	return last, err
}

// sync makes the disk have the meta pages that the file shows. All other pages are synced before them at each commit. They
// are written once more: after a sync that failed, a system may take pages for clean that never reached the disk.
func (f *file) sync() error {
	pages := make([]byte, 2*f.db.Info().PageSize)
	if _, err := f.os.ReadAt(pages, 0); err != nil {
		return err
	}
	if _, err := f.os.WriteAt(pages, 0); err != nil {
		return err
	}
	return f.os.Sync()
}

// inPlace fails if the file at the path is another one by now, which the next start would read.
func (f *file) inPlace() error {
	ours, err := f.os.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(f.path)
	if err != nil || !os.SameFile(ours, there) {
		return fmt.Errorf("the ledger %s was moved or replaced while it was in use: put it back, or restart", f.path)
	}
	return nil
}

// close closes the file. Where bbolt panicked, it may wait for its own locks for ever; then it is only unlocked and closed,
// and its mapping stays until the process ends.
func (f *file) close() error {
	if !f.broken {
		return f.db.Close()
	}
	if f.os == nil {
		return nil
	}
	return errors.Join(unlock(f.os), f.os.Close())
}

// protect makes a [*hold.DamagedError] of a panic, by which bbolt tells of pages that cannot be, and of a fault in the mapped
// file: a page that the disk cannot read, or that is beyond a file which somebody cut off.
func (f *file) protect(use func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			f.broken = true
			err = damaged(f.path, fmt.Errorf("bbolt panics: %v", p))
		}
	}()
	return use()
}

func damaged(path string, err error) error {
	return &hold.DamagedError{Where: path, Err: fmt.Errorf("%w; %s", err, cure)}
}
