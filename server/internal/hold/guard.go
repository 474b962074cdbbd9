package hold

import (
	"context"
	"errors"
	"time"
)

// Guard ends every hold because a broker's disk runs full, and asks that every broker export, pauses that somebody else
// made included. why, in words, is who ended the holds and what broke them: nobody may take what was done under them for
// whole. It returns the holds that it ended.
//
// It fails with [ErrEarlierTerm] if another server drives, or when its context ends. Otherwise it never fails, as
// [Ledger.Force] does not: where the ledger cannot be written recorded is false, the holds have ended for this ledger
// alone, and that is written as soon as it can be. Where it cannot be read either nobody knows who drives, and the term
// does not count. Done again, it changes nothing as long as the resume is not proven.
func (l *Ledger) Guard(ctx context.Context, term uint64, why string) (ended []Ended, recorded bool, err error) {
	as := Ended{How: Guarded, By: why}
	_, err = l.change(ctx, func(s *State, now time.Time) (bool, error) {
		if s.Term > term {
			return false, ErrEarlierTerm
		}
		as.At = now
		undo := s.Undo
		ended = s.force(func(*Hold) bool { return true }, as)
		return len(ended) > 0 || s.Undo != undo, nil
	})
	switch {
	case err == nil:
		return ended, true, nil
	case errors.Is(err, ErrEarlierTerm) && !l.Lost(), ctx.Err() != nil:
		return nil, false, err
	}
	return l.forceUnrecorded(ctx, as), false, nil
}
