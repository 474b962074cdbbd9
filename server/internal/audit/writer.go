package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/exportgate/exportgate/server/internal/hold"
)

// entry is a line on its way.
type entry struct {
	line   *Line
	before *hold.State // of a change: the ledger before it
	rebase bool        // of a change: a replay may have to begin with it
	waits  chan error  // of capacity 1; nil where nobody waits
	told   atomic.Bool // whether what became of it is told: by the writer, or by whoever gave up to wait
}

// put sends a line on its way.
func (l *Log) put(line *Line) { l.send(&entry{line: line}) }

// await sends a line on its way and waits until the disk has it. It fails if the line went to standard error instead.
func (l *Log) await(line *Line) error {
	e := &entry{line: line, waits: make(chan error, 1)}
	l.send(e)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-e.waits:
		return err
	case <-timer.C:
	}
	if l.tell(e, errStalled) && !l.warned.Swap(true) {
		l.opts.Logger.LogAttrs(context.Background(), slog.LevelError, "the audit log's disk does not answer: its lines go to standard error",
			slog.String("path", l.opts.Path))
	}
	return <-e.waits
}

// send gives a line its number and its place in the queue.
func (l *Log) send(e *entry) {
	l.mu.Lock()
	l.stamp(e.line)
	e.rebase = e.rebase || l.gap
	err := l.enqueue(e)
	if e.before != nil {
		l.gap = err != nil
	}
	l.mu.Unlock()
	if err != nil {
		l.tell(e, err)
	}
}

// stamp says of a line when it was made, by whom, and which it is. l.mu is held.
func (l *Log) stamp(line *Line) {
	l.seq++
	line.Time, line.Server, line.Seq = time.Now().UTC(), l.opts.Server, l.seq
}

// enqueue does not wait, and once the disk does not answer nobody does. l.mu is held.
func (l *Log) enqueue(e *entry) error {
	switch {
	case l.closed:
		return errClosed
	case l.stalled():
		return errStalled
	}
	select {
	case l.queue <- e:
		return nil
	default:
		return fmt.Errorf("%w, and %d lines wait", errStalled, maxQueue)
	}
}

// stalled reports whether the disk has kept the writer waiting for too long.
func (l *Log) stalled() bool {
	began := l.busy.Load()
	return began != 0 && time.Since(time.Unix(0, began)) >= patience
}

// tell says what became of a line, once: a line that is not written goes to standard error. It reports whether it was the
// first to say so.
func (l *Log) tell(e *entry, err error) bool {
	if e.told.Swap(true) {
		return false
	}
	if err != nil {
		l.divert(e.line)
	}
	if e.waits != nil {
		e.waits <- err
	}
	return true
}

// diverted is what lines begin with that went to standard error, among what else is there.
const diverted = "audit: "

// divert writes a line to standard error.
func (l *Log) divert(line *Line) {
	data, err := encode(line)
	if err != nil {
		data = []byte(err.Error() + "\n")
	}
	l.mu.Lock()
	l.state.Lost++
	l.mu.Unlock()
	if l.opts.Failed != nil {
		l.opts.Failed()
	}
	l.failing.Lock()
	defer l.failing.Unlock()
	_, _ = l.opts.Stderr.Write(append([]byte(diverted), data...)) // There is nowhere left to say that it failed.
}

// failed keeps why lines are not written, nil if they are, and logs when that begins and ends.
func (l *Log) failed(err error) {
	l.mu.Lock()
	was := l.state.Err
	if l.state.Err = err; (was == nil) != (err == nil) {
		l.state.Since = time.Now()
	}
	l.mu.Unlock()
	switch {
	case was == nil && err != nil:
		l.opts.Logger.LogAttrs(context.Background(), slog.LevelError, "the audit log cannot be written: its lines go to standard error",
			slog.String("path", l.opts.Path), slog.String("error", err.Error()))
	case was != nil && err == nil:
		l.healed()
	}
}

