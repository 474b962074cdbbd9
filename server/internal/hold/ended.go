package hold

import (
	"slices"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// How holds end.
const (
	// Released by name, or by a plain resume where it is the anonymous one.
	Released End = iota + 1
	// Expired: its time was over.
	Expired
	// Forced: a resume of everything ended it.
	Forced
	// Withdrawn: it could not settle.
	Withdrawn
	// Replaced: a pause under its name asked for another phase.
	Replaced
	// ResumedElsewhere: somebody resumed at the brokers, which ends the anonymous hold.
	ResumedElsewhere
	// Guarded: a broker was about to run out of disk.
	Guarded
)

// End is how a hold ended.
type End uint8

// String is a word for people.
func (e End) String() string {
	switch e {
	case Released:
		return "released"
	case Expired:
		return "expired"
	case Forced:
		return "ended by force"
	case Withdrawn:
		return "withdrawn"
	case Replaced:
		return "replaced"
	case ResumedElsewhere:
		return "resumed at the brokers"
	case Guarded:
		return "ended by the disk guard"
	}
	return "ended"
}

// Ended is a hold that has ended, as it was then.
type Ended struct {
	Hold Hold `json:"hold"`
	// At is when it ended; for one that expired that is when it was due, however late that was noticed.
	At time.Time `json:"at"`
	// How it ended, and By whom or what, in words.
	How End    `json:"how"`
	By  string `json:"by,omitempty"`
	// Continuity is the verdict at the end.
	Continuity Continuity `json:"continuity,omitempty"`
	// Refusal is why it was withdrawn before its deadline, nil if it was not.
	Refusal *Refusal `json:"refusal,omitempty"`
}

// Refusal is a broker's final no.
type Refusal struct {
	// Unsafe brokers would have had PAUSED written over SOFT_PAUSED; Unsupported ones do not know the soft pause.
	Unsafe      []exporting.BrokerID `json:"unsafe,omitempty"`
	Unsupported []exporting.BrokerID `json:"unsupported,omitempty"`
	Version     string               `json:"version,omitempty"`
}

// The bounds of the history: long enough that a script's retry, and the person who is called because of it, find their
// hold.
const (
	maxHistory = 200
	maxAge     = 30 * 24 * time.Hour
)

// Last returns the last hold of an id that ended.
func (s *State) Last(id string) (Ended, bool) {
	return s.last(func(h *Hold) bool { return h.ID == id })
}

// LastUID returns the hold of a uid that ended.
func (s *State) LastUID(uid string) (Ended, bool) {
	return s.last(func(h *Hold) bool { return h.UID == uid })
}

func (s *State) last(is func(*Hold) bool) (Ended, bool) {
	for _, e := range slices.Backward(s.History) {
		if is(&e.Hold) {
			return e, true
		}
	}
	return Ended{}, false
}

// end moves a live hold into the history. What only a live hold needs is dropped. The verdict is the record's, unless
// that of the moment is Unknown.
func (s *State) end(id string, e Ended) Ended {
	h, _ := s.Find(id)
	if e.Continuity != Unknown || h.Record.Broken {
		e.Continuity = h.Record.Verdict()
	}
	h.Restore, h.Replaced, h.Deadline, h.Record.Baselines = nil, nil, time.Time{}, nil
	e.Hold = h
	if s.remove(id); len(s.Holds) == 0 {
		s.Stance = Judge
	}
	s.History = append(s.History, e)
	return e
}

// trim forgets what is too old, and the oldest of what is too much.
func (s *State) trim(now time.Time) {
	s.History = slices.DeleteFunc(s.History, func(e Ended) bool { return now.Sub(e.At) > maxAge })
	if surplus := len(s.History) - maxHistory; surplus > 0 {
		s.History = slices.Delete(s.History, 0, surplus)
	}
}
