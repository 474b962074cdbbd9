package reconcile

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// Witness judges whether exporting stands still under the holds that have settled (design.md 4). It is told every read
// that the fan-out makes, whoever asked for it, because a weaker phase may show for a moment only.
type Witness struct {
	drain time.Duration

	mu      sync.Mutex
	holds   []*watched
	reads   map[exporting.BrokerID]read
	still   map[exporting.PartitionID]still
	leaders map[exporting.PartitionID]exporting.BrokerID
	told    map[string]bool // remarks that were made, so that a state that lasts is told once
	remarks []string
}

// watched is a settled hold.
type watched struct {
	uid    string
	phase  exporting.Phase
	since  time.Time // reads that began earlier say nothing
	record hold.Continuous
	found  []string // what breaks it and is not in the record yet
}

// read is a broker's last readable answer.
type read struct {
	begun    time.Time
	readings []exporting.Reading
}

// still is a leader that shows a phase with a position that does not move.
type still struct {
	broker      exporting.BrokerID
	phase       exporting.Phase
	position    exporting.Position
	since, last time.Time
}

// NewWitness returns a witness. A hard pause has drained once a leader's position has stood still for the duration.
func NewWitness(drain time.Duration) *Witness {
	return &Witness{
		drain: drain, reads: map[exporting.BrokerID]read{}, still: map[exporting.PartitionID]still{},
		leaders: map[exporting.PartitionID]exporting.BrokerID{}, told: map[string]bool{},
	}
}

// Heed takes notice of a read of a broker: see [exporting.Options].
func (w *Witness) Heed(id exporting.BrokerID, begun time.Time, readings []exporting.Reading) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.reads[id]
	w.reads[id] = read{begun, readings}
	for i := range readings {
		r := &readings[i]
		old := before.find(r.Partition)
		w.move(id, begun, r)
		for _, h := range w.holds {
			w.judge(h, id, before.begun, old, begun, r)
		}
	}
}

func (r read) find(p exporting.PartitionID) *exporting.Reading {
	i, ok := slices.BinarySearchFunc(r.readings, p, func(r exporting.Reading, p exporting.PartitionID) int { return r.Partition.Compare(p) })
	if !ok {
		return nil
	}
	return &r.readings[i]
}

// judge compares a replica, and what it showed in the read before, with what a hold asks for. w.mu is held.
func (w *Witness) judge(h *watched, id exporting.BrokerID, before time.Time, old *exporting.Reading, begun time.Time,
	r *exporting.Reading,
) {
	if begun.Before(h.since) {
		return
	}
	if passed := h.record.Passed(id, r); passed != "" {
		h.find(passed)
	}
	leads, led := r.Role == exporting.RoleLeader, old != nil && old.Role == exporting.RoleLeader
	switch {
	case r.Phase.Weaker(h.phase) && leads:
		h.find(fmt.Sprintf("%s on broker %s: the leader read %s", r.Partition, id, r.Phase))
	case r.Phase.Weaker(h.phase) && led:
		h.find(fmt.Sprintf("%s on broker %s: it read %s, and led in the read before", r.Partition, id, r.Phase))
	case r.Phase.Weaker(h.phase):
		w.remark("%s on broker %s, a follower, read %s, which is weaker than the holds ask for", r.Partition, id, r.Phase)
	case leads && !led && old != nil && old.Phase.Weaker(h.phase) && !before.Before(h.since):
		h.find(fmt.Sprintf("%s on broker %s: it leads, and read %s in the read before", r.Partition, id, old.Phase))
	}
	if leads && old != nil && old.Exported.Known && r.Exported.Known && r.Exported.Value < old.Exported.Value {
		w.remark("%s on broker %s: the stored position fell from %d to %d", r.Partition, id, old.Exported.Value, r.Exported.Value)
	}
}

// maxFound is how many findings wait to be written: the ledger keeps fewer.
const maxFound = 20

// find notes what breaks a hold. What comes after it was written that it is broken adds nothing: a position that goes on
// rising would be written for ever.
func (h *watched) find(what string) {
	if !h.record.Broken && len(h.found) < maxFound && !slices.Contains(h.found, what) {
		h.found = append(h.found, what)
	}
}

// maxRemarks bounds what is remembered of remarks; then they may be made again.
const maxRemarks = 1000

// remark notes what breaks nothing, once. w.mu is held.
func (w *Witness) remark(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if w.told[what] {
		return
	}
	if len(w.told) >= maxRemarks {
		clear(w.told)
	}
	w.told[what] = true
	w.remarks = append(w.remarks, what)
}

