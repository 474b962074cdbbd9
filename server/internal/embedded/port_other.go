//go:build !unix

package embedded

// portReservation does nothing here: a stopped broker's port may be taken by others.
type portReservation struct{}

func (portReservation) reserve(string) error { return nil }
func (portReservation) release()             {}
