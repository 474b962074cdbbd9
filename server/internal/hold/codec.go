package hold

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// format of what [encode] writes. A program reads its own and all lower ones.
const format = 1

// envelope is around a state in a record: what it takes to know that it is whole, and for us.
type envelope struct {
	Format int             `json:"format"`
	Sum    string          `json:"sum"` // of State, to find what a disk or an editor changed
	State  json.RawMessage `json:"state"`
}

func encode(s *State) (Record, error) {
	state, err := json.Marshal(s)
	if err != nil {
		return Record{}, fmt.Errorf("encode the ledger: %w", err)
	}
	data, err := json.Marshal(envelope{format, sum(state), state})
	if err != nil {
		return Record{}, fmt.Errorf("encode the ledger: %w", err)
	}
	if len(data) > MaxRecord {
		return Record{}, &TooManyError{MaxHolds}
	}
	return Record{s.Revision, data}, nil
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
	case e.Format > format:
		return State{}, fmt.Errorf("a newer exportgate wrote it (format %d, this one reads up to %d): run that one", e.Format, format)
	case e.Format < 1, e.Sum != sum(e.State):
		return State{}, errors.New("it is damaged: its checksum is wrong; " + cure)
	}
	var s State
	if err := json.Unmarshal(e.State, &s); err != nil {
		return State{}, fmt.Errorf("it is damaged: %w; %s", err, cure)
	}
	switch {
	case s.Revision != r.Revision:
		return State{}, fmt.Errorf("it is damaged: it says revision %d where the store says %d; %s", s.Revision, r.Revision, cure)
	case slices.ContainsFunc(s.Holds, func(h Hold) bool { return !valid(&h) }):
		return State{}, errors.New("it is damaged: a hold makes no sense; " + cure)
	}
	slices.SortFunc(s.Holds, func(a, b Hold) int { return cmp.Compare(a.ID, b.ID) })
	return s, nil
}

const cure = "restore it, or move it away and start without holds: brokers stay as they are until somebody resumes"

func valid(h *Hold) bool {
	return h.ID != "" && h.UID != "" && asksFor(h.Phase)
}

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:8])
}
