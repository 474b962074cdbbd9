package hold

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ErrEarlierTerm refuses what was decided in a term that is over.
var ErrEarlierTerm = errors.New("another server drives the brokers now")

// Placed is what [Ledger.Place] did.
type Placed struct {
	Hold Hold
	// Renewed is true if the hold was live before, with the same phase.
	Renewed bool
}

// Place places a hold, or renews the live one of the same id and phase, which keeps its uid, owner and times, but for one:
// it never ends earlier. A live hold of another phase is replaced. It fails with [ErrOvertaken], a [*NotOwnerError], a [*TooManyError]
// or an [*UnavailableError].
func (l *Ledger) Place(ctx context.Context, p Placing) (placed Placed, err error) {
	apply := l.change
	if p.OwnOnly { // Nobody shall be told that a hold is another's which that one has just released elsewhere.
		apply = l.decide
	}
	_, err = apply(ctx, func(s *State, now time.Time) (bool, error) {
		placed.Hold, placed.Renewed, err = s.place(p, now)
		return true, err
	})
	return placed, err
}

// Renewing asks for more time for a hold.
type Renewing struct {
	UID string
	// TTL is how long it lives from now on at least; 0 is for ever.
	TTL time.Duration
	// By is who asks. OwnOnly refuses a hold that is not theirs.
	By      string
	OwnOnly bool
}

// Renew extends the live hold of a uid, if there is one; else it returns nil. It fails with a [*NotOwnerError] or an
// [*UnavailableError].
func (l *Ledger) Renew(ctx context.Context, req Renewing) (renewed *Hold, err error) {
	_, err = l.decide(ctx, func(s *State, now time.Time) (bool, error) {
		renewed = nil
		if req.OwnOnly {
			if err := s.CheckOwnerUID(req.UID, req.By); err != nil {
				return false, err
			}
		}
		h, live := s.FindUID(req.UID)
		if live {
			renewed = new(s.extend(h, req.TTL, now))
		}
		return live, nil
	})
	return renewed, err
}

// Release is what [Ledger.Release] did.
type Release struct {
	// Ended is the hold that it ended, or the last of that id that had ended before; nil if none is known.
	Ended *Ended
	// Now is true if this release ended it.
	Now bool
	// State is what ought to be from then on.
	State State
}

// Releasing asks for the end of a hold.
type Releasing struct {
	ID, By string
	// OwnOnly refuses a hold that is not theirs who ask.
	OwnOnly bool
	// Judged is the uid of the live hold that was judged before, empty if there was none; Verdict and Findings are the
	// judgement of that moment.
	Judged   string
	Verdict  Continuity
	Findings []string
}

// Release ends a hold, if it lives, and asks that the cluster go back to what the others ask for: with none left, also
// the pauses that somebody else made end, for which the anonymous hold need not live. It fails with a
// [*NotOwnerError], an [*UnavailableError], or with [ErrOvertaken] if the live hold is not the one that was judged.
func (l *Ledger) Release(ctx context.Context, req Releasing) (r Release, err error) {
	r.State, err = l.decide(ctx, func(s *State, now time.Time) (bool, error) {
		r.Ended = nil
		if req.OwnOnly {
			if err := s.CheckOwner(req.ID, req.By); err != nil {
				return false, err
			}
		}
		h, live := s.Find(req.ID)
		if h.UID != req.Judged {
			return false, ErrOvertaken
		}
		if live {
			h.Record = h.Record.found(req.Findings, req.Verdict == Broken)
			s.put(h)
		}
		var changed bool
		r.Now, changed = s.release(req.ID, Ended{At: now, How: Released, By: req.By, Continuity: req.Verdict})
		if last, known := s.Last(req.ID); known {
			r.Ended = &last
		}
		return changed, nil
	})
	return r, err
}

// Recant asks that every broker export, if no hold lives: a pause was asked of them that nobody wants any more.
func (l *Ledger) Recant(ctx context.Context) error {
	_, err := l.change(ctx, func(s *State, _ time.Time) (bool, error) { return s.resume(), nil })
	return err
}

// Force ends every hold and asks that every broker export. It never fails: where the ledger cannot be written recorded is
// false, the holds have ended for this ledger alone, and that is written as soon as it can be. Until then another call is told
// of all of them again.
func (l *Ledger) Force(ctx context.Context, by string) (ended []Ended, recorded bool) {
	as := Ended{How: Forced, By: by}
	_, err := l.change(ctx, func(s *State, now time.Time) (bool, error) {
		as.At = now
		ended = s.force(func(*Hold) bool { return true }, as)
		return true, nil
	})
	if err == nil {
		return ended, true
	}
	return l.forceUnrecorded(ctx, as), false
}

