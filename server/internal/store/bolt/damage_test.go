package bolt_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/store/bolt"
)

const (
	pageSize   = 4096
	recordSize = 20_000
)

// last is the revision in the files that are damaged here.
const last = 3

// whole returns the bytes of a good file.
func whole(t *testing.T) []byte {
	t.Helper()
	path := newPath(t)
	s := mustOpen(t, path)
	write(t, s, last, recordSize)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return contents(t, path)
}

// survive opens a file that is not as it was written. It must either be called damaged, and stay as it is, or show the last
// record, or the one before it where the last meta page is gone; and then it must be as good as new. It returns the
// revision that it shows, 0 for a damaged one.
func survive(t *testing.T, path string, data []byte) uint64 {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := bolt.Open(path)
	if err != nil {
		checkDamaged(t, err, path, "move it away to start without holds")
		if !bytes.Equal(contents(t, path), data) {
			t.Error("a damaged file was changed")
		}
		return 0
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	got, err := s.Read(t.Context())
	if err != nil || got.Revision != last && got.Revision != last-1 || !bytes.Equal(got.Data, record(got.Revision, recordSize).Data) {
		t.Fatalf("read revision %d of %d bytes, %v", got.Revision, len(got.Data), err)
	}
	for range 4 { // As many as it takes to use every page again.
		next := record(got.Revision+1, recordSize)
		if err := s.Swap(t.Context(), next); err != nil {
			t.Fatalf("the next swap: %v", err)
		}
		if got, err = s.Read(t.Context()); err != nil || got.Revision != next.Revision || !bytes.Equal(got.Data, next.Data) {
			t.Fatalf("read revision %d after %d, %v", got.Revision, next.Revision, err)
		}
	}
	return got.Revision - 4
}

// Whole pages are lost, as a disk or a crash loses them.
func TestLostPages(t *testing.T) {
	random := make([]byte, pageSize)
	for i := range random {
		random[i] = byte(rand.New(rand.NewPCG(3, uint64(i))).Uint32())
	}
	for name, page := range map[string][]byte{
		"zeros": make([]byte, pageSize), "ones": bytes.Repeat([]byte{0xff}, pageSize), "random": random,
	} {
		t.Run(name, func(t *testing.T) {
			path, good := newPath(t), whole(t)
			counts := make(map[uint64]int)
			for at := 0; at < len(good); at += pageSize {
				data := bytes.Clone(good)
				copy(data[at:], page)
				counts[survive(t, path, data)]++
			}
			// The meta pages, the record, and what leads to it are needed; the others are free.
			if counts[2] != 0 || counts[0] < 2+recordSize/pageSize || counts[3] == 0 {
				t.Errorf("%d files were damaged, %d showed the record before, %d the last", counts[0], counts[2], counts[3])
			}
		})
	}
}

// A machine dies while a meta page is written: the other one has the record before, whole.
func TestTornMeta(t *testing.T) {
	path, good := newPath(t), whole(t)
	counts := make(map[uint64]int)
	for _, page := range []int{0, pageSize} {
		data := bytes.Clone(good)
		clear(data[page+40 : page+200])
		counts[survive(t, path, data)]++
	}
	if counts[2] != 1 || counts[3] != 1 {
		t.Errorf("%d showed the record before, %d the last", counts[2], counts[3])
	}
}

// A single bit changes, in each part of what leads to the record.
func TestFlippedBits(t *testing.T) {
	path, good := newPath(t), whole(t)
	damaged := 0
	for at := 0; at < len(good); at += pageSize {
		data := bytes.Clone(good)
		clear(data[at : at+pageSize])
		if survive(t, path, data) != 0 {
			continue // A free page.
		}
		for i := range 45 { // Its head, and the heads and keys of what is in it.
			data := bytes.Clone(good)
			data[at+2*i+i/8%2] ^= 1 << (i % 8)
			if survive(t, path, data) == 0 {
				damaged++
			}
		}
	}
	if damaged < 200 {
		t.Errorf("only %d files were found to be damaged", damaged)
	}
	begin := bytes.Index(good, record(3, recordSize).Data)
	for at := 0; at < recordSize; at += 997 {
		data := bytes.Clone(good)
		data[begin+at] ^= 1
		if survive(t, path, data) != 0 {
			t.Errorf("byte %d of the record was changed, and nobody saw it", at)
		}
	}
}

func TestCutOff(t *testing.T) {
	path, good := newPath(t), whole(t)
	for size := 1; size < len(good); size += 1000 {
		survive(t, path, good[:size])
	}
	for _, size := range []int{1, 64, pageSize - 1, pageSize, 2 * pageSize, 3 * pageSize} {
		if survive(t, path, good[:size]) != 0 {
			t.Errorf("%d bytes of %d passed for a ledger", size, len(good))
		}
	}
}

func TestNotALedger(t *testing.T) {
	path := newPath(t)
	for _, data := range []string{"x", "{}\n", "SQLite format 3\x00", string(bytes.Repeat([]byte("holds: none\n"), 5000))} {
		if survive(t, path, []byte(data)) != 0 {
			t.Errorf("%.20q passed for a ledger", data)
		}
	}
}

// The file is cut off while it is open: reading it faults. That is an error, and the last thing that happens to the store.
func TestCutOffWhileOpen(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	write(t, s, 2, recordSize)
	ended := make(chan error, 1)
	watching := make(chan struct{})
	go func() { ended <- s.Watch(t.Context(), func(hold.Record) { close(watching) }) }()
	<-watching
	if err := os.Truncate(path, pageSize); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := s.Read(t.Context())
		checkDamaged(t, err, path, "move it away")
		checkDamaged(t, s.Swap(t.Context(), record(3, 10)), path, "move it away")
	}
	if wrong := new(hold.DamagedError); !errors.As(<-ended, &wrong) {
		t.Error("the watch went on")
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	_, err := bolt.Open(path)
	checkDamaged(t, err, path, "move it away")
}
