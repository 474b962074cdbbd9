package exporting

import (
	"context"
	"errors"
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
	linger    = 10 * time.Second      // how late a broker may apply a change that it took
	beginning = time.Second           // from a planned request that was not answered to the plan that it may start
)

// lever is what the fan-out remembers of a [Lever] across drives, so that requests to it never overtake each other.
// Guarded by Fanout.mu.
type lever struct {
	planned  bool
	phase    Phase     // of the last write
	err      error     // why it failed; nil if it was taken or is under way
	word     Phase     // the phase of the last write if it was taken; PhaseUnknown if it may or may not take effect
	seen     bool      // whether no write is outstanding: the last was seen to have taken effect
	visible  bool      // whether replicas showed another phase when the last was written, so that its effect shows
	doubt    time.Time // until when an earlier write may still take effect
	earlier  Phase     // which that write asked for; of several the one that is least welcome after a hard pause
	weakest  Phase     // the weakest that any of these asked for, as far as this process wrote them
	late     time.Time // until when a planned write that was not answered may still start its plan
	ended    time.Time // when the last write ended
	next     time.Time // when the same may be written again
	backoff  *backoff.ExponentialBackOff
	inFlight chan struct{} // closed when the write that is under way ends; nil if none is
	cancel   context.CancelFunc
}

func newBackoff(last time.Duration) *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: firstTry, MaxInterval: last, Multiplier: 2, RandomizationFactor: 0.3,
	}
}

// meet returns what is remembered of a lever. f.mu is held.
func (f *Fanout) meet(l Lever) *lever {
	s := f.levers[l.ID]
	if s == nil {
		s = &lever{planned: l.Planned, seen: true, backoff: newBackoff(f.opts.RetryInterval)}
		if time.Now().Before(f.suspect.doubt) {
			s.seen, s.doubt, s.earlier = false, f.suspect.doubt, f.suspect.earlier
		}
		f.levers[l.ID] = s
	}
	return s
}

// pull writes a phase to a lever, unless such a write is under way or was tried a moment ago. It does not wait: the
// channel that it returns is closed when the write that is under way ends, and nil if none is.
//
// Visible says that a replica shows another phase now. A write that is refused for good is told to refused, once.
//
// A write below 8.10 is never given up: it might be applied after a later one. A planned write outlives its request
// anyway, and gives way at once to a write of another phase.
func (f *Fanout) pull(ctx context.Context, l Lever, phase Phase, visible bool, refused func(error)) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.meet(l)
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
	// A write keeps what the context carries, so that traces tell whose it is, and outlasts it.
	base, timeout := context.WithoutCancel(ctx), f.opts.RequestTimeout
	if l.Planned {
		base, timeout = ctx, f.opts.PlanTimeout
	}
	ctx, cancel := context.WithTimeout(base, timeout)
	closing := context.AfterFunc(f.base, cancel)
	before := *s
	s.phase, s.err, s.inFlight, s.cancel = phase, nil, make(chan struct{}), cancel
	if s.word != phase {
		if !l.Planned && !s.seen && before.phase != phase {
			if now.After(s.doubt) || s.earlier != PhaseSoftPaused {
				s.earlier = before.phase
			}
			if now.After(s.doubt) || s.weakest == PhaseUnknown || before.phase.Weaker(s.weakest) {
				s.weakest = before.phase
			}
			s.doubt = now.Add(linger)
		}
		s.word, s.seen, s.visible = PhaseUnknown, false, visible
	} else if visible {
		s.seen, s.visible = false, true // Somebody else turned it meanwhile: the same once more has an effect again.
	}
	f.writes.Go(func() {
		defer cancel()
		defer closing()
		err := f.write(ctx, l, phase)
		f.wrote(s, before, err, ctx.Err() != nil)
		if final(err) {
			refused(err)
		}
	})
	return s.inFlight
}

// wrote records the outcome of the write that is under way. One that was refused for good changed nothing, so that what was
// assumed of it is taken back to what was known before.
func (f *Fanout) wrote(s *lever, before lever, err error, givenUp bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(s.inFlight)
	s.inFlight = nil
	wait := s.backoff.NextBackOff()
	switch {
	case err == nil:
		s.word = s.phase
		wait = max(wait, rewrite)
	case s.planned && givenUp: // The plan goes on, if there is one.
	default:
		s.err = err
	}
	if final(err) {
		s.word, s.seen, s.visible = before.word, before.seen, before.visible
		s.doubt, s.earlier, s.weakest = before.doubt, before.earlier, before.weakest
	}
	s.ended = time.Now()
	if _, answered := errors.AsType[*PendingChangeError](err); s.planned && err != nil && !answered && !final(err) {
		s.late = s.ended.Add(beginning)
	}
	s.next = s.ended.Add(wait)
}

