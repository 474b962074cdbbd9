// Package audit keeps an append-only log of who changed what, from where and why: one JSON object a line, in a file or on
// standard output (docs/audit.md). A call that changes something has a line before anything is touched and one before its
// answer; every change that this server makes to the ledger has one, and so has what it does by itself. The changes of all
// servers over one ledger replay to that ledger.
//
// Lines go through one goroutine, which writes each with one write and makes the disk keep them, as many at a time as have
// come together. Only calls wait for it, and never for long: where the log cannot be written, a line goes to standard error,
// so that a resume is not kept from curing the disk that is full.
//
// It must not know how calls come in, who may make them, nor how the cluster is driven.
package audit

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a [Log].
type Options struct {
	// Path is the file; "-" is Writer. Its directory must be there.
	Path   string
	Writer io.Writer
	// Server is the name of this server in the lines; it should differ from those of other servers over one ledger.
	Server string
	// MaxBytes is the size at which a file is put aside under its name and the time, and a new one begun; 0 for never. Keep is
	// how many of those are kept.
	MaxBytes int64
	Keep     int
	// RefusePauses is true where a pause that cannot be logged is refused.
	RefusePauses bool
	// Snapshot tells what the cluster is like as of the last reads. It must answer at once; nil where nobody can tell.
	Snapshot func() Snapshot
	// Logger is told when the log cannot be written, and when it can be again.
	Logger *slog.Logger
	// Stderr takes the lines that the log does not.
	Stderr io.Writer
	// Failed is called for each of these; nil where nobody counts them. It must return at once.
	Failed func()
}

// patience is how long a call waits for its line.
const patience = 3 * time.Second

// maxQueue is how many lines may wait to be written. With more the disk does not keep up.
const maxQueue = 1024

var (
	errStalled = errors.New("the disk has not answered yet")
	errClosed  = errors.New("the log is closed")
)

// Log is the audit log, from [Open] to [Log.Close]. Its methods may be called by many goroutines.
type Log struct {
	opts   Options
	queue  chan *entry
	ended  chan struct{} // closed when the goroutine that writes has ended
	busy   atomic.Int64  // since when it waits for the disk, as Unix time in nanoseconds; 0 if it does not
	warned atomic.Bool   // that the disk does not answer was logged

	mu     sync.Mutex // over a line's number and its place in the queue, so that lines are in order
	seq    uint64
	closed bool
	gap    bool // a change of the ledger did not get into the queue: the next one has to begin anew
	flood  flood
	state  State

	failing sync.Mutex // over Stderr
}

// State is whether the log can be written, for health.
type State struct {
	// Err is why the last line could not be written, nil if it could; Since when that is so.
	Err   error
	Since time.Time
	// Lost is how many lines went to standard error instead, since the start.
	Lost uint64
}

// Open opens the log, and ends what a crash left of a line. A path that cannot be right, such as one in a directory that is
// not there, is an error. A disk that is full or failing is not: a server that is restarted then must still be able to
// resume; [Log.State] tells.
func Open(o Options) (*Log, error) {
	if o.Path == "-" {
		return open(o, &stream{Writer: o.Writer})
	}
	return open(o, &file{path: o.Path, max: o.MaxBytes, keep: o.Keep, log: o.Logger})
}

func open(o Options, out sink) (*Log, error) {
	o.Server = cmp.Or(o.Server, "exportgate")
	l := &Log{opts: o, queue: make(chan *entry, maxQueue), ended: make(chan struct{})}
	l.state.Since = time.Now()
	w := &writer{log: l, out: out}
	switch err := w.open(); {
	case misplaced(err):
		return nil, fmt.Errorf("open the audit log: %w: audit.path must name a file in a directory that is there, and this user must be "+
			"able to write both", err)
	case err != nil:
		l.failed(err)
	}
	go w.run()
	return l, nil
}

// State returns whether the log can be written.
func (l *Log) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.state
	if s.Err == nil && l.stalled() {
		s.Err, s.Since = errStalled, time.Unix(0, l.busy.Load())
	}
	return s
}

// Close writes what waits, and ends the log; lines that come later go to standard error. It fails if the disk does not
// answer. It may be called again.
func (l *Log) Close() error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.queue)
	}
	l.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-l.ended:
		return nil
	case <-timer.C:
		return fmt.Errorf("close the audit log %s: %w: the last lines may be lost", l.opts.Path, errStalled)
	}
}