// forceUnrecorded ends every hold for this ledger alone, until that can be written.
func (l *Ledger) forceUnrecorded(ctx context.Context, as Ended) []Ended {
	l.mu.Lock()
	defer l.mu.Unlock()
	as.At = time.Now()
	s := l.state.clone()
	s.expire(as.At)
	ended := s.force(func(*Hold) bool { return true }, as)
	f := &forced{ctx: ctx, as: as}
	if l.forced != nil {
		f.uids = slices.Clone(l.forced.uids)
	}
	for _, e := range ended {
		f.uids = append(f.uids, e.Hold.UID)
	}
	l.forced = f
	l.notify()
	return ended
}

// Take begins a term: what was decided in an earlier one is not written any more. It fails with [ErrEarlierTerm] if a
// later one has begun.
func (l *Ledger) Take(ctx context.Context, term uint64, driver string) error {
	_, err := l.change(ctx, func(s *State, _ time.Time) (bool, error) {
		if s.Term > term {
			return false, ErrEarlierTerm
		}
		changed := s.Term != term || s.Driver != driver
		s.Term, s.Driver = term, driver
		return changed, nil
	})
	return err
}

// The rest is for the server that drives, in its term. It is not written, and fails with [ErrEarlierTerm], if a later one
// has begun.

// Tick writes what time alone has changed: holds that expired, and those that did not settle in time and are withdrawn.
func (l *Ledger) Tick(ctx context.Context, term uint64) error {
	return l.drive(ctx, term, func(s *State, now time.Time) bool { return s.overdue(now) })
}

// Refuse withdraws holds that a broker refused for good, by uid.
func (l *Ledger) Refuse(ctx context.Context, term uint64, uids map[string]Refusal, why string) error {
	return l.drive(ctx, term, func(s *State, now time.Time) bool {
		changed := false
		for uid, refusal := range uids {
			if h, live := s.FindUID(uid); live && h.Settled.IsZero() {
				s.withdraw(h, Ended{At: now, By: why, Refusal: &refusal})
				changed = true
			}
		}
		return changed
	})
}

// Settle records that holds settled, by uid, each with what is known of its continuity from the first.
func (l *Ledger) Settle(ctx context.Context, term uint64, records map[string]Continuous) error {
	return l.drive(ctx, term, func(s *State, now time.Time) bool { return s.settle(records, now) })
}

// Prove records that what a revision asked to be undone is. Unless it is done, which means that nobody has to look after it
// any more, it stays.
func (l *Ledger) Prove(ctx context.Context, term, revision uint64, done bool) error {
	l.proveForced(revision, done)
	return l.drive(ctx, term, func(s *State, now time.Time) bool {
		switch {
		case s.Undo == nil || s.Undo.Revision != revision || !done && !s.Undo.Proven.IsZero():
			return false
		case done:
			s.Undo = nil
		default:
			s.Undo.Proven = now
		}
		return true
	})
}

// proveForced is [Ledger.Prove] for a resume of everything that waits to be written.
func (l *Ledger) proveForced(revision uint64, done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	s, _ := l.effective(now)
	if l.forced == nil || s.Undo == nil || s.Undo.Revision != revision || !l.forced.proven.IsZero() && l.forced.done == done {
		return
	}
	if l.forced.proven.IsZero() {
		l.forced.proven = now
	}
	l.forced.done = done
	l.notify()
}

// Found is what came to light about a hold's continuity.
type Found struct {
	Baselines []Baseline
	Complete  bool // every partition has its baseline now
	Broken    []string
}

// Note records what came to light about the continuity of holds that have settled, by uid.
func (l *Ledger) Note(ctx context.Context, term uint64, found map[string]Found) error {
	return l.drive(ctx, term, func(s *State, _ time.Time) bool { return s.note(found) })
}

// Drop ends the anonymous hold because somebody resumed at the brokers, if the ledger is still what that was judged by.
// There is nothing to undo. It reports whether it did.
func (l *Ledger) Drop(ctx context.Context, term, revision uint64) (dropped bool, err error) {
	err = l.drive(ctx, term, func(s *State, now time.Time) bool {
		_, live := s.Find(Operator)
		if dropped = live && s.Revision == revision; dropped {
			s.end(Operator, Ended{At: now, How: ResumedElsewhere, By: "every replica was resumed at the brokers"})
		}
		return dropped
	})
	return dropped && err == nil, err
}

func (l *Ledger) drive(ctx context.Context, term uint64, step func(*State, time.Time) bool) error {
	_, err := l.change(ctx, func(s *State, now time.Time) (bool, error) {
		if s.Term > term {
			return false, ErrEarlierTerm
		}
		return step(s, now), nil
	})
	return err
}
