package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// prepare looks whether there is a file at the path that has something in it, and makes its directory if there is none.
func prepare(path string) (empty bool, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := makeDirectory(filepath.Dir(path)); err != nil {
			return false, fmt.Errorf("make the directory of the ledger %s: %w: make it, or set store.path", path, err)
		}
		return true, nil
	case err != nil:
		return false, fmt.Errorf("open the ledger %s: %w: this user must be able to read and write it and its directory", path, err)
	case !info.Mode().IsRegular():
		return false, fmt.Errorf("open the ledger %s: it is not a file: set store.path to one", path)
	}
	return info.Size() == 0, nil
}

// makeDirectory makes a directory for this user alone, and those above it. Each survives a crash from then on.
func makeDirectory(path string) error {
	err := os.Mkdir(path, 0o700)
	if above := filepath.Dir(path); errors.Is(err, fs.ErrNotExist) && above != path {
		if err := makeDirectory(above); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o700)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return syncDirectory(path)
}

// syncDirectory makes the disk have a path's entry in its directory, where the system can do that.
func syncDirectory(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	err = directory.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		err = nil
	}
	return errors.Join(err, directory.Close())
}
