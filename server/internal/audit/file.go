package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// file is a sink that is a file. It is opened again where somebody moved it away, and after every failure, so that it heals
// as soon as the disk does.
type file struct {
	path string
	max  int64
	keep int
	log  *slog.Logger

	os      *os.File // nil until it is open
	info    fs.FileInfo
	size    int64
	dirty   bool  // something was written since the last sync
	failed  error // why something that was written may not be kept; nil once that was said
	stuck   bool  // it could not be put aside, which was logged
	created bool  // the directory has to be told of it
}

var errNoFile = errors.New("it is no file")

// misplaced reports whether an error is one of the configuration, which time does not heal.
func misplaced(err error) bool {
	for _, known := range []error{
		errNoFile, fs.ErrNotExist, fs.ErrPermission, syscall.ENOTDIR, syscall.EISDIR, syscall.ENAMETOOLONG,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

func (f *file) ready() (opened, error) {
	if f.os != nil {
		if there, err := os.Stat(f.path); err == nil && os.SameFile(there, f.info) {
			return opened{}, nil
		}
		// It was moved away, or the directory cannot be read; then opening it says why.
		f.flush()
		f.close()
	}
	return f.open()
}

func (f *file) open() (opened, error) {
	there, err := os.Stat(f.path)
	f.created = errors.Is(err, fs.ErrNotExist)
	if err == nil && !there.Mode().IsRegular() && there.Mode()&fs.ModeCharDevice == 0 {
		return opened{}, &fs.PathError{Op: "open", Path: f.path, Err: errNoFile} // Opening a pipe waits for who reads it.
	}
	// It is read to see how it ends. A device such as /dev/full has no end.
	o, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return opened{}, err
	}
	f.os = o
	torn, err := f.inspect()
	if err != nil {
		f.close()
		return opened{}, err
	}
	return opened{fresh: true, torn: torn}, nil
}

// inspect looks how large the file is, and whether its last line is whole.
func (f *file) inspect() (torn bool, err error) {
	if f.info, err = f.os.Stat(); err != nil {
		return false, err
	}
	if f.size = f.info.Size(); f.size == 0 || !f.info.Mode().IsRegular() {
		return false, nil
	}
	last := make([]byte, 1)
	if _, err := f.os.ReadAt(last, f.size-1); err != nil {
		return false, err
	}
	return last[0] != '\n', nil
}

func (f *file) full(more int) bool {
	return f.max > 0 && f.size > 0 && f.size+int64(more) > f.max && f.info.Mode().IsRegular()
}

// rotate puts the file aside. Where that is not possible, lines go on to be written to it: that it grows is the lesser evil.
func (f *file) rotate() {
	f.flush()
	if err := f.putAside(); err != nil {
		if !f.stuck {
			f.log.LogAttrs(context.Background(), slog.LevelWarn, "the audit log cannot be put aside, and grows",
				slog.String("path", f.path), slog.String("error", err.Error()))
		}
		f.stuck = true
		return
	}
	f.stuck = false
	f.close()
	if err := f.forget(); err != nil {
		f.log.LogAttrs(context.Background(), slog.LevelWarn, "old audit logs cannot be removed",
			slog.String("path", f.path), slog.String("error", err.Error()))
	}
}

// aside is what follows the name of a file that was put aside; names are in the order of time.
const aside = "20060102T150405.000000000Z"

func (f *file) putAside() error {
	var name string
	for at := time.Now().UTC(); ; at = at.Add(time.Nanosecond) {
		name = f.path + "-" + at.Format(aside)
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
	}
	return os.Rename(f.path, name)
}

// forget removes all files that were put aside but for the newest.
func (f *file) forget() error {
	directory, base := filepath.Split(f.path)
	entries, err := os.ReadDir(filepath.Clean(directory))
	if err != nil {
		return err
	}
	var old []string
	for _, e := range entries {
		stamp, ours := strings.CutPrefix(e.Name(), base+"-")
		if _, err := time.Parse(aside, stamp); ours && err == nil && e.Type().IsRegular() {
			old = append(old, e.Name())
		}
	}
	slices.Sort(old)
	var errs []error
	for _, name := range old[:max(0, len(old)-f.keep)] {
		if err := os.Remove(filepath.Join(directory, name)); !errors.Is(err, fs.ErrNotExist) { // Another server may have.
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Write appends a line. After a failure the file is opened again, which looks how it ends.
func (f *file) Write(line []byte) (int, error) {
	n, err := f.os.Write(line)
	f.size += int64(n)
	f.dirty = f.dirty || n > 0
	if err != nil {
		f.flush()
		f.close()
		return n, fmt.Errorf("%w; is its disk full?", err)
	}
	return n, nil
}

func (f *file) sync() error {
	f.flush()
	err := f.failed
	f.failed = nil
	return err
}

// flush makes the disk keep the file, and that there is one. If it fails the file is opened again: a second sync would say
// that all is well, whatever the disk has lost.
func (f *file) flush() {
	if f.os == nil || !f.dirty || !f.info.Mode().IsRegular() {
		return
	}
	err := f.os.Sync()
	if err == nil && f.created {
		err = syncDirectory(f.path)
	}
	if err != nil {
		f.failed = errors.Join(f.failed, err)
		f.close()
		return
	}
	f.dirty, f.created = false, false
}

// close is not asked whether it failed: what the disk has, the sync before it said.
func (f *file) close() {
	if f.os != nil {
		_ = f.os.Close()
	}
	f.os, f.dirty = nil, false
}

// syncDirectory makes the disk keep that a file is in its directory.
func syncDirectory(path string) error {
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}
