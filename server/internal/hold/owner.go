package hold

import "fmt"

// NotOwnerError refuses to touch a hold that is another's, or to tell how it ended. Nothing was changed.
type NotOwnerError struct {
	// Hold is what was asked for: an id, or a uid.
	Hold string
}

// Error names what was asked for, and who could.
func (e *NotOwnerError) Error() string {
	return fmt.Sprintf("hold %q is another's: whoever placed it, or an operator, may renew, replace or release it", e.Hold)
}

// CheckOwner refuses an id where its live hold, or else the last of it that ended, is not an owner's: what became of
// another's hold is not told either. The anonymous hold is nobody's own.
func (s *State) CheckOwner(id, owner string) error {
	h, live := s.Find(id)
	if e, known := s.Last(id); !live && known {
		h = e.Hold
	}
	if id == Operator || h.UID != "" && h.Owner != owner {
		return &NotOwnerError{id}
	}
	return nil
}

// CheckOwnerUID is [State.CheckOwner] by uid.
func (s *State) CheckOwnerUID(uid, owner string) error {
	h, live := s.FindUID(uid)
	if e, known := s.LastUID(uid); !live && known {
		h = e.Hold
	}
	if h.UID != "" && (h.ID == Operator || h.Owner != owner) {
		return &NotOwnerError{uid}
	}
	return nil
}

// CheckPlacer refuses an id that an owner may not place: one that is another's while that lives.
func (s *State) CheckPlacer(id, owner string) error {
	if _, live := s.Find(id); live || id == Operator {
		return s.CheckOwner(id, owner)
	}
	return nil
}
