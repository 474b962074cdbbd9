package hold

import (
	"context"
	"time"
)

// Stance is what is made of somebody who resumes every replica at the brokers although settled holds keep them paused.
type Stance string

const (
	// Judge is by the rules of whoever drives, when such a resume is seen.
	Judge Stance = ""
	// Insist is to undo it: somebody asked for a pause since every replica was last confirmed to show what the holds ask for.
	Insist Stance = "insist"
	// Leave is that one was seen and left alone: the holds are not enforced until somebody asks for a pause.
	Leave Stance = "leave"
)

// poised reports whether the rules can have made the stance.
func (s *State) poised() bool {
	return s.Stance == Judge || len(s.Holds) > 0 && (s.Stance == Insist || s.Stance == Leave)
}

// Stand changes the stance, if the ledger is still what that was judged by, and reports whether it did. It is for the server
// that drives, in its term, and fails with [ErrEarlierTerm] if a later one has begun, or with an [*UnavailableError].
func (l *Ledger) Stand(ctx context.Context, term, revision uint64, stance Stance) (changed bool, err error) {
	err = l.drive(ctx, term, func(s *State, _ time.Time) bool {
		changed = s.Revision == revision && s.stand(stance)
		return changed
	})
	return changed && err == nil, err
}

// stand takes a stance, and reports whether that is another. With nothing held there is none to take.
func (s *State) stand(stance Stance) bool {
	if s.Stance == stance || len(s.Holds) == 0 {
		return false
	}
	s.Stance = stance
	return true
}
