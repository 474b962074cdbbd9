package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// Event is something that happened to the holds or the cluster.
type Event struct {
	Time    time.Time
	Message string
	Hold    string // the hold that it happened to; empty if none
}

// maxEvents is how many events are kept.
const maxEvents = 100

// event logs something and keeps it for the status.
func (r *Reconciler) event(id, format string, args ...any) {
	e := Event{time.Now(), fmt.Sprintf(format, args...), id}
	r.log.LogAttrs(r.base, slog.LevelInfo, "exporting changed", slog.String("event", e.Message), slog.String("hold", id))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	if surplus := len(r.events) - maxEvents; surplus > 0 {
		r.events = append([]Event(nil), r.events[surplus:]...)
	}
}

// stallAfter is how long a leader's stored position may stand still while records wait (design.md 4).
const stallAfter = time.Minute

// StallCure is what to do about a leader that does not export (zeebe-facts.md 3.5 e and g).
const StallCure = "it reads EXPORTING, but its stored position has not moved for a minute while records wait; pause softly " +
	"and resume, which makes the exporters store positions again, or look for a failing exporter in the broker's log"

type stall struct {
	broker   exporting.BrokerID
	position int64
	since    time.Time
}

// observe takes notice of a view: which brokers stopped or started to answer, pauses that nobody holds, and which leaders
// do not move.
func (r *Reconciler) observe(view *exporting.View) {
	r.noticeBrokers(view)
	r.noticeForeign(view)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for broker, replica := range view.Readings() {
		if replica.Role != exporting.RoleLeader {
			continue
		}
		waits := replica.Phase == exporting.PhaseExporting && replica.Exported.Known && replica.Processed.Known &&
			replica.Exported.Value < replica.Processed.Value
		known, ok := r.stalls[replica.Partition]
		switch {
		case !waits:
			delete(r.stalls, replica.Partition)
		case !ok || known.broker != broker || known.position != replica.Exported.Value:
			r.stalls[replica.Partition] = stall{broker, replica.Exported.Value, now}
		}
	}
}

// stalled lists the leaders that have not moved for long enough. r.mu is held.
func (r *Reconciler) stalled(now time.Time) map[exporting.PartitionID]exporting.BrokerID {
	stalled := map[exporting.PartitionID]exporting.BrokerID{}
	for partition, s := range r.stalls {
		if now.Sub(s.since) >= stallAfter {
			stalled[partition] = s.broker
		}
	}
	return stalled
}

// silence is a broker that does not answer.
type silence struct {
	since time.Time
	told  bool
}

// noticeBrokers makes an event of every broker that has not answered for an interval, and of every one of these that
// answers again. A single failure is no news.
func (r *Reconciler) noticeBrokers(view *exporting.View) {
	if view.Topology == nil {
		return
	}
	for _, b := range view.Topology.Brokers {
		err := view.Observations[b.ID].Err
		switch told, was := r.noteSilence(b.ID, err != nil); {
		case told && !was:
			r.event("", "broker %s cannot be read: %v", b.ID, err)
		case was && err == nil:
			r.event("", "broker %s answers again", b.ID)
		}
	}
}

// noteSilence records whether a broker is silent, and reports whether that is news by now, and whether it was before.
func (r *Reconciler) noteSilence(id exporting.BrokerID, silent bool) (told, was bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, known := r.silences[id]
	was = s.told
	if !silent {
		delete(r.silences, id)
		return false, was
	}
	if !known {
		s.since = time.Now()
	}
	s.told = time.Since(s.since) >= r.opts.Interval
	r.silences[id] = s
	return s.told, was
}

// noticeForeign makes an event of a pause that no hold asks for, and of its end.
func (r *Reconciler) noticeForeign(view *exporting.View) {
	state, _ := r.opts.Ledger.State()
	_, enforce := state.Goal()
	foreign := !enforce && paused(view)
	r.mu.Lock()
	was := r.foreign
	r.foreign = foreign
	r.mu.Unlock()
	switch {
	case foreign && !was:
		r.event("", "exporting is paused (%v) although no hold asks for it: it is left alone until somebody resumes", view.Observed())
	case was && !foreign && !enforce:
		r.event("", "the pause that no hold asked for has ended")
	}
}

// paused reports whether a replica was last read in a paused phase, also on a broker that has fallen silent since.
func paused(view *exporting.View) bool {
	for _, o := range view.Observations {
		if slices.ContainsFunc(o.Readings, func(r exporting.Reading) bool {
			return r.Phase == exporting.PhasePaused || r.Phase == exporting.PhaseSoftPaused
		}) {
			return true
		}
	}
	return false
}

// resumedElsewhere releases the anonymous hold if somebody resumed at the brokers: it is Zeebe's own pause, and this is
// how Zeebe ends it. It reports whether that is so.
//
// Every replica must be confirmed exporting, on brokers that were readable all the time since the hold was confirmed: a
// broker that came back with an empty disk exports too, and nobody asked it to.
func (r *Reconciler) resumedElsewhere(ctx context.Context, state hold.State, view *exporting.View) bool {
	h, ok := state.Find(hold.Operator)
	r.mu.Lock()
	proven := r.verdict
	r.mu.Unlock()
	if !ok || len(state.Holds) > 1 || proven.err != nil || proven.revision != state.Revision || !exports(view) {
		return false
	}
	if !sleep(ctx, r.opts.Fanout.ConfirmInterval()) {
		return false
	}
	view = r.opts.Fanout.Look(ctx)
	resumed := exporting.Goal{Phase: exporting.PhaseExporting}
	if !exports(view) || len(view.Unsettled(resumed, r.opts.Fanout.ConfirmInterval())) > 0 {
		return false
	}
	for _, o := range view.Observations {
		if o.Failed.After(proven.at) {
			return false
		}
	}
	if !r.opts.Ledger.Drop(h.ID, state.Revision) {
		return false
	}
	r.event(h.ID, "%s ended: every replica was resumed at the brokers", describe(h))
	return true
}

func exports(view *exporting.View) bool {
	return view.Observed() == exporting.PhaseExporting && len(view.Incomplete()) == 0
}
