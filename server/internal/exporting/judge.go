package exporting

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Incomplete lists what stands in the way of pausing every replica, whatever phase they show: brokers that cannot be
// read or of an unknown kind, replicas that are missing or take no part, partitions without exactly one leader, a change
// that the brokers are making to themselves. Empty means that completeness is proven, by count (design.md 4). In order of
// partition and broker.
func (v *View) Incomplete() []Failure {
	if v.Topology == nil {
		return []Failure{v.noTopology()}
	}
	failures := append(v.unread(), v.miscounted(true)...)
	failures = append(failures, v.unled()...)
	failures = append(failures, v.unclassified()...)
	if v.Topology.Pending != "" {
		failures = append(failures, v.pending())
	}
	return sorted(failures)
}

// Unsettled lists every replica that does not show what the goal wants, or was not seen doing so twice, confirm apart.
// Empty means that the goal is reached. In order of partition and broker.
func (v *View) Unsettled(goal Goal, confirm time.Duration) []Failure {
	if v.Topology == nil {
		return []Failure{v.noTopology()}
	}
	var failures []Failure
	if goal.Strict() {
		failures = v.Incomplete()
	} else {
		failures = append(v.unread(), v.miscounted(false)...)
	}
	for _, b := range v.Topology.Brokers {
		failures = append(failures, v.astray(b, goal, confirm)...)
	}
	if len(failures) > 0 && v.Topology.Pending != "" && !goal.Strict() {
		failures = append(failures, v.pending()) // It is no failure of its own, but may be why the others are.
	}
	for i := range failures {
		failures[i].Wanted = goal.Want(failures[i].Broker)
	}
	return sorted(failures)
}

func sorted(failures []Failure) []Failure {
	slices.SortStableFunc(failures, func(a, b Failure) int {
		return cmp.Or(a.Partition.Compare(b.Partition), CompareBrokers(a.Broker, b.Broker))
	})
	return failures
}

func (v *View) noTopology() Failure {
	reason := "no broker was asked yet"
	if v.TopologyErr != nil {
		reason = v.TopologyErr.Error()
	}
	return Failure{Reason: reason}
}

func (v *View) pending() Failure {
	err := PendingChangeError{Change: v.Topology.Pending, Members: v.Topology.PendingMembers}
	return Failure{Reason: err.Error()}
}

// unread is one failure for each replica on a broker that could not be read the last time, as far as it is known what
// the broker hosts, else one for the broker.
func (v *View) unread() []Failure {
	var failures []Failure
	for _, b := range v.Topology.Brokers {
		err := v.trouble(b.ID)
		if err == nil {
			continue
		}
		hosted := v.hosted(b.ID)
		for _, p := range hosted {
			r, _ := v.Reading(p, b.ID)
			failures = append(failures,
				Failure{Partition: p, Broker: b.ID, Role: r.Role, Phase: r.Phase, Reason: err.Error()})
		}
		if len(hosted) == 0 {
			failures = append(failures, Failure{Broker: b.ID, Reason: err.Error()})
		}
	}
	return failures
}

// hosted is which partitions a broker has: by configuration if that names members, else by its last readable answer.
func (v *View) hosted(id BrokerID) []PartitionID {
	var partitions []PartitionID
	for _, p := range v.Topology.Expected {
		if slices.Contains(p.Members, id) {
			partitions = append(partitions, p.ID)
		}
	}
	if partitions == nil {
		for _, r := range v.Observations[id].Readings {
			partitions = append(partitions, r.Partition)
		}
	}
	return partitions
}

// miscounted compares, by partition, the brokers that showed a replica at their last read with those that the cluster is
// configured to have. Where members are known each missing one is named; unread brokers are named by [View.unread].
// Surplus replicas, which only a change of the cluster can bring, count only if exact.
func (v *View) miscounted(exact bool) []Failure {
	if len(v.Topology.Expected) == 0 {
		if exact {
			return []Failure{{Reason: "nothing tells how many replicas there are: set zeebe.cluster-size, zeebe.partitions " +
				"and zeebe.replication-factor, or use zeebe.gateway"}}
		}
		return nil
	}
	present := v.present()
	answers := map[BrokerID]bool{}
	for _, b := range v.Topology.Brokers {
		answers[b.ID] = v.trouble(b.ID) == nil
	}
	var failures []Failure
	for _, p := range v.Topology.Expected {
		here := present[p.ID]
		missing := 0
		for _, id := range p.Members {
			if answers[id] && !slices.Contains(here, id) {
				failures = append(failures, Failure{Partition: p.ID, Broker: id, Reason: errNotThere.Error()})
				missing++
			}
		}
		switch {
		case p.Members == nil && len(here) < p.Replicas, exact && missing == 0 && len(here) > p.Replicas:
			failures = append(failures, Failure{
				Partition: p.ID, Reason: fmt.Sprintf("%d of %d replicas answer", len(here), p.Replicas),
			})
		}
		delete(present, p.ID)
	}
	if exact {
		for id, brokers := range present {
			failures = append(failures, Failure{
				Partition: id, Broker: brokers[0], Reason: "the cluster is not configured to have this partition",
			})
		}
	}
	return failures
}

// present lists the brokers that showed a replica of a partition at their last read, which succeeded.
func (v *View) present() map[PartitionID][]BrokerID {
	present := map[PartitionID][]BrokerID{}
	for _, b := range v.Topology.Brokers {
		if o := v.Observations[b.ID]; o.Err == nil {
			for i := range o.Readings {
				present[o.Readings[i].Partition] = append(present[o.Readings[i].Partition], b.ID)
			}
		}
	}
	return present
}

