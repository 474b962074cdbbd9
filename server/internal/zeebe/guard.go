package zeebe

import (
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// freshFor is how long a read speaks for the guard. A soft pause that somebody else makes within it goes unseen, so it
// is short; it is longer than the time between the read that makes the core write and that write.
const freshFor = 10 * time.Second

// guard decides whether PAUSED may be written to one broker below 8.10: written over SOFT_PAUSED it ruins the broker's
// pause file, and the partition does not start again (zeebe-facts.md 3.5 f). Changes are queued by the broker, so what
// it shows is not all that counts: a soft pause may be on its way.
type guard struct {
	readAt time.Time // when the last read ended; zero if it failed
	soft   bool      // that read showed SOFT_PAUSED, or a phase that is not known
	// pending reports that a soft pause of ours was sent and may not be over. It is over when a resume was taken after it
	// (the broker keeps their order) and every replica was read EXPORTING since.
	pending bool
	resumed time.Time // when that resume was taken; zero if none was
}

// verdict is what the guard says of a hard pause.
type verdict uint8

const (
	safe   verdict = iota
	unsafe         // a replica is, or may be, softly paused
	unread         // nobody knows: read first
)

// hardPause says whether PAUSED may be written now.
func (g *guard) hardPause(now time.Time) verdict {
	switch {
	case !g.isRead() || now.Sub(g.readAt) > freshFor:
		return unread
	case g.soft || g.pending:
		return unsafe
	}
	return safe
}

// isRead reports whether the last read succeeded.
func (g *guard) isRead() bool { return !g.readAt.IsZero() }

// unread notes a read that failed: what an earlier one showed does not count any more.
func (g *guard) unread() { g.readAt = time.Time{} }

// showed notes a read that succeeded.
func (g *guard) showed(readings []exporting.Reading, began, ended time.Time) {
	g.readAt, g.soft = ended, false
	exports := true
	for _, r := range readings {
		if r.Phase == exporting.PhaseSoftPaused || r.Phase == exporting.PhaseUnknown {
			g.soft = true
		}
		if r.Phase != exporting.PhaseExporting && !r.NoExporters {
			exports = false
		}
	}
	if exports && !g.resumed.IsZero() && began.After(g.resumed) {
		g.pending, g.resumed = false, time.Time{}
	}
}

// wrote notes a write that the broker may have taken, and whether it certainly has.
func (g *guard) wrote(phase exporting.Phase, taken bool, now time.Time) {
	switch {
	case phase == exporting.PhaseSoftPaused:
		g.pending, g.resumed = true, time.Time{}
	case phase == exporting.PhaseExporting && taken && g.pending:
		g.resumed = now
	}
}
