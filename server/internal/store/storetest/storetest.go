// Package storetest is the conformance suite of [hold.Store]: what the ledger relies on, whatever keeps it. An engine runs
// it in a test of its own:
//
//	storetest.Run(t, fresh, storetest.Without(storetest.Shared, "the file belongs to one process"))
//
// where fresh returns how to open a store on new data:
//
//	path := filepath.Join(t.TempDir(), "exportgate.db")
//	return func() (hold.Store, error) { return bolt.Open(path) }
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/hold"
)

// Open opens a handle on an engine's data. All handles that one Open returns are on the same data; the suite closes them.
type Open func() (hold.Store, error)

// Category is a part of the suite that not every engine can pass.
type Category uint8

// The categories that an engine may be excepted from. All others hold for every store.
const (
	// Durable: the record is there after the last handle is closed.
	Durable Category = iota + 1
	// Shared: several handles at once, each of which sees what the others write.
	Shared
)

// Exception leaves a category out. See [Without].
type Exception struct {
	category Category
	reason   string
}

// Without leaves a category out, for a reason that the test's log tells.
func Without(c Category, reason string) Exception { return Exception{c, reason} }

// patience is how long anything may take. It is far above what any engine needs, on a busy machine too.
const patience = 10 * time.Second

// Run checks an engine. Each test asks fresh for data without a record.
func Run(t *testing.T, fresh func(t *testing.T) Open, exceptions ...Exception) {
	t.Helper()
	for _, test := range []struct {
		name     string
		category Category
		run      func(suite)
	}{
		{"Empty", 0, suite.empty},
		{"Successors", 0, suite.successors},
		{"Bytes", 0, suite.bytes},
		{"Aliases", 0, suite.aliases},
		{"Limit", 0, suite.limit},
		{"Contexts", 0, suite.contexts},
		{"Race", 0, suite.race},
		{"WatchFirst", 0, suite.watchFirst},
		{"WatchOwn", 0, suite.watchOwn},
		{"WatchEnds", 0, suite.watchEnds},
		{"Reopened", Durable, suite.reopened},
		{"SharedReads", Shared, suite.sharedReads},
		{"SharedRace", Shared, suite.sharedRace},
		{"SharedWatch", Shared, suite.sharedWatch},
	} {
		if reason, ok := excepted(exceptions, test.category); ok {
			t.Logf("%s does not apply: %s", test.name, reason)
			continue
		}
		t.Run(test.name, func(t *testing.T) { test.run(suite{t, fresh(t)}) })
	}
}

func excepted(exceptions []Exception, c Category) (reason string, ok bool) {
	for _, e := range exceptions {
		if e.category == c {
			return e.reason, true
		}
	}
	return "", false
}

// suite is one test, on data of its own.
type suite struct {
	*testing.T
	handles Open
}

// handle is a store that is closed once, at the latest when its test ends.
type handle struct {
	hold.Store
	t      *testing.T
	closed bool
}

func (s suite) open() *handle {
	s.Helper()
	store, err := s.handles()
	if err != nil {
		s.Fatalf("open: %v", err)
	}
	h := &handle{Store: store, t: s.T}
	s.Cleanup(h.close)
	return h
}

func (h *handle) close() {
	h.t.Helper()
	if h.closed {
		return
	}
	h.closed = true
	if err := h.Close(); err != nil {
		h.t.Errorf("close: %v", err)
	}
}

// soon is a context that ends when nothing may take any longer.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func (h *handle) swap(revision uint64, data []byte) error {
	h.t.Helper()
	return h.Swap(soon(h.t), hold.Record{Revision: revision, Data: data})
}

// write is a swap that must succeed.
func (h *handle) write(revision uint64, data []byte) {
	h.t.Helper()
	if err := h.swap(revision, data); err != nil {
		h.t.Fatalf("swap to revision %d: %v", revision, err)
	}
}

func (h *handle) read() hold.Record {
	h.t.Helper()
	r, err := h.Read(soon(h.t))
	if err != nil {
		h.t.Fatalf("read: %v", err)
	}
	return r
}

// holds checks the last record.
func (h *handle) holds(revision uint64, data []byte) {
	h.t.Helper()
	if got := h.read(); got.Revision != revision || !bytes.Equal(got.Data, data) {
		h.t.Fatalf("the last record is %s, want %s", brief(got), brief(hold.Record{Revision: revision, Data: data}))
	}
}

func brief(r hold.Record) string {
	return fmt.Sprintf("revision %d with %d bytes (%.20q)", r.Revision, len(r.Data), r.Data)
}

// content is what the suite writes at a revision, so that a record shows whether it is whole.
func content(revision uint64) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "<%d>", revision), 1+int(revision%7)*100)
}

// refused checks that an error says that nothing was written, for a reason of its own.
func refused(t *testing.T, err error) {
	t.Helper()
	var uncertain *hold.UncertainError
	var damaged *hold.DamagedError
	switch {
	case err == nil:
		t.Error("it succeeded")
	case errors.Is(err, hold.ErrConflict), errors.As(err, &uncertain), errors.As(err, &damaged):
		t.Errorf("it failed with %T, which says something else: %v", err, err)
	}
}
