package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/hold"
)

// unwritable takes a store's right to write its file behind its back, and returns how to give it back.
func unwritable(t *testing.T, s *Store) (heal func()) {
	t.Helper()
	readOnly, err := os.Open(s.path)
	if err != nil {
		t.Fatal(err)
	}
	good := s.file.os
	s.file.os = readOnly
	t.Cleanup(func() { _ = readOnly.Close() })
	return func() { s.file.os = good }
}

func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "exportgate.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Swap(t.Context(), hold.Record{Revision: 1, Data: []byte("one")}); err != nil {
		t.Fatal(err)
	}
	return s
}

// What a commit that fails at its last sync comes to. The disk is not made to fail here: the file shows the new record, and
// bbolt's error is made up.
func TestOutcome(t *testing.T) {
	broken := errors.New("broken")
	t.Run("not written", func(t *testing.T) {
		s := newStore(t)
		uncertain := new(hold.UncertainError)
		if err := s.outcome(2, broken); !errors.Is(err, broken) || errors.As(err, &uncertain) {
			t.Errorf("%v", err)
		}
		if s.unsettled {
			t.Error("what was not written is taken for unsettled")
		}
	})
	t.Run("synced at the second attempt", func(t *testing.T) {
		if err := newStore(t).outcome(1, broken); err != nil {
			t.Error(err)
		}
	})
	t.Run("not synced", func(t *testing.T) {
		s := newStore(t)
		heal := unwritable(t, s)
		uncertain := new(hold.UncertainError)
		if err := s.outcome(1, broken); !errors.As(err, &uncertain) || !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
		// Until it is known what the disk has, nothing is told and nothing written.
		if r, err := s.Read(t.Context()); err == nil {
			t.Errorf("revision %d was told", r.Revision)
		}
		if err := s.Swap(t.Context(), hold.Record{Revision: 2}); err == nil || errors.As(err, &uncertain) {
			t.Errorf("a swap: %v", err)
		}
		heal()
		if r, err := s.Read(t.Context()); err != nil || r.Revision != 1 {
			t.Errorf("revision %d, %v", r.Revision, err)
		}
		if err := s.Swap(t.Context(), hold.Record{Revision: 2}); err != nil {
			t.Error(err)
		}
	})
}

// A disk that hangs keeps nobody longer than the context lets it. What was begun is uncertain, what waits for it is not.
func TestHangingDisk(t *testing.T) {
	s := newStore(t)
	hanging, err := s.file.db.Begin(true) // Commits wait for this one as for a disk.
	if err != nil {
		t.Fatal(err)
	}
	soon := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	uncertain := new(hold.UncertainError)
	if err := s.Swap(soon(), hold.Record{Revision: 2}); !errors.As(err, &uncertain) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("what was begun: %v", err)
	}
	if err := s.Swap(soon(), hold.Record{Revision: 3}); !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &uncertain) {
		t.Errorf("what waits: %v", err)
	}
	if _, err := s.Read(soon()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a read: %v", err)
	}
	if err := hanging.Rollback(); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Read(t.Context()); err != nil || r.Revision != 2 {
		t.Errorf("afterwards: revision %d, %v, want what was begun", r.Revision, err)
	}
}

func TestCloseOfAHangingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.turn <- struct{}{}
		begun := time.Now()
		if err := s.Close(); !errors.Is(err, errUnanswered) || time.Since(begun) != patience {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		<-s.turn
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A swap that the context leaves may or may not be there; the next read knows.
func TestUncertainSwap(t *testing.T) {
	s := newStore(t)
	uncertain := new(hold.UncertainError)
	for range 200 {
		last, err := s.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		err = s.Swap(ctx, hold.Record{Revision: last.Revision + 1})
		now, readErr := s.Read(t.Context())
		switch {
		case readErr != nil:
			t.Fatal(readErr)
		case err == nil && now.Revision != last.Revision+1,
			err != nil && !errors.As(err, &uncertain) && now.Revision != last.Revision:
			t.Fatalf("revision %d after %d, and the swap said %v", now.Revision, last.Revision, err)
		}
	}
}

func TestDecodeTooLarge(t *testing.T) {
	for size, want := range map[int]bool{hold.MaxRecord: true, hold.MaxRecord + 1: false} {
		_, err := decode([]byte("1"), encode(hold.Record{Revision: 9, Data: make([]byte, size)}))
		if (err == nil) != want {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	one := encode(hold.Record{Revision: 1, Data: []byte("{}")})
	for _, seed := range []struct {
		format string
		value  []byte
	}{
		{"1", one},
		{"1", encode(hold.Record{})},
		{"2", one},
		{"0", one},
		{"18446744073709551616", one},
		{"", one},
		{"1", one[:11]},
		{"1", nil},
		{"1", encode(hold.Record{Data: []byte("x")})},
	} {
		f.Add([]byte(seed.format), seed.value)
	}
	f.Fuzz(func(t *testing.T, written, value []byte) {
		r, err := decode(written, value)
		if err != nil {
			if r.Revision != 0 || r.Data != nil {
				t.Error("a record with an error")
			}
			return
		}
		// There is one way to write a record; zeros before the format's number change nothing.
		if !bytes.Equal(encode(r), value) || string(bytes.TrimLeft(written, "0")) != "1" {
			t.Errorf("%q, %q passes for %v", written, value, r)
		}
		for i := range value {
			value[i] ^= 0x10
			if _, err := decode(written, value); err == nil {
				t.Errorf("byte %d was changed, and nobody saw it", i)
			}
			value[i] ^= 0x10
			if i > 64 {
				break
			}
		}
		if len(r.Data) > hold.MaxRecord || binary.BigEndian.Uint64(value) != r.Revision {
			t.Error("too large, or of another revision")
		}
	})
}
