// Package certs keeps TLS going while its files are renewed: certificate, private key and trusted authorities in PEM form,
// as Spring names them, are read again about once a second, and what begins a connection takes those of the moment.
//
// The files are used as a whole or not at all: one that is missing, half written or does not fit the others leaves the ones
// from before in use, says so once, and shows in [Source.State]. A change touches no connection that is open.
//
// It must not know what a connection is for, nor who may do what: it says whose certificates are valid, not what they are
// good for.
package certs

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultInterval is how often the files are looked at. A look reads a few kilobytes: files are not watched, because
// Kubernetes renews them by turning a link to another directory, and network file systems tell nobody.
const DefaultInterval = time.Second

// Files are the paths of PEM files. Each is empty where it is not given.
type Files struct {
	// Certificate is this end's own, followed by the intermediates that lead to its authority. Key is its private key, not
	// encrypted. They are given together; both may be in one file.
	Certificate, Key string
	// Trust are the authorities that the other end's certificate is checked with.
	Trust string
}

// Options are what [Open] needs beside the files.
type Options struct {
	// Name is what the files are for, in logs: the group of their keys in the configuration, "server.ssl".
	Name string
	// Interval is between two looks at the files; [DefaultInterval] where 0.
	Interval time.Duration
	Logger   *slog.Logger
}

// Source has the files' content of the moment. It may be used by several goroutines. [Source.Run] keeps it up to date.
type Source struct {
	files    Files
	interval time.Duration
	log      *slog.Logger
	active   atomic.Pointer[content]

	mu      sync.Mutex
	problem error // why what the files hold now is not in use; nil where it is
}

// State is what is known of the files, for health and metrics.
type State struct {
	// NotBefore and NotAfter are when this end's certificate begins and ends; zero where none is given.
	NotBefore, NotAfter time.Time
	// TrustNotAfter is when the first of the trusted authorities ends, of those that had not when they were loaded: bundles
	// carry old ones along. Zero where no file of them is given; in the past where all had ended.
	TrustNotAfter time.Time
	// Loaded is since when what is in use is.
	Loaded time.Time
	// Err is why the files as they are now are not in use; nil where they are.
	Err error
}

// Open reads the files, of which there may be none. An error names the file. That a certificate has expired, or is not
// valid yet, is a warning: a server that does not start helps nobody.
func Open(f Files, o Options) (*Source, error) {
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	s := &Source{files: f, interval: o.Interval, log: o.Logger.With("certificates", o.Name)}
	ctx := context.Background()
	first, err := s.settled(ctx)
	if err != nil {
		return nil, err
	}
	s.active.Store(first)
	s.warn(ctx, first)
	return s, nil
}

// Run reads the files again until the context ends, which is no error.
func (s *Source) Run(ctx context.Context) error {
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.look(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// State is what is in use, and why it is not what the files hold.
func (s *Source) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.active.Load()
	state := State{TrustNotAfter: now.trustNotAfter, Loaded: now.loaded, Err: s.problem}
	if now.certificate != nil {
		state.NotBefore, state.NotAfter = now.certificate.Leaf.NotBefore, now.certificate.Leaf.NotAfter
	}
	return state
}

// look takes what the files hold, if it is new and can be used.
func (s *Source) look(ctx context.Context) {
	old := s.active.Load()
	fresh, err := s.settled(ctx)
	if ctx.Err() != nil {
		return // Its end may have cut the look short.
	}
	if err == nil && fresh.trustEnded() && !old.trustEnded() {
		err = errTrustEnded(s.files.Trust)
	}
	s.mu.Lock()
	before := s.problem
	s.problem = err
	if err == nil {
		s.active.Store(fresh)
	}
	s.mu.Unlock()
	s.tell(ctx, old, fresh, before, err)
}

// tell logs what a look changed: a problem that lasts is told once.
func (s *Source) tell(ctx context.Context, old, fresh *content, before, err error) {
	switch {
	case err != nil:
		if before == nil || before.Error() != err.Error() {
			s.log.ErrorContext(ctx, "the certificates' files cannot be used: what was loaded before stays in use", "error", err)
		}
	case fresh != old:
		now := s.State()
		s.log.InfoContext(ctx, "certificates renewed", "not_after", now.NotAfter, "trust_not_after", now.TrustNotAfter)
		s.warn(ctx, fresh)
	case before != nil:
		s.log.InfoContext(ctx, "the certificates' files hold again what is in use")
	}
}

func (s *Source) warn(ctx context.Context, c *content) {
	for _, warning := range c.warnings(s.files, time.Now()) {
		s.log.WarnContext(ctx, "the certificates are used, but are not as they should be", "problem", warning)
	}
}
