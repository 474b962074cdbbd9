package exporting

import (
	"cmp"
	"errors"
	"iter"
	"slices"
	"time"
)

// Observation is what is known of one broker: its last readable answer, and whether the last try failed.
type Observation struct {
	// Readings of the last read that succeeded, by partition.
	Readings []Reading
	// Begun and Read are when that read began and ended; zero if there was none.
	Begun, Read time.Time
	// Stable is when the first of an unbroken row of reads ended that all showed the same replicas in the same roles and
	// phases, up to Read. Times reads were in that row.
	Stable time.Time
	Times  int
	// Err is why the last try failed; nil if it succeeded. Failed is when a try last failed; zero if none ever did.
	Err    error
	Failed time.Time
	// Written is the phase of the last write to the broker's lever; PhaseUnknown if there was none. WriteErr is why it
	// failed; nil if it was taken or is under way.
	Written  Phase
	WriteErr error
	// Word is Written if it was taken; PhaseUnknown if it may have been. Doubt is whether a write may take effect that was
	// not seen to do so yet; MaySoften whether such a write may turn replicas SOFT_PAUSED.
	Word             Phase
	Doubt, MaySoften bool
}

// Confirmed reports whether the last readings were seen at least twice, interval apart.
func (o *Observation) Confirmed(interval time.Duration) bool {
	return o.Err == nil && o.Times >= 2 && o.Read.Sub(o.Stable) >= interval
}

// View is what is known of the cluster at one moment. It is a copy: nobody changes it.
type View struct {
	// Topology is the last that could be read; nil if none ever could.
	Topology *Topology
	// TopologyErr is why the last try failed; nil if it succeeded.
	TopologyErr error
	// Observations of the topology's brokers. A broker that was never tried is absent.
	Observations map[BrokerID]Observation
}

// Since reports whether every broker that could be read was read anew after an instant.
func (v *View) Since(t time.Time) bool {
	if v.Topology == nil {
		return false
	}
	for _, b := range v.Topology.Brokers {
		if o := v.Observations[b.ID]; o.Err == nil && b.Address != "" && !o.Begun.After(t) {
			return false
		}
	}
	return true
}

// Replica is a partition on a broker, as the view has it.
type Replica struct {
	Reading

	Broker BrokerID
	// Observed is when it was last read; zero for a replica that ought to be there and was never seen.
	Observed time.Time
	// Err is why its broker could not be read the last time.
	Err error
}

// Replicas lists what was read and what ought to have been, by partition and broker.
func (v *View) Replicas() []Replica {
	if v.Topology == nil {
		return nil
	}
	var replicas []Replica
	seen := map[replicaKey]bool{}
	for _, b := range v.Topology.Brokers {
		o := v.Observations[b.ID]
		for _, r := range o.Readings {
			replicas = append(replicas, Replica{Reading: r, Broker: b.ID, Observed: o.Read, Err: o.Err})
			seen[replicaKey{r.Partition, b.ID}] = true
		}
	}
	for _, p := range v.Topology.Expected {
		for _, id := range p.Members {
			if !seen[replicaKey{p.ID, id}] {
				replicas = append(replicas, Replica{
					Reading: Reading{Partition: p.ID}, Broker: id, Err: cmp.Or(v.trouble(id), errNotThere),
				})
			}
		}
	}
	slices.SortFunc(replicas, func(a, b Replica) int {
		return cmp.Or(a.Partition.Compare(b.Partition), CompareBrokers(a.Broker, b.Broker))
	})
	return replicas
}

type replicaKey struct {
	partition PartitionID
	broker    BrokerID
}

// trouble is why a broker could not be read the last time; nil if it could.
func (v *View) trouble(id BrokerID) error {
	o, tried := v.Observations[id]
	b, known := v.Topology.Broker(id)
	switch {
	case !known || b.Address == "":
		return errNoAddress
	case !tried:
		return errNotTried
	}
	return o.Err
}

var (
	errNoAddress = errors.New("its management address is not known: name it in zeebe.brokers, or find it by zeebe.gateway")
	errNotTried  = errors.New("it was not asked yet")
	errNotThere  = errors.New("not there, although the cluster is configured to have it")
)

// Observed is the phase that all replicas show that could be read the last time: MIXED where they differ, UNKNOWN where
// there are none. Replicas without exporters have no say, unless all are so; then it is CLOSED.
func (v *View) Observed() Phase {
	observed, idle := PhaseUnknown, PhaseUnknown
	first := true
	for _, r := range v.Readings() {
		switch {
		case r.NoExporters:
			idle = PhaseClosed
		case first:
			observed, first = r.Phase, false
		case observed != r.Phase:
			return PhaseMixed
		}
	}
	if first {
		return idle
	}
	return observed
}

// Settable is the phase per broker that a revert goes back to: what its replicas show now. Brokers on one lever go
// together, and where replicas on a lever differ it is the weakest, because a pause that nobody remembers fills disks.
func (v *View) Settable() map[BrokerID]Phase {
	weakest := map[LeverID]Phase{}
	for _, b := range v.Topology.Brokers {
		for _, r := range v.Observations[b.ID].Readings {
			if r.Phase.Settable() && (weakest[b.Lever] == PhaseUnknown || r.Phase < weakest[b.Lever]) {
				weakest[b.Lever] = r.Phase
			}
		}
	}
	restore := make(map[BrokerID]Phase, len(v.Topology.Brokers))
	for _, b := range v.Topology.Brokers {
		restore[b.ID] = cmp.Or(weakest[b.Lever], PhaseExporting)
	}
	return restore
}

// Readings walks over what the replicas showed that could be read the last time, in no order: see [View.Replicas] for all
// of them, in order.
func (v *View) Readings() iter.Seq2[BrokerID, *Reading] {
	return func(yield func(BrokerID, *Reading) bool) {
		for id, o := range v.Observations {
			for i := range o.Readings {
				if o.Err == nil && !yield(id, &o.Readings[i]) {
					return
				}
			}
		}
	}
}

// Reading finds what a replica showed at its broker's last readable answer.
func (v *View) Reading(partition PartitionID, broker BrokerID) (Reading, bool) {
	readings := v.Observations[broker].Readings
	i, ok := slices.BinarySearchFunc(readings, partition,
		func(r Reading, p PartitionID) int { return r.Partition.Compare(p) })
	if !ok {
		return Reading{}, false
	}
	return readings[i], true
}

// Change is a replica whose phase is not what it was.
type Change struct {
	Partition     PartitionID
	Broker        BrokerID
	Before, After Phase
}

// Changes lists the replicas whose phases differ between two views, by partition and broker. Replicas that either view
// has not read are left out.
func Changes(before, after *View) []Change {
	var changes []Change
	for broker, r := range after.Readings() {
		if old, ok := before.Reading(r.Partition, broker); ok && old.Phase != r.Phase {
			changes = append(changes, Change{r.Partition, broker, old.Phase, r.Phase})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int {
		return cmp.Or(a.Partition.Compare(b.Partition), CompareBrokers(a.Broker, b.Broker))
	})
	return changes
}
