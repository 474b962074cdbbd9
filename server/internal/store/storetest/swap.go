package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exportgate/exportgate/server/internal/hold"
)

func (s suite) empty() {
	h := s.open()
	if got := h.read(); got.Revision != 0 || len(got.Data) != 0 {
		s.Errorf("an empty store has %s", brief(got))
	}
	h.write(1, nil)
	h.holds(1, nil)
}

// Only the successor of the last revision is taken; whatever else is a conflict, and changes nothing.
func (s suite) successors() {
	h := s.open()
	for last := range uint64(4) {
		for _, wrong := range []uint64{0, last - 1, last, last + 2, last + 1000, ^uint64(0)} {
			if err := h.swap(wrong, []byte("wrong")); !errors.Is(err, hold.ErrConflict) {
				s.Errorf("swap from revision %d to %d: %v, want a conflict", last, wrong, err)
			}
		}
		if last > 0 {
			h.holds(last, content(last))
		}
		h.write(last+1, content(last+1))
	}
}

func (s suite) bytes() {
	h := s.open()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for i, data := range [][]byte{
		{0}, all, {}, []byte("\xff\xfe\x00not UTF-8\x00"), bytes.Repeat(all, 300), []byte("\r\n \t"), nil, bytes.Repeat([]byte{0}, 70_000),
	} {
		revision := uint64(i) + 1
		h.write(revision, data)
		h.holds(revision, data)
	}
}

// What a caller does to its slices afterwards changes nothing.
func (s suite) aliases() {
	h := s.open()
	want := content(6)
	data := slices.Clone(want)
	h.write(1, data)
	clear(data)
	h.holds(1, want)
	clear(h.read().Data)
	h.holds(1, want)
	w := h.watch(func(r hold.Record) { clear(r.Data) })
	w.next()
	w.end()
	h.holds(1, want)
}

func (s suite) limit() {
	h := s.open()
	largest := bytes.Repeat([]byte("ledger!\n"), hold.MaxRecord/8)
	h.write(1, largest)
	h.holds(1, largest)
	refused(s.T, h.swap(2, append(largest, '!')))
	h.holds(1, largest)
	h.write(2, largest[1:])
	h.holds(2, largest[1:])
}

// A context that is over is an error, and nothing was written.
func (s suite) contexts() {
	h := s.open()
	h.write(1, content(1))
	canceled, cancel := context.WithCancel(s.Context())
	cancel()
	expired, cancel := context.WithDeadline(s.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, over := range []context.Context{canceled, expired} {
		if _, err := h.Read(over); !errors.Is(err, over.Err()) {
			s.Errorf("read: %v, want %v", err, over.Err())
		}
		err := h.Swap(over, hold.Record{Revision: 2, Data: content(2)})
		refused(s.T, err)
		if !errors.Is(err, over.Err()) {
			s.Errorf("swap: %v, want %v", err, over.Err())
		}
	}
	h.holds(1, content(1))
	h.write(2, content(2))
}

func (s suite) race() {
	h := s.open()
	s.collide(h)
	s.contend(h)
}

func (s suite) sharedRace() {
	a, b := s.open(), s.open()
	s.collide(a, b)
	s.contend(a, b)
}

// writers is how many goroutines race.
const writers = 8

// collide lets all goroutines write the same revision, from the same last one. One wins; every other is told.
func (s suite) collide(handles ...*handle) {
	for revision := uint64(1); revision <= 6; revision++ {
		var wins atomic.Uint64
		var ready, done sync.WaitGroup
		ready.Add(writers)
		for writer := range writers {
			done.Go(func() {
				ready.Done()
				ready.Wait()
				err := handles[writer%len(handles)].swap(revision, written(revision, writer))
				if err == nil {
					wins.Add(1)
				} else if !errors.Is(err, hold.ErrConflict) {
					s.Errorf("swap to revision %d: %v", revision, err)
				}
			})
		}
		done.Wait()
		if last := handles[0].read().Revision; wins.Load() != 1 || last != revision {
			s.Errorf("%d swaps to revision %d succeeded, and the last is %d", wins.Load(), revision, last)
		}
	}
}

// written is what a writer writes at a revision.
func written(revision uint64, writer int) []byte {
	return fmt.Appendf(nil, "revision %d of writer %d", revision, writer)
}

// tally is what writers that race have to show.
type tally struct {
	wins         atomic.Uint64
	acknowledged atomic.Uint64 // the highest revision that was written
}

// contend lets many goroutines read and write as they come. Every revision has one winner, and no read misses what was
// written before it began.
func (s suite) contend(handles ...*handle) {
	var counted tally
	first := handles[0].read().Revision
	var group sync.WaitGroup
	for writer := range writers {
		group.Go(func() {
			for range 12 {
				s.step(handles[writer%len(handles)], writer, &counted)
			}
		})
	}
	group.Wait()
	last, wins := handles[0].read().Revision, counted.wins.Load()
	if last != first+wins || wins == 0 {
		s.Errorf("%d swaps succeeded, and the last revision went from %d to %d", wins, first, last)
	}
}

// step reads and writes once.
func (s suite) step(h *handle, writer int, counted *tally) {
	before := counted.acknowledged.Load()
	last, err := h.Read(soon(s.T))
	if err != nil || last.Revision < before {
		s.Errorf("read revision %d, %v, after %d was acknowledged", last.Revision, err, before)
	}
	if last.Revision > 0 && !bytes.HasPrefix(last.Data, fmt.Appendf(nil, "revision %d ", last.Revision)) {
		s.Errorf("torn: %s", brief(last))
	}
	next := last.Revision + 1
	err = h.swap(next, written(next, writer))
	switch {
	case err == nil:
		counted.wins.Add(1)
		for old := counted.acknowledged.Load(); old < next && !counted.acknowledged.CompareAndSwap(old, next); {
			old = counted.acknowledged.Load()
		}
	case !errors.Is(err, hold.ErrConflict):
		s.Errorf("swap to revision %d: %v", next, err)
	}
}

func (s suite) reopened() {
	for revision := range uint64(5) {
		h := s.open()
		if revision > 0 {
			h.holds(revision, content(revision))
			if err := h.swap(revision, []byte("again")); !errors.Is(err, hold.ErrConflict) {
				s.Errorf("the same revision after opening anew: %v, want a conflict", err)
			}
		}
		h.write(revision+1, content(revision+1))
		h.close()
	}
}

// Each handle sees at once what the other wrote, and loses against it.
func (s suite) sharedReads() {
	a, b := s.open(), s.open()
	for revision := uint64(1); revision < 8; revision++ {
		a.write(revision, content(revision))
		b.holds(revision, content(revision))
		if err := b.swap(revision, []byte("late")); !errors.Is(err, hold.ErrConflict) {
			s.Errorf("the second swap to revision %d: %v, want a conflict", revision, err)
		}
		a.holds(revision, content(revision))
		a, b = b, a
	}
	a.close()
	b.holds(7, content(7))
	b.write(8, content(8))
}