func (l *Log) healed() {
	l.opts.Logger.LogAttrs(context.Background(), slog.LevelInfo, "the audit log can be written again", slog.String("path", l.opts.Path))
}

// writer is the goroutine that writes. What it has nobody else uses.
type writer struct {
	log    *Log
	out    sink
	torn   bool // the last line is not whole: the next begins with the end of that one
	rebase bool // the next change is the first in its file, or the one before was not written
}

// run writes what is in the queue until that is closed and empty.
func (w *writer) run() {
	defer close(w.log.ended)
	minutes := time.NewTicker(floodWindow)
	defer minutes.Stop()
	for {
		select {
		case e, open := <-w.log.queue:
			if !open {
				w.end()
				return
			}
			w.write(w.gather(e))
		case <-minutes.C:
			w.writeFlood()
		}
	}
}

func (w *writer) end() {
	w.writeFlood()
	w.out.close()
}

// writeFlood tells of the calls that were turned away without a line. It must not wait for the queue, which it empties
// itself.
func (w *writer) writeFlood() {
	line := w.log.floodOver()
	if line == nil {
		return
	}
	w.log.mu.Lock()
	w.log.stamp(line)
	w.log.mu.Unlock()
	w.write([]*entry{{line: line}})
}

// gather takes what else is in the queue: one sync is enough for all of it.
func (w *writer) gather(first *entry) []*entry {
	batch := []*entry{first}
	for len(batch) < maxQueue {
		select {
		case e, open := <-w.log.queue:
			if !open {
				return batch
			}
			batch = append(batch, e)
		default:
			return batch
		}
	}
	return batch
}

// write writes lines, each with one write, makes the disk keep them, and tells those who wait. What fails for one line is
// tried anew for the next.
func (w *writer) write(batch []*entry) {
	w.log.busy.Store(time.Now().UnixNano())
	results := make([]error, len(batch))
	for i, e := range batch {
		if !e.told.Load() { // Else whoever gave up has sent it to standard error.
			results[i] = w.writeOne(e)
		}
		if e.before != nil {
			w.rebase = results[i] != nil
		}
	}
	syncing := w.out.sync()
	w.log.busy.Store(0)
	var failure error
	for i, e := range batch {
		if results[i] == nil {
			results[i] = syncing
		}
		if results[i] != nil {
			failure = results[i]
			w.rebase = w.rebase || e.before != nil
		}
	}
	w.log.failed(failure) // Before it is told: who is told may look at the state.
	if failure == nil && w.log.warned.Swap(false) {
		w.log.healed()
	}
	for i, e := range batch {
		w.log.tell(e, results[i])
	}
}

// writeOne writes a line, in a new file if this one is full.
func (w *writer) writeOne(e *entry) error {
	if err := w.open(); err != nil {
		return err
	}
	data, err := w.encode(e)
	if err != nil {
		return err
	}
	if w.out.full(len(data)) {
		w.out.rotate()
		if err := w.open(); err != nil {
			return err
		}
		if data, err = w.encode(e); err != nil {
			return err
		}
	}
	n, err := w.out.Write(data)
	if n > 0 {
		w.torn = data[n-1] != '\n'
	}
	return err
}

// open makes sure that there is a file to write to.
func (w *writer) open() error {
	opened, err := w.out.ready()
	if opened.fresh {
		w.torn, w.rebase = opened.torn, true
	}
	return err
}

// encode is the line of an entry in the file as it is now.
func (w *writer) encode(e *entry) ([]byte, error) {
	line := *e.line
	if e.before != nil && (e.rebase || w.rebase) {
		change := *line.Change
		change.Base, line.Change = e.before, &change
	}
	data, err := encode(&line)
	if err == nil && w.torn {
		data = append([]byte{'\n'}, data...)
	}
	return data, err
}

// encode is a line with its end, for one write.
func encode(line *Line) ([]byte, error) {
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false) // People read it.
	if err := encoder.Encode(line); err != nil {
		return nil, fmt.Errorf("encode a line of the audit log: %w", err)
	}
	return data.Bytes(), nil
}