// unclassified lists brokers that answer and of which it is not known yet how they are driven.
func (v *View) unclassified() []Failure {
	var failures []Failure
	for _, b := range v.Topology.Brokers {
		if _, ok := v.Topology.Lever(b.Lever); !ok && v.trouble(b.ID) == nil {
			failures = append(failures, Failure{
				Broker: b.ID, Reason: "whether it is older than 8.10 is not known yet: wait, or set zeebe.version",
			})
		}
	}
	return failures
}

// unled lists replicas whose role leaves a pause unproven, and partitions that do not have exactly one leader. A leader
// that was not seen may be on a broker that could not be read, which is told by [View.unread].
func (v *View) unled() []Failure {
	var failures []Failure
	leaders := map[PartitionID]int{}
	least := 1
	for _, b := range v.Topology.Brokers {
		if v.trouble(b.ID) != nil {
			least = 0
			continue
		}
		o := v.Observations[b.ID]
		for _, r := range o.Readings {
			leaders[r.Partition] += 0
			switch r.Role {
			case RoleLeader:
				leaders[r.Partition]++
			case RoleInactive, RoleCandidate, RoleUnknown:
				failures = append(failures, Failure{
					Partition: r.Partition, Broker: b.ID, Role: r.Role, Phase: r.Phase,
					Reason: fmt.Sprintf("it is %s, and such a replica does not keep a pause", r.Role),
				})
			case RoleFollower, RolePassive, RolePromotable:
			}
		}
	}
	for id, n := range leaders {
		if n < least || n > 1 {
			failures = append(failures, Failure{Partition: id, Reason: fmt.Sprintf("%d leaders, not one", n)})
		}
	}
	return failures
}

// astray lists the replicas on a broker, which was read, that do not show what the goal wants of them.
func (v *View) astray(b Broker, goal Goal, confirm time.Duration) []Failure {
	o, want := v.Observations[b.ID], goal.Want(b.ID)
	if o.Err != nil {
		return nil
	}
	var failures []Failure
	for i := range o.Readings {
		r := &o.Readings[i]
		f := Failure{Partition: r.Partition, Broker: b.ID, Role: r.Role, Phase: r.Phase}
		shows := goal.given(r.Phase, b.ID) || r.NoExporters
		switch {
		case shows && o.Confirmed(confirm) && (!o.Doubt || goal.given(o.Word, b.ID)):
			continue
		case shows && o.Confirmed(confirm):
			f.Reason = fmt.Sprintf("reads %s, but an earlier request may still take effect", r.Phase)
		case shows:
			f.Reason = fmt.Sprintf("reads %s, but was not seen so twice, %v apart", r.Phase, confirm)
		case r.Phase == PhaseClosed:
			f.Reason = "EXPORTER_CLOSED: its exporters are closed, although some are enabled or positions are stored; look " +
				"for a failed exporter in the broker's log, or restart it"
		default:
			f.Reason = "reads " + r.Phase.String()
		}
		if o.WriteErr != nil && o.Written == want {
			f.Reason += "; the last request failed: " + o.WriteErr.Error()
			f.Final = final(o.WriteErr)
		}
		failures = append(failures, f)
	}
	return failures
}

// final reports whether a write failed in a way that trying again does not cure.
func final(err error) bool {
	_, unsafe := errors.AsType[*UnsafeTransitionError](err)
	_, unsupported := errors.AsType[*SoftPauseUnsupportedError](err)
	return unsafe || unsupported
}

// Permits judges whether a complete view permits a pause to a phase, while holds ask for held: it refuses with a
// [*MixedVersionsError], an [*UnsafeTransitionError] or a [*SoftPauseUnsupportedError]. Where a hard pause over a soft one is
// not safe, what a broker shows counts once it is confirmed, because it may be about to change; until then it refuses with an
// [*IncompleteTopologyError].
func (v *View) Permits(phase, held Phase, confirm time.Duration) error {
	var unsafe, unsupported []BrokerID
	var unconfirmed []string
	var version string
	generations, versions := map[bool]bool{}, map[string]bool{}
	for _, b := range v.Topology.Brokers {
		lever, ok := v.Topology.Lever(b.Lever)
		if !ok {
			continue
		}
		generations[lever.Planned] = true
		versions[cmp.Or(b.Version, "unknown")] = true
		o := v.Observations[b.ID]
		soft := held == PhaseSoftPaused || o.MaySoften || anySoft(o.Readings)
		if phase == PhasePaused && soft && !lever.SoftToHard {
			unsafe = append(unsafe, b.ID)
		}
		if phase == PhasePaused && !lever.SoftToHard && !o.Confirmed(confirm) {
			unconfirmed = append(unconfirmed, fmt.Sprintf("broker %s was not read twice in one phase, %v apart", b.ID, confirm))
		}
		if phase == PhaseSoftPaused && !b.SoftPause {
			unsupported, version = append(unsupported, b.ID), b.Version
		}
	}
	switch {
	case len(generations) > 1:
		return &MixedVersionsError{Versions: slices.Sorted(maps.Keys(versions))}
	case unsafe != nil:
		return &UnsafeTransitionError{Brokers: unsafe}
	case unsupported != nil:
		return &SoftPauseUnsupportedError{Brokers: unsupported, Version: version}
	case unconfirmed != nil:
		return &IncompleteTopologyError{Missing: unconfirmed}
	}
	return nil
}
