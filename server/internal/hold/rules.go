package hold

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// Placing asks for a hold.
type Placing struct {
	ID            string
	Phase         exporting.Phase // SOFT_PAUSED or PAUSED
	Owner, Reason string
	// OwnOnly refuses to renew or replace a hold that is not the owner's, and to place one where only operators may.
	OwnOnly bool
	// TTL is how long it lives from now on; 0 is for ever.
	TTL time.Duration
	// Deadline is when it is withdrawn unless it has settled; zero keeps it.
	Deadline time.Time
	// Restore is the phase that each broker was read in before; nil if nothing was read, because it was to be a renewal.
	Restore Phases
	// Foreign is the pause that every replica was read in before although no hold asked for it; else EXPORTING.
	Foreign exporting.Phase
	// Held is the target that the cluster was judged for: with another by now it has to be judged again.
	Held exporting.Phase
}

// ErrOvertaken refuses a hold because the holds changed since the cluster was judged: it has to be judged again.
var ErrOvertaken = errors.New("the holds changed meanwhile")

// TooManyError refuses a hold where there are [MaxHolds], or for who may touch only its own a few less, or the ledger would be too large for its store.
type TooManyError struct{ Limit int }

// Error names the limit and the way out.
func (e *TooManyError) Error() string {
	return fmt.Sprintf("there are as many live holds as the ledger takes (at most %d): release some first", e.Limit)
}

// place places a hold, or renews the live one of the same id and phase. A live hold of another phase is replaced. What was
// to be undone is forgotten, unless the hold is renewed: a new hold has the word. Either way somebody wants a pause now,
// whoever resumed at the brokers before: a hold that has yet to settle is driven for anyhow, for another that must be said.
func (s *State) place(p Placing, now time.Time) (placed Hold, renewed bool, err error) {
	if p.OwnOnly {
		if err := s.CheckPlacer(p.ID, p.Owner); err != nil {
			return Hold{}, false, err
		}
	}
	old, live := s.Find(p.ID)
	if live && old.Phase == p.Phase {
		if !old.Settled.IsZero() {
			s.Stance = Insist
		}
		return s.renew(old, p, now), true, nil
	}
	switch {
	case p.Restore == nil, s.Target() != p.Held:
		return Hold{}, false, ErrOvertaken
	case len(s.Holds) >= p.most() && !live:
		return Hold{}, false, &TooManyError{p.most()}
	}
	h := Hold{
		ID: p.ID, UID: rand.Text(), Phase: p.Phase, Owner: p.Owner, Reason: p.Reason, Created: now, Asked: now, Expires: expiry(now, p.TTL),
		Deadline: p.Deadline, Restore: s.restore(p.Restore),
	}
	if live {
		h.Replaced = old.toReturn()
		s.end(old.ID, Ended{At: now, How: Replaced, By: p.Owner})
	}
	if len(s.Holds) == 0 && s.Undo == nil && !live && p.ID != Operator && p.Foreign.Paused() {
		s.put(Hold{
			ID: Operator, UID: rand.Text(), Phase: p.Foreign, Owner: Foreign, Created: now, Settled: now,
			Reason: "exporting was paused at the brokers before the first named hold",
		})
	}
	s.Undo = nil
	if s.Stance == Leave {
		s.Stance = Judge
	}
	s.put(h)
	return h, false, nil
}

// forOperators is how many of the holds are for those who may touch others' alone: a script that places one after another must
// not keep from pausing whoever is called because of it.
const forOperators = 10

// most is how many holds may live for one more to be placed.
func (p *Placing) most() int {
	if p.OwnOnly {
		return MaxHolds - forOperators
	}
	return MaxHolds
}

// toReturn is what lives again if the hold that replaces this one is withdrawn: this one, unless it was to be withdrawn
// itself.
func (h *Hold) toReturn() *Hold {
	if !h.Deadline.IsZero() {
		return h.Replaced
	}
	old := *h
	old.Replaced = nil
	return &old
}

// renew extends a live hold. It never shortens it, and never lets it be withdrawn where it would not have been.
func (s *State) renew(h Hold, p Placing, now time.Time) Hold {
	expires := expiry(now, p.TTL)
	if expires.IsZero() || !h.Expires.IsZero() && expires.After(h.Expires) {
		h.Expires = expires
	}
	h.Asked, h.Reason = now, cmp.Or(p.Reason, h.Reason)
	switch {
	case p.Deadline.IsZero():
		h.Deadline = time.Time{}
	case !h.Deadline.IsZero() && p.Deadline.After(h.Deadline):
		h.Deadline = p.Deadline
	}
	s.put(h)
	return h
}

// extend is what a renewal by uid does: it prolongs, and changes nothing else.
func (s *State) extend(h Hold, ttl time.Duration, now time.Time) Hold {
	return s.renew(h, Placing{TTL: ttl, Deadline: h.Deadline}, now)
}

func expiry(now time.Time, ttl time.Duration) time.Time {
	if ttl == 0 {
		return time.Time{}
	}
	return now.Add(ttl).Round(0) // It is compared with other clocks.
}

