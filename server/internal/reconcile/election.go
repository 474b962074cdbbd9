package reconcile

import (
	"time"

	"github.com/exportgate/exportgate/server/internal/hold"
)

// Election decides which of several servers over one ledger drives the brokers. It goes on by itself; its methods may be
// called by many goroutines at once and never wait.
type Election interface {
	// Term is the term that this server drives in now, and true; or false if another drives, or nobody knows who does. The
	// channel is closed when the answer changes.
	Term() (Term, bool, <-chan struct{})

	// Warnings are what an operator should know of the other servers, such as clocks that differ; mostly none.
	Warnings() []string
}

// Term is a time in which one server drives.
type Term struct {
	// ID is higher in every later term, whoever's.
	ID uint64
	// Driver is this server's name, for people.
	Driver string
	// Until tells when the term ends unless it is prolonged once more: nothing may be on its way to the brokers then. It
	// is counted by the monotonic clock from when the last prolongation was asked for. The zero time means never.
	Until func() time.Time
}

// Until tells a fan-out when it has to leave the brokers alone (see exporting.Options): when the term ends, or has
// ended. A resume of everything that cannot be written needs no term: it is what helps where none can be had. Nil, which
// is never, where there is no election.
func Until(e Election, l *hold.Ledger) func() time.Time {
	if e == nil {
		return nil
	}
	return func() time.Time {
		if l.Forced() {
			return time.Time{}
		}
		term, driving, _ := e.Term()
		if !driving {
			return time.Now()
		}
		return term.Until()
	}
}
