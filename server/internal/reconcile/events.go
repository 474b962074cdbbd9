package reconcile

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/exportgate/exportgate/server/internal/hold"
)

// EventKind is what kind of thing happened.
type EventKind uint8

// The kinds. There is no zero value.
const (
	EventHoldPlaced EventKind = iota + 1
	EventHoldSettled
	EventHoldEnded
	EventHoldBroken
	EventNotSettled // a call did not settle in time
	EventResumed    // with no hold to release
	EventForeign    // somebody paused or resumed at the brokers
	EventRepaused   // replicas show less than the holds ask for
	EventReplica    // a change under a hold that breaks nothing
	EventBroker     // a broker stopped or began to answer
	EventStore      // the ledger was lost or is back, or another server drives
	EventDisk       // a broker's disk runs full under a pause, cannot be measured, or has room again
)

// String is the kind in one word of lower-case letters and dashes, as metrics and the audit log have it.
func (k EventKind) String() string {
	switch k {
	case EventHoldPlaced:
		return "hold-placed"
	case EventHoldSettled:
		return "hold-settled"
	case EventHoldEnded:
		return "hold-ended"
	case EventHoldBroken:
		return "hold-broken"
	case EventNotSettled:
		return "not-settled"
	case EventResumed:
		return "resumed"
	case EventForeign:
		return "foreign"
	case EventRepaused:
		return "repaused"
	case EventReplica:
		return "replica"
	case EventBroker:
		return "broker"
	case EventStore:
		return "store"
	case EventDisk:
		return "disk"
	}
	return "other"
}

// Event is something that happened to the holds or the cluster.
type Event struct {
	Time    time.Time
	Kind    EventKind
	Message string
	Hold    string // the hold that it happened to; empty if none
	// Took is how long after it was placed a hold has settled; End is how a hold ended. Each is zero in other events.
	Took time.Duration
	End  hold.End
}

// maxEvents is how many events are kept.
const maxEvents = 100

// journal keeps the last events, each with a number.
type journal struct {
	instance string // of this server, so that another's numbers are not taken for its own

	mu     sync.Mutex
	first  uint64 // the number of the first that is kept
	events []Event
}

func newJournal() *journal { return &journal{instance: rand.Text()[:8], first: 1} }

func (j *journal) add(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
	if surplus := len(j.events) - maxEvents; surplus > 0 {
		j.first += uint64(surplus)
		j.events = slices.Clone(j.events[surplus:])
	}
}

// since returns the events after a cursor, whether some between are lost, and the cursor after the last. With an empty
// cursor it begins at the first that is kept, and none counts as lost.
func (j *journal) since(cursor string) (events []Event, missed bool, next string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	end := j.first + uint64(len(j.events))
	next = j.instance + "." + strconv.FormatUint(end, 10)
	from := j.first
	if cursor != "" {
		number, ours := strings.CutPrefix(cursor, j.instance+".")
		at, err := strconv.ParseUint(number, 10, 64)
		if missed = !ours || err != nil || at < j.first || at > end; !missed {
			from = at
		}
	}
	return slices.Clone(j.events[from-j.first:]), missed, next
}

// event logs something and keeps it for the status.
func (r *Reconciler) event(kind EventKind, id, format string, args ...any) {
	r.happened(Event{Kind: kind, Message: fmt.Sprintf(format, args...), Hold: id})
}

// happened is [Reconciler.event] of one that is made already; it happens now.
func (r *Reconciler) happened(e Event) {
	e.Time = time.Now()
	level := slog.LevelInfo
	if e.Kind == EventHoldBroken || e.Kind == EventNotSettled || e.Kind == EventDisk {
		level = slog.LevelWarn
	}
	r.log.LogAttrs(r.base, level, "exporting changed", slog.String("event", e.Message), slog.String("hold", e.Hold))
	r.opts.Observer.Event(e)
	r.journal.add(e)
	r.changed()
}

// recall takes over what was written last, before this server began. What has expired since is news, once it is told.
func (r *Reconciler) recall() {
	state := r.opts.Ledger.Recorded()
	r.adopt(&state, time.Now())
	if r.opts.Election == nil { // What is written from now on is asked for here, and no reason to doubt.
		r.suspect(&state)
	}
	for i := range state.Holds {
		r.log.LogAttrs(r.base, slog.LevelInfo, "a hold is live", slog.String("hold", describe(&state.Holds[i])),
			slog.String("owner", state.Holds[i].Owner), slog.String("expires", lifetime(&state.Holds[i])))
	}
}

