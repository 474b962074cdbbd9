package storetest

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/hold"
)

// watcher is a running Watch. It checks each record as it comes.
type watcher struct {
	t       *testing.T
	records chan hold.Record
	ended   chan error
	stop    context.CancelFunc
	last    hold.Record
	any     bool
}

// watch begins to watch; changed may be nil.
func (h *handle) watch(changed func(hold.Record)) *watcher {
	h.t.Helper()
	ctx, stop := context.WithCancel(h.t.Context())
	w := &watcher{t: h.t, records: make(chan hold.Record, 1000), ended: make(chan error, 1), stop: stop}
	var calls atomic.Int32
	go func() {
		w.ended <- h.Watch(ctx, func(r hold.Record) {
			if calls.Add(1) > 1 {
				w.t.Error("two calls at a time")
			}
			defer calls.Add(-1)
			w.records <- hold.Record{Revision: r.Revision, Data: bytes.Clone(r.Data)}
			if changed != nil {
				changed(r)
			}
		})
	}()
	h.t.Cleanup(stop)
	return w
}

// next waits for a record, which must be later than the one before.
func (w *watcher) next() hold.Record {
	w.t.Helper()
	select {
	case r := <-w.records:
		w.follows(r)
		return r
	case err := <-w.ended:
		w.t.Fatalf("the watch ended after %s: %v", brief(w.last), err)
	case <-time.After(patience):
		w.t.Fatalf("no call after %s", brief(w.last))
	}
	return hold.Record{}
}

func (w *watcher) follows(r hold.Record) {
	w.t.Helper()
	if w.any && r.Revision <= w.last.Revision {
		w.t.Errorf("%s was told after %s", brief(r), brief(w.last))
	}
	w.last, w.any = r, true
}

// until waits for the record of a revision; those in between may be left out.
func (w *watcher) until(revision uint64) {
	w.t.Helper()
	for r := w.last; r.Revision < revision; {
		r = w.next()
		if !bytes.Equal(r.Data, content(r.Revision)) {
			w.t.Errorf("told of %s, want %s", brief(r), brief(hold.Record{Revision: r.Revision, Data: content(r.Revision)}))
		}
	}
}

// end ends the watch, which must not call it an error, and checks what was told meanwhile.
func (w *watcher) end() {
	w.t.Helper()
	w.stop()
	select {
	case err := <-w.ended:
		if err != nil {
			w.t.Errorf("the watch ended with %v after its context", err)
		}
	case <-time.After(patience):
		w.t.Fatal("the watch did not end with its context")
	}
	close(w.records)
	for r := range w.records {
		w.follows(r)
	}
}

// The first call comes at once, with the last record, also where there is none.
func (s suite) watchFirst() {
	h := s.open()
	for revision := range uint64(3) {
		if revision > 0 {
			h.write(revision, content(revision))
		}
		w := h.watch(nil)
		if first := w.next(); first.Revision != revision || revision > 0 && !bytes.Equal(first.Data, content(revision)) {
			s.Errorf("the first call has %s, want revision %d", brief(first), revision)
		}
		w.end()
	}
}

// Whether a store tells of this handle's own writes is left to it; what it tells is in order.
func (s suite) watchOwn() {
	h := s.open()
	watchers := []*watcher{h.watch(nil), h.watch(nil)}
	for _, w := range watchers {
		w.next()
	}
	for revision := uint64(1); revision <= 20; revision++ {
		h.write(revision, content(revision))
	}
	for _, w := range watchers {
		w.end()
	}
	h.holds(20, content(20))
}

func (s suite) watchEnds() {
	h := s.open()
	h.write(1, content(1))
	w := h.watch(nil)
	w.next()
	w.end()

	over := h.watch(nil)
	over.stop() // Perhaps before it began: no error either.
	over.end()

	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if err := h.Watch(ctx, func(hold.Record) {}); err != nil {
		s.Errorf("a watch whose context was over: %v", err)
	}
	h.write(2, content(2))
}

// What one handle writes is told to those who watch the other, in order; a slow one misses some, but never the last.
func (s suite) sharedWatch() {
	a, b := s.open(), s.open()
	a.write(1, content(1))
	written := make(chan struct{})
	slow := b.watch(func(hold.Record) {
		select {
		case <-written:
		case <-time.After(patience):
			s.Error("the writes did not end")
		}
	})
	quick := b.watch(nil)
	quick.until(1)
	for revision := uint64(2); revision <= 30; revision++ {
		a.write(revision, content(revision))
		if revision%10 == 0 {
			quick.until(revision)
		}
	}
	close(written)
	slow.until(30)
	b.write(31, content(31))
	own := a.watch(nil)
	own.until(31)
	for _, w := range []*watcher{slow, quick, own} {
		w.end()
	}
}
