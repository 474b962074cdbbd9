package exporting

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Pacing of requests that are repeated. The numbers are a compromise between a busy broker and a waiting operator; a
// change that is applied at once costs firstPoll.
const (
	firstPoll = 5 * time.Millisecond  // from a write to the read that checks it
	firstTry  = 50 * time.Millisecond // from a failed request to the next
	lastTry   = time.Second           // the longest wait while somebody waits
	rewrite   = time.Second           // from a write that was taken to the next, if nothing came of it
)

// lever is what the fan-out remembers of a [Lever] across drives, so that requests to it never overtake each other.
// Guarded by Fanout.mu.
type lever struct {
	phase    Phase     // of the last write
	err      error     // why it failed; nil if it was taken or is under way
	word     Phase     // the phase of the last write if it was taken; PhaseUnknown if it may or may not take effect
	doubt    bool      // whether a write may take effect that was not seen to do so yet
	taken    time.Time // when the last write ended that was taken
	next     time.Time // when the same may be written again
	backoff  *backoff.ExponentialBackOff
	inFlight chan struct{} // closed when the write that is under way ends; nil if none is
	cancel   context.CancelFunc
}

func newBackoff(first, last time.Duration) *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: first, MaxInterval: last, Multiplier: 2, RandomizationFactor: 0.3,
	}
}

// pull writes a phase to a lever, unless such a write is under way or was tried a moment ago. It does not wait: the
// channel that it returns is closed when the write that is under way ends, and nil if none is.
//
// A write that is refused for good is told to refused, once.
//
// A write below 8.10 is never given up: it might be applied after a later one. A planned write outlives its request
// anyway, and gives way at once to a write of another phase.
func (f *Fanout) pull(ctx context.Context, l Lever, phase Phase, refused func(error)) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.levers[l.ID]
	if s == nil {
		s = &lever{backoff: newBackoff(firstTry, f.opts.RetryInterval)}
		f.levers[l.ID] = s
	}
	now := time.Now()
	switch {
	case s.inFlight != nil:
		if l.Planned && s.phase != phase {
			s.cancel()
		}
		return s.inFlight
	case s.phase == phase && now.Before(s.next), f.closed:
		return nil
	case s.phase != phase:
		s.backoff.Reset()
	}
	base, timeout := f.base, f.opts.RequestTimeout
	if l.Planned {
		base, timeout = ctx, f.opts.PlanTimeout
	}
	ctx, cancel := context.WithTimeout(base, timeout)
	s.phase, s.err, s.inFlight, s.cancel = phase, nil, make(chan struct{}), cancel
	if s.word != phase {
		s.word, s.doubt = PhaseUnknown, true
	}
	f.writes.Go(func() {
		defer cancel()
		err := f.write(ctx, l, phase)
		if final(err) {
			refused(err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		close(s.inFlight)
		s.inFlight = nil
		wait := s.backoff.NextBackOff()
		switch {
		case err == nil:
			s.taken = time.Now()
			s.word, s.doubt = phase, s.doubt && !l.Planned // A plan is answered when it has been carried out.
			wait = max(wait, rewrite)
		case l.Planned && ctx.Err() != nil: // Given up; the plan goes on, if there is one.
		default:
			s.err = err
		}
		s.next = time.Now().Add(wait)
	})
	return s.inFlight
}

func (f *Fanout) write(ctx context.Context, l Lever, phase Phase) error {
	// A planned write lasts as long as the plan: it must not keep a place that reads need.
	if !l.Planned {
		select {
		case f.slots <- struct{}{}:
			defer func() { <-f.slots }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return f.cluster.Write(ctx, l, phase)
}

// noteApplied records that a broker, in a read that began after the last write to its lever had been taken, showed what
// that write asked for. f.mu is held.
func (f *Fanout) noteApplied(id LeverID, started time.Time, readings []Reading) {
	s := f.levers[id]
	if s == nil || s.word == PhaseUnknown || s.inFlight != nil || started.Before(s.taken) {
		return
	}
	for i := range readings {
		if !readings[i].shows(s.word) {
			return
		}
	}
	s.doubt = false
}

// hasWord reports whether no earlier write can take a lever away from a phase. Brokers below 8.10 apply a change some time
// after they took it, so a replica that reads right may be about to go wrong.
func (f *Fanout) hasWord(id LeverID, phase Phase) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.levers[id]
	return s == nil || !s.doubt || s.word == phase
}