// tell takes over what the ledger says, makes events of what is new in it, whoever wrote it, and returns it with the
// channel of [hold.Ledger.State]. Holds that are new among the settled ones count as such since an instant.
func (r *Reconciler) tell(since time.Time) (hold.State, <-chan struct{}) {
	r.mu.Lock() // Over both steps: otherwise a state that another goroutine has overtaken could be taken for news.
	state, changed := r.opts.Ledger.State()
	old := r.state
	same := state.Revision == old.Revision && len(state.Holds) == len(old.Holds) // Time and force only take holds away.
	if !same {
		r.adopt(&state, since)
	}
	r.mu.Unlock()
	if !same {
		for _, e := range news(&old, &state) {
			r.happened(e)
		}
		r.changed() // Not all that is new is an event.
	}
	return state, changed
}

// adopt remembers a state of the ledger. r.mu is held, unless nobody else knows r yet.
func (r *Reconciler) adopt(state *hold.State, since time.Time) {
	sighted := make(map[string]time.Time, len(state.Holds))
	for i := range state.Holds {
		uid := state.Holds[i].UID
		sighted[uid] = time.Now()
		if at, ok := r.sighted[uid]; ok {
			sighted[uid] = at
		}
	}
	r.state, r.sighted = *state, sighted
	r.opts.Witness.watch(state, since)
}

// news is what is in a state of the ledger that was not in an earlier one.
func news(old, state *hold.State) []Event {
	var events []Event
	add := func(kind EventKind, h *hold.Hold, format string, args ...any) *Event {
		events = append(events, Event{Kind: kind, Hold: h.ID, Message: describe(h) + " " + fmt.Sprintf(format, args...)})
		return &events[len(events)-1]
	}
	for i := range state.History {
		e := &state.History[i]
		if _, ended := old.LastUID(e.Hold.UID); ended {
			continue
		}
		before, live := old.FindUID(e.Hold.UID)
		if !live {
			add(EventHoldPlaced, &e.Hold, "was placed by %s", cmp.Or(e.Hold.Owner, "somebody"))
		}
		if e.Hold.Record.Broken && !before.Record.Broken {
			add(EventHoldBroken, &e.Hold, "is broken: %s", strings.Join(e.Hold.Record.Evidence, "; "))
		}
		add(EventHoldEnded, &e.Hold, "%s, its continuity is %s", ending(e), e.Continuity).End = e.How
	}
	for i := range state.Holds {
		h := &state.Holds[i]
		before, live := old.FindUID(h.UID)
		if !live {
			add(EventHoldPlaced, h, "was placed by %s; %s", cmp.Or(h.Owner, "somebody"), lifetime(h))
		}
		if !h.Settled.IsZero() && before.Settled.IsZero() {
			add(EventHoldSettled, h, "is settled").Took = h.Settled.Sub(h.Created)
		}
		if h.Record.Broken && !before.Record.Broken {
			add(EventHoldBroken, h, "is broken: %s", strings.Join(h.Record.Evidence, "; "))
		}
	}
	if state.Driver != old.Driver && state.Driver != "" {
		events = append(events, Event{Kind: EventStore, Message: "server " + state.Driver + " drives the brokers now"})
	}
	return events
}

// ending is how a hold ended, and by whom.
func ending(e *hold.Ended) string {
	switch e.How {
	case hold.Expired:
		return "expired"
	case hold.ResumedElsewhere, hold.Withdrawn:
		return "has ended: " + e.By
	case hold.Guarded:
		return "was " + e.How.String() + ": " + e.By
	case hold.Released, hold.Forced, hold.Replaced:
	}
	return fmt.Sprintf("was %s by %s", e.How, cmp.Or(e.By, "somebody"))
}

func describe(h *hold.Hold) string { return "hold " + h.ID + " (" + h.Phase.String() + ")" }

func lifetime(h *hold.Hold) string {
	if h.Expires.IsZero() {
		return "it never expires"
	}
	return "it expires at " + h.Expires.UTC().Format(time.RFC3339)
}

// levelOf is as loud as an error of the ledger deserves: what another server wrote first is no trouble.
func levelOf(err error) slog.Level {
	if errors.Is(err, hold.ErrEarlierTerm) {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

func attrError(err error) slog.Attr { return slog.String("error", err.Error()) }