// restore is what a pause that fails goes back to, when no other hold asks for more then: the phases that brokers were
// read in before it. But a pause that is to be undone, or that a hold asks for, must not become the state to go back to:
// where there is one, it is what was there before that, or EXPORTING.
func (s *State) restore(read Phases) Phases {
	restore := maps.Clone(read)
	if s.Undo == nil && len(s.Holds) == 0 {
		return restore
	}
	var before Phases
	if s.Undo != nil {
		before = s.Undo.Restore
	}
	for i := range s.Holds {
		if s.Holds[i].Restore != nil {
			before = s.Holds[i].Restore
		}
	}
	for id := range restore {
		restore[id] = cmp.Or(before[id], exporting.PhaseExporting)
	}
	return restore
}

// release ends a live hold. With no hold left it asks that every broker export, pauses that somebody else made included;
// the anonymous one need not live for that. It reports whether anything changed.
func (s *State) release(id string, e Ended) (ended, changed bool) {
	if _, live := s.Find(id); live {
		s.end(id, e)
		s.resume()
		return true, true
	}
	return false, id == Operator && s.resume()
}

// resume asks that every broker export, if there is no hold and that is not asked for yet, and reports whether it did.
func (s *State) resume() bool {
	if len(s.Holds) > 0 || s.Undo != nil && s.Undo.Restore == nil && s.Undo.Proven.IsZero() {
		return false
	}
	s.Undo = &Undo{Revision: s.Revision + 1}
	return true
}

// force ends the holds that are chosen, in a way that is the same for all, and asks that every broker export if none is
// left. Nobody asked the disk guard to: what it ends is broken by that.
func (s *State) force(chosen func(*Hold) bool, as Ended) []Ended {
	var ended []Ended
	for _, h := range slices.Clone(s.Holds) {
		if !chosen(&h) {
			continue
		}
		if as.How == Guarded {
			h.Record = h.Record.found([]string{as.By}, true)
			s.put(h)
		}
		ended = append(ended, s.end(h.ID, as))
	}
	s.resume()
	return ended
}

// expire ends the holds whose time is over.
func (s *State) expire(now time.Time) {
	expired := false
	for _, h := range slices.Clone(s.Holds) {
		if !h.Live(now) {
			s.end(h.ID, Ended{At: h.Expires, How: Expired, By: "its time was over"})
			expired = true
		}
	}
	if expired {
		s.resume()
	}
}

// overdue withdraws the holds that did not settle in time, and reports whether there were any.
func (s *State) overdue(now time.Time) bool {
	late := false
	for _, h := range slices.Clone(s.Holds) {
		if h.Settled.IsZero() && !h.Deadline.IsZero() && !now.Before(h.Deadline) {
			s.withdraw(h, Ended{At: now, By: "it did not settle in time"})
			late = true
		}
	}
	return late
}

// withdraw undoes a placing: the hold that it replaced lives again, if its time is not over, and brokers go back to the
// phases that they were read in before.
func (s *State) withdraw(h Hold, e Ended) {
	e.How = Withdrawn
	s.end(h.ID, e)
	if h.Replaced != nil && h.Replaced.Live(e.At) {
		old := *h.Replaced
		if h.Phase < old.Phase && !old.Settled.IsZero() { // Nobody watched it meanwhile, and brokers were asked for less.
			old.Record = old.Record.found([]string{fmt.Sprintf("a pause under its name asked for %s instead, and was withdrawn", h.Phase)}, true)
		}
		s.put(old)
		s.History = slices.DeleteFunc(s.History, func(e Ended) bool { return e.Hold.UID == old.UID })
	}
	s.Undo = &Undo{Revision: s.Revision + 1, Restore: h.Restore}
}

// settle records that holds settled, each with what is known of its continuity from the first.
func (s *State) settle(records map[string]Continuous, now time.Time) bool {
	return s.update(func(h *Hold) bool {
		record, ok := records[h.UID]
		if !ok || !h.Settled.IsZero() {
			return false
		}
		h.Settled, h.Deadline, h.Restore, h.Replaced, h.Record = now, time.Time{}, nil, nil, record
		return true
	})
}

// note records what came to light about holds that have settled; before that there is nothing to keep.
func (s *State) note(found map[string]Found) bool {
	return s.update(func(h *Hold) bool {
		f, ok := found[h.UID]
		if !ok || h.Settled.IsZero() {
			return false
		}
		h.Record = h.Record.with(f.Baselines, f.Complete)
		h.Record = h.Record.found(f.Broken, len(f.Broken) > 0)
		return true
	})
}

// update changes live holds one by one, and reports whether any was changed.
func (s *State) update(change func(*Hold) bool) bool {
	changed := false
	for i := range s.Holds {
		changed = change(&s.Holds[i]) || changed
	}
	return changed
}

func (s *State) put(h Hold) {
	s.remove(h.ID)
	s.Holds = append(s.Holds, h)
	slices.SortFunc(s.Holds, func(a, b Hold) int { return cmp.Compare(a.ID, b.ID) })
}

func (s *State) remove(id string) {
	s.Holds = slices.DeleteFunc(s.Holds, func(h Hold) bool { return h.ID == id })
}
