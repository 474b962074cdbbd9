package bolt_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/store/bolt"
	"github.com/exportgate/exportgate/server/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, fresh, storetest.Without(storetest.Shared, "the file belongs to one process"))
}

func fresh(t *testing.T) storetest.Open {
	t.Helper()
	path := newPath(t)
	return func() (hold.Store, error) { return bolt.Open(path) }
}

func newPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "exportgate.db")
}

func mustOpen(t *testing.T, path string) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// write writes records of a size until a revision is reached.
func write(t *testing.T, s *bolt.Store, to uint64, size int) {
	t.Helper()
	last, err := s.Read(t.Context())
	for r := last.Revision + 1; err == nil && r <= to; r++ {
		err = s.Swap(t.Context(), record(r, size))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// record is what the tests write at a revision, of a size.
func record(revision uint64, size int) hold.Record {
	return hold.Record{Revision: revision, Data: bytes.Repeat([]byte{byte(revision), 'x'}, size/2)}
}

func checkRevision(t *testing.T, s *bolt.Store, revision uint64) {
	t.Helper()
	if last, err := s.Read(t.Context()); err != nil || last.Revision != revision {
		t.Fatalf("read revision %d, %v, want %d", last.Revision, err, revision)
	}
}

// checkSays fails unless an error names the path and says all that.
func checkSays(t *testing.T, err error, path string, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", words)
	}
	for _, word := range append(words, path) {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

// checkDamaged is checkSays for what is wrong with a file.
func checkDamaged(t *testing.T, err error, path string, words ...string) {
	t.Helper()
	checkSays(t, err, path, words...)
	if wrong := new(hold.DamagedError); !errors.As(err, &wrong) || wrong.Where != path {
		t.Errorf("%T does not tell of damage in %s: %v", err, path, err)
	}
}

func TestNewFile(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "state", "exportgate")
	path := filepath.Join(directory, "exportgate.db")
	mustOpen(t, path)
	for name, want := range map[string]os.FileMode{path: 0o600, directory: 0o700 | os.ModeDir, filepath.Dir(directory): 0o700 | os.ModeDir} {
		info, err := os.Stat(name)
		if err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
}

// An empty file may be what somebody mounts into a container.
func TestEmptyFile(t *testing.T) {
	path := newPath(t)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, path)
	checkRevision(t, s, 0)
	write(t, s, 1, 10)
}

func TestNotAFile(t *testing.T) {
	directory := t.TempDir()
	_, err := bolt.Open(directory)
	checkSays(t, err, directory, "not a file", "store.path")
	below := filepath.Join(newPath(t), "below")
	if err := os.WriteFile(filepath.Dir(below), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = bolt.Open(below)
	checkSays(t, err, below, "not a directory")
}

// The file is found with another name for it too: what is locked is the file.
func TestSecondProcess(t *testing.T) {
	path := newPath(t)
	first := mustOpen(t, path)
	write(t, first, 3, 100)
	link := path + ".link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, link} {
		_, err := bolt.Open(name)
		checkSays(t, err, name, "another process holds", "store.path")
		if wrong := new(hold.DamagedError); errors.As(err, &wrong) {
			t.Errorf("a file in use is called damaged: %v", err)
		}
	}
	write(t, first, 4, 100)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	checkRevision(t, mustOpen(t, link), 4)
}

// What other programs wrote stays as it is, to the byte.
func TestOthersFiles(t *testing.T) {
	put := func(bucket, key, value string) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte(bucket))
			if err != nil {
				return err
			}
			return b.Put([]byte(key), []byte(value))
		}
	}
	for name, test := range map[string]struct {
		write func(*bbolt.Tx) error
		words []string
	}{
		"another program":  {put("members", "a", "b"), []string{"not a ledger", "store.path"}},
		"a newer layout":   {put("ledger", "format", "2"), []string{"a newer exportgate wrote it", "format 2", "up to 1", "run that one"}},
		"no format":        {put("ledger", "record", "x"), []string{"format", "move it away", "start without holds"}},
		"a strange format": {put("ledger", "format", "one"), []string{"format", "one", "move it away"}},
	} {
		for _, freelist := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				path := newPath(t)
				db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: !freelist})
				if err == nil {
					err = errors.Join(db.Update(test.write), db.Close())
				}
				if err != nil {
					t.Fatal(err)
				}
				before := contents(t, path)
				_, err = bolt.Open(path)
				checkDamaged(t, err, path, test.words...)
				if !bytes.Equal(before, contents(t, path)) {
					t.Error("the file was changed")
				}
			})
		}
	}
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTooLarge(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	err := s.Swap(t.Context(), hold.Record{Revision: 1, Data: make([]byte, hold.MaxRecord+1)})
	checkSays(t, err, path, "1048577", "1048576")
}

// Somebody restores a file under a running process: what it writes would be lost at the next start.
func TestMovedAway(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	write(t, s, 2, 100)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	checkSays(t, s.Swap(t.Context(), record(3, 100)), path, "moved or replaced", "put it back")
	write(t, mustOpen(t, path), 1, 100)
	checkSays(t, s.Swap(t.Context(), record(3, 100)), path, "moved or replaced", "put it back")
	checkRevision(t, s, 2)
	if err := os.Rename(path+".old", path); err != nil {
		t.Fatal(err)
	}
	write(t, s, 3, 100)
}

// Where the file is closed, nothing works any more, and a watch ends.
func TestClosed(t *testing.T) {
	s := mustOpen(t, newPath(t))
	watching, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.Watch(t.Context(), func(hold.Record) { close(watching) }) }()
	<-watching
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the watch of a closed store ended well")
	}
	if _, err := s.Read(t.Context()); err == nil {
		t.Error("a closed store was read")
	}
}

// The file has room for a few records, whatever is written.
func TestSize(t *testing.T) {
	const swaps, size, limit = 1000, 50_000, 512 << 10
	path := newPath(t)
	s := mustOpen(t, path)
	for revision := uint64(1); revision <= swaps; revision++ {
		// Of all sizes: a record does not fit the room that the last one left.
		if err := s.Swap(t.Context(), record(revision, size-int(revision%23)*2000)); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > limit {
		t.Errorf("after %d swaps of %d bytes the file has %d bytes, %v, want at most %d", swaps, size, info.Size(), err, limit)
	}
	t.Logf("%d bytes", info.Size())
}
