//go:build unix

package bolt_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/store/bolt"
)

// childVariable tells a process of this test what to be instead: what it does may cost it its life, or its rights.
const childVariable = "EXPORTGATE_TEST_CHILD"

// children are what such a process may be, given a path. What they print is for their parent.
func children() map[string]func(path string) error {
	return map[string]func(path string) error{"writer": runWriter, "full disk": runFullDisk, "another user": runAnotherUser}
}

// runChild is what the process does if it is a child.
func runChild() (status int, ok bool) {
	run, ok := children()[os.Getenv(childVariable)]
	if !ok {
		return 0, false
	}
	if err := run(os.Args[len(os.Args)-1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

func child(t *testing.T, name, path string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], path)
	// The race detector would wait for a second at the end.
	command.Env = append(os.Environ(), childVariable+"="+name, "GORACE=atexit_sleep_ms=0")
	return command
}

func runWell(t *testing.T, name, path string) {
	t.Helper()
	if output, err := child(t, name, path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// sizeAt varies with the revision, so that pages are used anew in ever other ways.
func sizeAt(revision uint64) int { return int(revision*7919%60_000) + 2 }

// runWriter writes until it is killed, and prints each revision that it was told is written.
func runWriter(path string) error {
	s, err := bolt.Open(path)
	if err != nil {
		return err
	}
	last, err := s.Read(context.Background())
	for r := last.Revision + 1; err == nil; r++ {
		if err = s.Swap(context.Background(), record(r, sizeAt(r))); err == nil {
			_, err = fmt.Println(r)
		}
	}
	return err
}

// Whenever a process is killed, the file has what it was told is written.
func TestKilled(t *testing.T) {
	path := newPath(t)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	var before uint64
	for range 20 {
		acknowledged := killWriter(t, path, time.Duration(random.Int64N(int64(120*time.Millisecond))))
		s, err := bolt.Open(path)
		if err != nil {
			t.Fatalf("seed %d, after revision %d: %v", seed, acknowledged, err)
		}
		last, err := s.Read(t.Context())
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		if last.Revision < max(before, acknowledged) || acknowledged > 0 && last.Revision > acknowledged+1 {
			t.Fatalf("seed %d: revision %d after %d was acknowledged, and %d read before", seed, last.Revision, acknowledged, before)
		}
		if last.Revision > 0 && !bytes.Equal(last.Data, record(last.Revision, sizeAt(last.Revision)).Data) {
			t.Fatalf("seed %d: revision %d is not what was written", seed, last.Revision)
		}
		before = last.Revision
	}
	if before < 20 {
		t.Errorf("only %d revisions were written: the writers died too early", before)
	}
	t.Logf("%d revisions", before)
}

// killWriter lets a writer write for a while, kills it, and returns the last revision that it had acknowledged, 0 for none.
func killWriter(t *testing.T, path string, after time.Duration) (acknowledged uint64) {
	t.Helper()
	writer := child(t, "writer", path)
	output, err := writer.StdoutPipe()
	if err == nil {
		err = writer.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = writer.Process.Kill() })
	defer timer.Stop()
	for lines := bufio.NewReader(output); ; {
		line, err := lines.ReadString('\n')
		if err != nil { // What is cut off was not acknowledged.
			break
		}
		if _, err := fmt.Sscan(line, &acknowledged); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
	var died *exec.ExitError
	if err := writer.Wait(); !errors.As(err, &died) || died.ExitCode() != -1 {
		t.Fatalf("the writer ended by itself: %v", err)
	}
	return acknowledged
}

func TestFullDisk(t *testing.T) { runWell(t, "full disk", newPath(t)) }

// runFullDisk is not let write any file for a while: swaps fail, certainly, the old record stays readable, and all is well
// again afterwards.
func runFullDisk(path string) error {
	s, err := bolt.Open(path)
	if err != nil {
		return err
	}
	ctx := context.Background()
	revision := uint64(1)
	for size := 10; size < 1_000_000; size *= 6 {
		if err := s.Swap(ctx, record(revision, size)); err != nil {
			return fmt.Errorf("before: %w", err)
		}
		if err := limitFiles(0); err != nil {
			return err
		}
		for range 3 {
			if err := checkFull(s, path, record(revision, size)); err != nil {
				return err
			}
		}
		if err := limitFiles(^uint64(0)); err != nil {
			return err
		}
		if err := s.Swap(ctx, record(revision+1, size*2)); err != nil {
			return fmt.Errorf("after: %w", err)
		}
		revision += 2
	}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = bolt.Open(path); err != nil {
		return err
	}
	last, err := s.Read(ctx)
	if err != nil || last.Revision != revision-1 {
		return fmt.Errorf("revision %d in the end, %w, want %d", last.Revision, err, revision-1)
	}
	return s.Close()
}

func checkFull(s *bolt.Store, path string, last hold.Record) error {
	ctx := context.Background()
	err := s.Swap(ctx, record(last.Revision+1, 300_000))
	uncertain, wrong := new(hold.UncertainError), new(hold.DamagedError)
	switch {
	case err == nil, errors.As(err, &uncertain), errors.As(err, &wrong), errors.Is(err, hold.ErrConflict):
		return fmt.Errorf("a swap on a full disk: %w", err)
	case !strings.Contains(err.Error(), path), !strings.Contains(err.Error(), "disk full"):
		return fmt.Errorf("the error does not name %s and the disk: %w", path, err)
	}
	got, err := s.Read(ctx)
	if err != nil || got.Revision != last.Revision || !bytes.Equal(got.Data, last.Data) {
		return fmt.Errorf("a read on a full disk: revision %d, %w", got.Revision, err)
	}
	return nil
}

// limitFiles sets how large the files may be that the process writes, as far as it may.
func limitFiles(size uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = min(size, limit.Max)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

// A file, or its directory, that is not for this user.
func TestForbidden(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	write(t, s, 1, 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := contents(t, path)
	// The other user has to get there.
	for _, directory := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
		if err := os.Chmod(directory, 0o555); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(directory, 0o700) }) // It is to be removed.
	}
	for name, mode := range map[string]os.FileMode{"write only": 0o222, "read only": 0o444, "nothing": 0} {
		t.Run(name, func(t *testing.T) {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			runWell(t, "another user", path)
		})
	}
	for _, missing := range []string{path + ".new", filepath.Join(filepath.Dir(path), "new", "new.db")} {
		runWell(t, "another user", missing)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, contents(t, path)) {
		t.Error("the file was changed")
	}
}

// runAnotherUser opens what it may not: root may open everything, and becomes somebody else.
func runAnotherUser(path string) error {
	if os.Getuid() == 0 {
		if err := syscall.Setuid(65534); err != nil {
			return err
		}
	}
	_, err := bolt.Open(path)
	switch wrong := new(hold.DamagedError); {
	case err == nil:
		return errors.New("it was opened")
	case errors.As(err, &wrong), !errors.Is(err, os.ErrPermission):
		return fmt.Errorf("not a matter of permission: %w", err)
	case !strings.Contains(err.Error(), path):
		return fmt.Errorf("the path is not named: %w", err)
	}
	_, err = io.WriteString(os.Stdout, err.Error()+"\n")
	return err
}
