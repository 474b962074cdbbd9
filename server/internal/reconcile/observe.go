package reconcile

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

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

// observe takes notice of a view, and lets everybody see it: which brokers stopped or started to answer, pauses that nobody
// holds, leaders that do not move, and, if this server drives, which holds have settled and what became of their
// continuity.
func (r *Reconciler) observe(ctx context.Context, view *exporting.View) {
	r.noticeBrokers(view)
	r.noticeForeign(view)
	r.noticeStalls(view)
	for _, remark := range r.opts.Witness.remarked() {
		r.event(EventReplica, "", "%s", remark)
	}
	r.record(ctx, view)
	r.publish(view)
}

// record writes what a view proves to the ledger, if this server drives.
func (r *Reconciler) record(ctx context.Context, view *exporting.View) {
	select {
	case r.recorder <- struct{}{}:
		defer func() { <-r.recorder }()
	case <-ctx.Done():
		return
	}
	state, _ := r.tell(time.Now())
	term, driving, _ := r.drives()
	if !driving || r.opts.Ledger.Stale() != nil {
		return // The loop finds out when it can be written again; who only asks for the status must not wait for that.
	}
	if found := r.opts.Witness.take(view); len(found) > 0 {
		r.unlessStored(r.opts.Ledger.Note(ctx, term.ID, found))
		state, _ = r.tell(time.Now())
	}
	if records := r.settles(&state, view); len(records) > 0 {
		now := time.Now()
		r.unlessStored(r.opts.Ledger.Settle(ctx, term.ID, records))
		r.tell(now)
	}
}

// settles is the holds that a view proves to be settled, by uid: every broker was read since the hold was seen first, and
// every replica is confirmed to show what it asks for.
func (r *Reconciler) settles(state *hold.State, view *exporting.View) map[string]hold.Continuous {
	records := map[string]hold.Continuous{}
	for i := range state.Holds {
		h := &state.Holds[i]
		if !h.Settled.IsZero() || !view.Since(r.sightedAt(h.UID)) {
			continue
		}
		if len(view.Unsettled(own(state, h), r.opts.Fanout.ConfirmInterval())) == 0 {
			records[h.UID] = r.opts.Witness.settled(view)
		}
	}
	return records
}

// sightedAt is when this server first saw a hold; now, if it has not yet.
func (r *Reconciler) sightedAt(uid string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.sighted[uid]; ok {
		return at
	}
	return time.Now()
}

// noticeStalls takes notice of leaders that ought to export and do not move.
func (r *Reconciler) noticeStalls(view *exporting.View) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.stalls, func(partition exporting.PartitionID, s stall) bool { // It may have gone for good.
		o, known := view.Observations[s.broker]
		replica, there := view.Reading(partition, s.broker)
		return !known || o.Err == nil && (!there || replica.Role != exporting.RoleLeader)
	})
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

// repausing makes an event of replicas that show less than the holds ask for, once for as long as they do.
func (r *Reconciler) repausing(astray []exporting.Failure) {
	weaker := slices.DeleteFunc(slices.Clone(astray), func(f exporting.Failure) bool { return !f.Phase.Weaker(f.Wanted) })
	summary := exporting.Summary(weaker)
	r.mu.Lock()
	was := r.repaused
	r.repaused = summary
	r.mu.Unlock()
	if summary != "" && was == "" {
		r.event(EventRepaused, "", "pausing again what exports more than the holds allow: %s", summary)
	}
}

// noticeStore makes an event of the ledger's loss and return.
func (r *Reconciler) noticeStore() {
	err := r.opts.Ledger.Stale()
	r.mu.Lock()
	was := r.stale
	r.stale = err != nil
	r.mu.Unlock()
	switch {
	case err != nil && !was:
		r.event(EventStore, "", "the ledger of holds cannot be used: %v", err)
	case err == nil && was:
		r.event(EventStore, "", "the ledger of holds can be used again")
	}
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
			r.event(EventBroker, "", "broker %s cannot be read: %v", b.ID, err)
		case was && err == nil:
			r.event(EventBroker, "", "broker %s answers again", b.ID)
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
	if r.opts.Ledger.Lost() {
		return // Nobody can tell.
	}
	foreign := !enforce && isPaused(view)
	r.mu.Lock()
	was := r.paused
	r.paused = foreign
	r.mu.Unlock()
	switch {
	case foreign && !was:
		r.event(EventForeign, "", "exporting is paused (%v) although no hold asks for it: it is left alone until somebody resumes", view.Observed())
	case was && !foreign && !enforce:
		r.event(EventForeign, "", "the pause that no hold asked for has ended")
	}
}

// isPaused reports whether a replica was last read in a paused phase, also on a broker that has fallen silent since.
func isPaused(view *exporting.View) bool {
	for _, o := range view.Observations {
		if slices.ContainsFunc(o.Readings, func(r exporting.Reading) bool { return r.Phase.Paused() }) {
			return true
		}
	}
	return false
}
