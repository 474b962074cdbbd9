package reconcile

import "time"

// Observer is told what happens when it happens, by whichever goroutine it happens in: its methods must return at once.
type Observer interface {
	// Event is something that happened to the holds or the cluster. Of several servers over one ledger each is told.
	Event(Event)
	// Passed tells that the loop has looked at, or driven, the cluster once, and how long that took.
	Passed(took time.Duration)
}

// nobody is told where nobody wants to know.
type nobody struct{}

// Event implements [Observer].
func (nobody) Event(Event) {}

// Passed implements [Observer].
func (nobody) Passed(time.Duration) {}
