package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/exportgate/exportgate/server/internal/hold"
)

// MaxLine is how long a line can be, in bytes: two ledgers, as [hold.MaxRecord] bounds them, and what changed.
const MaxLine = 4 * hold.MaxRecord

// Lines reads a log line by line, or what of one went to standard error. A line that was cut short, as a crash leaves it, is
// left out. One that is whole and makes no sense is an error, after which reading goes on; one that is too long, or a reader
// that fails, is an error that ends it.
func Lines(log io.Reader) iter.Seq2[*Line, error] {
	return func(yield func(*Line, error) bool) {
		lines := bufio.NewScanner(log)
		lines.Buffer(nil, MaxLine)
		number := 0
		for lines.Scan() {
			number++
			data := bytes.TrimPrefix(lines.Bytes(), []byte(diverted))
			if !json.Valid(data) {
				continue
			}
			line := &Line{}
			err := json.Unmarshal(data, line)
			if err != nil {
				line, err = nil, fmt.Errorf("line %d of the audit log: %w", number, err)
			}
			if !yield(line, err) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(nil, fmt.Errorf("line %d of the audit log: %w", number+1, err))
		}
	}
}

// GapError is a change that no log has.
type GapError struct{ Revision uint64 }

// Error names the first and the way out.
func (e *GapError) Error() string {
	return fmt.Sprintf("no log tells how the ledger came to revision %d: add the logs of all servers over it, and the lines that went to "+
		"standard error", e.Revision)
}

// Replay returns the ledger that the changes in logs lead to: those of one server in several files, or those of several
// servers over one ledger, in any order. It begins at the first change that has its base, and where a change is missing, at
// the next one. It fails with a [*GapError] if there is none, and if the changes before one that has its base lead to another.
func Replay(logs ...io.Reader) (hold.State, error) {
	var changes []*LedgerChange
	for _, log := range logs {
		for line, err := range Lines(log) {
			switch {
			case err != nil:
				return hold.State{}, err
			case line.Change != nil:
				changes = append(changes, line.Change)
			}
		}
	}
	slices.SortStableFunc(changes, func(a, b *LedgerChange) int {
		return cmp.Or(cmp.Compare(a.After, b.After), cmp.Compare(a.doubt(), b.doubt()))
	})
	return replay(changes)
}

// doubt orders the changes that lead to one revision: what a ledger was found to be can be compared with what led there, and
// decides what nobody can tell.
func (c *LedgerChange) doubt() int {
	switch {
	case c.Uncertain:
		return 2
	case c.found():
		return 1
	}
	return 0
}

// found reports whether it is a ledger that was found.
func (c *LedgerChange) found() bool { return c.Before == c.After && c.Base != nil }

// replay applies changes, which are in the order of their revisions.
func replay(changes []*LedgerChange) (hold.State, error) {
	var state hold.State
	var gap *GapError
	for _, change := range changes {
		switch {
		case change.found():
			if err := rebase(&state, change); err != nil {
				return hold.State{}, err
			}
			gap = nil
			continue
		case change.After != change.Before+1 || change.After == 0:
			return hold.State{}, fmt.Errorf("a change from revision %d to %d is none of a ledger", change.Before, change.After)
		case change.After == state.Revision:
			continue // It is in two files, or another server's line is certain.
		case change.Base != nil:
			if err := rebase(&state, change); err != nil {
				return hold.State{}, err
			}
			gap = nil
		case change.Before != state.Revision:
			if gap == nil {
				gap = &GapError{state.Revision + 1}
			}
			continue
		}
		if err := change.apply(&state); err != nil {
			return hold.State{}, err
		}
	}
	if gap != nil {
		return state, gap
	}
	return state, nil
}

// rebase begins anew with a change. What the changes before it led to must be the same, if none is missing.
func rebase(state *hold.State, change *LedgerChange) error {
	if change.Base.Revision != change.Before {
		return fmt.Errorf("a change of revision %d begins with the ledger of revision %d", change.Before, change.Base.Revision)
	}
	if state.Revision == change.Before && state.Revision != 0 {
		was, err := json.Marshal(state)
		is, other := json.Marshal(change.Base)
		if err := errors.Join(err, other); err != nil {
			return fmt.Errorf("compare revision %d of the ledger: %w", change.Before, err)
		}
		if !bytes.Equal(was, is) {
			return fmt.Errorf("the changes up to revision %d do not lead to the ledger that it had: the log was changed, or it is of several "+
				"ledgers", change.Before)
		}
	}
	*state = *change.Base
	return nil
}

// apply makes a state the one after the change.
func (c *LedgerChange) apply(s *hold.State) error {
	for _, uid := range c.Forgotten {
		s.History = slices.DeleteFunc(s.History, func(e hold.Ended) bool { return e.Hold.UID == uid })
		s.Holds = slices.DeleteFunc(s.Holds, func(h hold.Hold) bool { return h.UID == uid })
	}
	for i := range c.Ended {
		e, err := c.Ended[i].remembered()
		if err != nil {
			return fmt.Errorf("revision %d of the ledger: %w", c.After, err)
		}
		s.Holds = slices.DeleteFunc(s.Holds, func(h hold.Hold) bool { return h.UID == e.Hold.UID })
		s.History = append(s.History, e)
	}
	for i := range c.Holds {
		h := c.Holds[i].Hold
		s.Holds = slices.DeleteFunc(s.Holds, func(old hold.Hold) bool { return old.ID == h.ID })
		s.Holds = append(s.Holds, h)
	}
	slices.SortFunc(s.Holds, func(a, b hold.Hold) int { return cmp.Compare(a.ID, b.ID) })
	s.Revision, s.Stance, s.Undo, s.Term, s.Driver = c.After, c.Stance, c.Undo, c.Term, c.Driver
	if c.Cluster != nil {
		s.Cluster = *c.Cluster
	}
	return nil
}

// remembered is a hold that has ended as the ledger has it.
func (e *HoldEnded) remembered() (hold.Ended, error) {
	ended := hold.Ended{Hold: e.Hold, At: e.At, By: e.By, Refusal: e.Refusal}
	for how := hold.Released; how.String() != hold.End(0).String(); how++ {
		if how.String() == e.How {
			ended.How = how
		}
	}
	known := false
	for c := hold.Pending; c <= hold.Unknown; c++ {
		if c.String() == e.Continuity {
			ended.Continuity, known = c, true
		}
	}
	if ended.How == 0 || !known {
		return hold.Ended{}, fmt.Errorf("hold %q has ended %q with continuity %q, which are no words of the ledger", e.Hold.ID, e.How, e.Continuity)
	}
	return ended, nil
}