// move follows where a partition's leader stands. w.mu is held.
func (w *Witness) move(id exporting.BrokerID, begun time.Time, r *exporting.Reading) {
	if r.Role != exporting.RoleLeader {
		return
	}
	if old, known := w.leaders[r.Partition]; known && old != id && w.watchesSoft() {
		w.remark("%s is led by broker %s now, no longer by %s: under a soft hold records are exported again from the stored "+
			"position", r.Partition, id, old)
	}
	w.leaders[r.Partition] = id
	s := w.still[r.Partition]
	if s.broker != id || s.phase != r.Phase || s.position != r.Exported {
		s = still{broker: id, phase: r.Phase, position: r.Exported, since: begun}
	}
	s.last = begun
	w.still[r.Partition] = s
}

func (w *Witness) watchesSoft() bool {
	return slices.ContainsFunc(w.holds, func(h *watched) bool { return h.phase == exporting.PhaseSoftPaused })
}

// watch takes over which holds there are. A hold that is new counts from now on, reads that were made since included.
func (w *Witness) watch(state *hold.State, since time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var holds []*watched
	for i := range state.Holds {
		h := &state.Holds[i]
		if h.Settled.IsZero() {
			continue
		}
		j := slices.IndexFunc(w.holds, func(known *watched) bool { return known.uid == h.UID })
		if j >= 0 {
			if w.holds[j].record = h.Record; h.Record.Broken {
				w.holds[j].found = nil
			}
			holds = append(holds, w.holds[j])
			continue
		}
		added := &watched{uid: h.UID, phase: h.Phase, since: since, record: h.Record}
		for id, r := range w.reads {
			for k := range r.readings {
				w.judge(added, id, time.Time{}, nil, r.begun, &r.readings[k])
			}
		}
		holds = append(holds, added)
	}
	if len(holds) == 0 {
		clear(w.told)
	}
	w.holds = holds
}

// settled is what is known of a hold's continuity when it settles by a view. Where leaders read SOFT_PAUSED their
// positions stand still at once; otherwise what exporters had buffered may still be on its way.
func (w *Witness) settled(view *exporting.View) hold.Continuous {
	var record hold.Continuous
	readable := censusOf(view)
	for _, p := range view.Topology.Expected {
		leader := readable[p.ID].leader
		if leader == nil || leader.Phase != exporting.PhaseSoftPaused && !leader.NoExporters {
			continue
		}
		if position, ok := readable[p.ID].stored(leader.Exported); ok {
			record.Baselines = append(record.Baselines, hold.NewBaseline(p.ID, position))
		}
	}
	slices.SortFunc(record.Baselines, hold.CompareBaselines)
	record.Complete = len(record.Baselines) == len(view.Topology.Expected)
	return record
}

// take is what came to light since the ledger was told: findings, and the baselines of partitions that have drained.
func (w *Witness) take(view *exporting.View) map[string]hold.Found {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := map[string]hold.Found{}
	var readable census
	for _, h := range w.holds {
		f := hold.Found{Broken: slices.Clone(h.found)}
		if !h.record.Complete && view.Topology != nil && len(view.Topology.Expected) > 0 {
			if readable == nil {
				readable = censusOf(view)
			}
			f.Baselines, f.Complete = w.drained(h, view.Topology.Expected, readable)
		}
		if len(f.Broken) > 0 || len(f.Baselines) > 0 || f.Complete {
			found[h.uid] = f
		}
	}
	return found
}

// drained is the baselines that a hold has not yet, of partitions whose leaders have stood still for long enough, and
// whether none is missing then. w.mu is held.
func (w *Witness) drained(h *watched, expected []exporting.ExpectedPartition, readable census) (baselines []hold.Baseline,
	complete bool,
) {
	complete = true
	for _, p := range expected {
		if _, known := h.record.Baseline(p.ID); known {
			continue
		}
		// A replica that fell silent may have stored more than the rest, and not done wrong: it would break the hold when it
		// comes back.
		if readable[p.ID].replicas < p.Replicas {
			complete = false
			continue
		}
		s, known := w.still[p.ID]
		position, told := readable[p.ID].stored(s.position)
		if !known || !told || s.phase < h.phase || s.last.Sub(s.since) < w.drain {
			complete = false
			continue
		}
		baselines = append(baselines, hold.NewBaseline(p.ID, position))
	}
	return baselines, complete
}

// due is when the next partition may have drained, after now; zero if none is waited for. One that ought to have drained
// already waits for something else: for its leader to be read, or for the ledger to be written.
func (w *Witness) due(now time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	var due time.Time
	for _, h := range w.holds {
		if h.record.Complete || h.record.Broken {
			continue
		}
		for p, s := range w.still {
			if _, known := h.record.Baseline(p); known || s.phase < h.phase {
				continue
			}
			if at := s.since.Add(w.drain); at.After(now) && (due.IsZero() || at.Before(due)) {
				due = at
			}
		}
	}
	return due
}

// findings is what breaks a hold and is not in the ledger yet.
func (w *Witness) findings(uid string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.holds {
		if h.uid == uid {
			return slices.Clone(h.found)
		}
	}
	return nil
}

// remarked returns what was remarked since it was asked last.
func (w *Witness) remarked() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	remarks := w.remarks
	w.remarks = nil
	return remarks
}