// errNotOurs is why a write is not made, or is given up, that might last longer than this process may drive.
var errNotOurs = errors.New("another server may drive the brokers by now")

func (f *Fanout) write(ctx context.Context, l Lever, phase Phase) error {
	if f.opts.Until != nil {
		if until := f.opts.Until(); !until.IsZero() {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadlineCause(ctx, until, errNotOurs)
			defer cancel()
			defer f.strays(phase, until)
		}
	}
	// A planned write lasts as long as the plan: it must not keep a place that reads need.
	if !l.Planned {
		select {
		case f.slots <- struct{}{}:
			defer func() { <-f.slots }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f.cluster.Write(ctx, l, phase)
}

// strays takes notice of a pause that was under way when this process had to leave the brokers alone: it may have stood
// still between its last look at the clock and the sending of the request.
func (f *Fanout) strays(phase Phase, until time.Time) {
	if phase == PhaseExporting || time.Now().Before(until) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.strayed = true
}

// Strayed reports, once, whether a pause lasted longer than this process may drive. It may take effect at any time, long
// after whoever drives now has stopped to reckon with it.
func (f *Fanout) Strayed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	strayed := f.strayed
	f.strayed = false
	return strayed
}

// noteApplied records that a broker, in a read that began after the last write to its lever had been taken, showed what
// that write asked for. If it showed something else before, this and all earlier writes, whose order brokers keep, have
// taken effect; if not, it proves nothing until the earlier ones are too old to matter. One broker says nothing of a plan
// for all: see noteQuiet. f.mu is held.
func (f *Fanout) noteApplied(id LeverID, started time.Time, readings []Reading) {
	s := f.levers[id]
	if s == nil || s.planned || s.word == PhaseUnknown || s.inFlight != nil || started.Before(s.ended) {
		return
	}
	if !showAll(readings, s.word) {
		return
	}
	if s.visible {
		s.doubt = time.Time{}
	}
	s.seen = time.Now().After(s.doubt)
}

// noteQuiet records that the brokers, asked after the last write to a planned lever had ended, were carrying out nothing:
// whatever came of it has taken effect. f.mu is held.
func (f *Fanout) noteQuiet(topology *Topology, started time.Time) {
	for _, l := range topology.Levers {
		s := f.levers[l.ID]
		if !l.Planned || topology.Pending != "" || s == nil || s.inFlight != nil {
			continue
		}
		if !started.Before(s.ended) && !started.Before(s.late) {
			s.seen = true
		}
	}
}

// hasWord reports whether no earlier write can take a lever away from a phase. Brokers below 8.10 apply a change some time
// after they took it, so a replica that reads right may be about to go wrong.
func (f *Fanout) hasWord(id LeverID, phase Phase) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.levers[id]
	return s == nil || s.seen || s.lastWord() == phase
}

// lastWord is the phase that nothing can take the lever away from. That a later write was answered says nothing of a plan
// that may begin yet: it might have found nothing to do. Below 8.10 an earlier write is followed by the last one, for brokers
// keep their order; but a pause must not be let go of in between, once it was confirmed.
func (s *lever) lastWord() Phase {
	now := time.Now()
	if now.Before(s.late) || s.word.Paused() && now.Before(s.doubt) && s.weakest.Weaker(s.word) {
		return PhaseUnknown
	}
	return s.word
}

// maySoften reports whether a write that was not seen to take effect may still turn the lever's replicas SOFT_PAUSED.
func (f *Fanout) maySoften(id LeverID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.levers[id]
	return s != nil && s.maySoften()
}

func (s *lever) maySoften() bool {
	return !s.seen && s.phase == PhaseSoftPaused || time.Now().Before(s.doubt) && s.earlier == PhaseSoftPaused
}

// Doubtful reports whether a write, made shortly before another to the same broker, was never seen to take effect and still
// may: if the later one is lost, replicas turn after they were confirmed. So whoever is done with the cluster must look
// again.
func (f *Fanout) Doubtful() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	// What another process wrote comes by a connection of its own: that ours had an effect says nothing of it.
	if now.Before(f.suspect.doubt) {
		return true
	}
	for _, s := range f.levers {
		if now.Before(s.doubt) {
			return true
		}
	}
	return false
}
