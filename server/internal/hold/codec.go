package hold

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// Format of what is stored. A program reads its own and all lower ones.
const Format = 1

// envelope is around a state in a record: what it takes to know that it is whole, and for us.
type envelope struct {
	Format int             `json:"format"`
	Sum    string          `json:"sum"` // of State, to find what a disk or an editor changed
	State  json.RawMessage `json:"state"`
}

// encode fails with a [*TooManyError] where the state is too large for a record.
func encode(s *State) (Record, error) {
	state, err := json.Marshal(s)
	if err != nil {
		return Record{}, fmt.Errorf("encode the ledger: %w", err)
	}
	data, err := json.Marshal(envelope{Format, sum(state), state})
	if err != nil {
		return Record{}, fmt.Errorf("encode the ledger: %w", err)
	}
	if len(data) > MaxRecord {
		return Record{}, &TooManyError{MaxHolds}
	}
	return Record{s.Revision, data}, nil
}

// fit encodes a state. Where it is too large it forgets history, the older half each time: what ended must not keep what
// lives from being written, nor from ending.
func fit(s *State) (Record, error) {
	for {
		record, err := encode(s)
		if _, large := errors.AsType[*TooManyError](err); !large || len(s.History) == 0 {
			return record, err
		}
		s.History = s.History[(len(s.History)+1)/2:]
	}
}

// decode reads a record that a store returned. The zero record is the zero state. Its errors say what is wrong, for a
// [DamagedError].
func decode(r Record) (State, error) {
	if r.Revision == 0 && len(r.Data) == 0 {
		return State{}, nil
	}
	var e envelope
	if err := json.Unmarshal(r.Data, &e); err != nil {
		return State{}, fmt.Errorf("it is damaged: %w; %s", err, cure)
	}
	switch {
	case e.Format > Format:
		return State{}, fmt.Errorf("a newer exportgate wrote it (format %d, this one reads up to %d): run that one", e.Format, Format)
	case e.Format < 1, e.Sum != sum(e.State):
		return State{}, errors.New("it is damaged: its checksum is wrong; " + cure)
	}
	var s State
	if err := json.Unmarshal(e.State, &s); err != nil {
		return State{}, fmt.Errorf("it is damaged: %w; %s", err, cure)
	}
	slices.SortFunc(s.Holds, func(a, b Hold) int { return cmp.Compare(a.ID, b.ID) })
	switch {
	case s.Revision != r.Revision:
		return State{}, fmt.Errorf("it is damaged: it says revision %d where the store says %d; %s", s.Revision, r.Revision, cure)
	case !s.sound():
		return State{}, errors.New("it is damaged: a hold makes no sense; " + cure)
	}
	return s, nil
}

const cure = "move it away to start without holds: brokers stay as they are until somebody resumes, and a copy of earlier would bring back holds that were released"

// sound reports whether the rules can have made a state, as far as the types do not say so already.
func (s *State) sound() bool {
	for i := range s.Holds {
		if !s.Holds[i].sound() || i > 0 && s.Holds[i].ID == s.Holds[i-1].ID {
			return false
		}
	}
	for i := range s.History {
		if !s.History[i].Hold.sound() {
			return false
		}
	}
	return s.poised() && (s.Undo == nil || s.Undo.Restore.sound())
}

func (h *Hold) sound() bool {
	return h.ID != "" && h.UID != "" && h.Phase.Paused() && h.Restore.sound() && (h.Replaced == nil || h.Replaced.sound())
}

func (p Phases) sound() bool {
	for _, phase := range p {
		if !phase.Settable() {
			return false
		}
	}
	return true
}

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:8])
}

// MarshalJSON writes pairs of a partition and its position, by tenant: with a hundred holds on hundreds of partitions they
// are most of what there is to write.
func (b Baselines) MarshalJSON() ([]byte, error) {
	pairs := map[string][][2]int64{}
	for _, baseline := range b {
		pairs[baseline.Tenant] = append(pairs[baseline.Tenant], [2]int64{int64(baseline.Partition), baseline.Position})
	}
	return json.Marshal(pairs)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (b *Baselines) UnmarshalJSON(data []byte) error {
	var pairs map[string][][2]int64
	if err := json.Unmarshal(data, &pairs); err != nil {
		return err
	}
	*b = nil
	for tenant, partitions := range pairs {
		for _, p := range partitions {
			if int64(int32(p[0])) != p[0] { //nolint:gosec // That it may not fit is the question.
				return fmt.Errorf("%d is not a partition", p[0])
			}
			*b = append(*b, NewBaseline(exporting.PartitionID{Tenant: tenant, ID: int32(p[0])}, p[1])) //nolint:gosec // It fits.
		}
	}
	slices.SortFunc(*b, CompareBaselines)
	return nil
}
