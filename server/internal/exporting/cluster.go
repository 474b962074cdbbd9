package exporting

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
)

// BrokerID names a broker: the cluster's own id where it is known ("0", "us-east1_0"), else its management address.
type BrokerID string

// PartitionID names a partition. Ids repeat across tenants; Tenant is empty where the cluster has one.
type PartitionID struct {
	Tenant string
	ID     int32
}

// Compare orders partitions by tenant, then id.
func (p PartitionID) Compare(q PartitionID) int {
	return cmp.Or(cmp.Compare(p.Tenant, q.Tenant), cmp.Compare(p.ID, q.ID))
}

// String is "partition 3", with the tenant where there is one.
func (p PartitionID) String() string {
	if p.Tenant == "" {
		return "partition " + strconv.Itoa(int(p.ID))
	}
	return fmt.Sprintf("partition %d of tenant %s", p.ID, p.Tenant)
}

// CompareBrokers orders broker ids as people do: numbers by value, before everything else, which goes by letter.
func CompareBrokers(a, b BrokerID) int {
	x, errX := strconv.ParseUint(string(a), 10, 64)
	y, errY := strconv.ParseUint(string(b), 10, 64)
	switch {
	case errX == nil && errY == nil:
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, b))
	case errX == nil:
		return -1
	case errY == nil:
		return 1
	}
	return cmp.Compare(a, b)
}

// Position is a place in a partition's log. The zero value is one that the broker did not say.
type Position struct {
	Value int64
	Known bool
}

// At is a known position.
func At(v int64) Position { return Position{Value: v, Known: true} }

// Reading is what one replica showed in one read of its broker.
type Reading struct {
	Partition PartitionID
	Role      Role
	Phase     Phase
	Processed Position
	Exported  Position
	Health    Health
	// NoExporters is set only on a CLOSED replica whose broker proved that no exporter is enabled: then there is nothing
	// to pause, and the replica satisfies every phase (design.md 4).
	NoExporters bool
}

// LeverID names a [Lever].
type LeverID string

// Lever is what one write moves: a broker with all its replicas below 8.10, the whole cluster from 8.10 on. Levers
// partition the brokers.
type Lever struct {
	ID LeverID
	// Planned levers start a change that the brokers carry out by themselves and that outlives the request (8.10): the
	// request lasts as long as the plan and may be given up at any time. The others answer at once and apply the change
	// soon after; their requests are never given up half way, lest an abandoned write overtakes a later one.
	Planned bool
	// SoftToHard reports that PAUSED may be written over SOFT_PAUSED (zeebe-facts.md 3.5 f).
	SoftToHard bool
}

// Broker is a broker that is configured or was found.
type Broker struct {
	ID BrokerID
	// Address is its management address; empty where it is not known, and then it cannot be read.
	Address string
	// Version is for people: "8.9.3", "8.10+", "before 8.10", or empty.
	Version string
	// Lever moves it; empty where the broker's kind is not known yet because it never answered.
	Lever LeverID
	// SoftPause is false where the broker is known not to have soft pause (zeebe-facts.md 1.5).
	SoftPause bool
}

// ExpectedPartition is a partition that the cluster is configured to have.
type ExpectedPartition struct {
	ID PartitionID
	// Replicas is how many brokers host it.
	Replicas int
	// Members are those brokers, in order; nil where only their number is known, or where their ids cannot be matched
	// with addresses.
	Members []BrokerID
}

// Topology is what the cluster is configured to be, as far as anybody can tell.
type Topology struct {
	// Brokers by id, those that are down too where they are known.
	Brokers []Broker
	Levers  []Lever
	// Expected partitions by id; empty where nothing tells, and then no pause is possible.
	Expected []ExpectedPartition
	// ClusterID is the cluster's own id, empty where nobody tells it. Names are what the cluster is found by, which should
	// last longer than the brokers: management addresses, or what they are resolved from.
	ClusterID string
	Names     []string
	// ReplicationFactor is 0 where it is not known or differs among partitions.
	ReplicationFactor int
	// Source tells people where Expected comes from; empty where nothing tells.
	Source string
	// Pending describes a change that the brokers are making to their own configuration; empty where there is none.
	Pending string
	// PendingMembers are the brokers that the pending change waits for, where the brokers say.
	PendingMembers []BrokerID
}

// Broker finds a broker by id.
func (t *Topology) Broker(id BrokerID) (Broker, bool) {
	i, ok := slices.BinarySearchFunc(t.Brokers, id, func(b Broker, id BrokerID) int { return CompareBrokers(b.ID, id) })
	if !ok {
		return Broker{}, false
	}
	return t.Brokers[i], true
}

// Lever finds a lever by id.
func (t *Topology) Lever(id LeverID) (Lever, bool) {
	i := slices.IndexFunc(t.Levers, func(l Lever) bool { return l.ID == id })
	if i < 0 {
		return Lever{}, false
	}
	return t.Levers[i], true
}

// Versions are the brokers' versions as far as they are known, without repetition, in alphabetical order.
func (t *Topology) Versions() []string {
	var versions []string
	for _, b := range t.Brokers {
		if b.Version != "" {
			versions = append(versions, b.Version)
		}
	}
	slices.Sort(versions)
	return slices.Compact(versions)
}

// Cluster is the port to the brokers. Its implementation knows their ways; the core knows what they mean.
//
// Every method returns soon after its context ends, and may be called by many goroutines at once.
type Cluster interface {
	// Topology asks what the cluster is configured to be. It needs one broker (or the gateway) that answers; what the
	// others would have said is then missing from it, not made up. An error means that nobody answered.
	Topology(ctx context.Context) (*Topology, error)

	// Read reads every replica on one broker, by partition. An answer that cannot be understood, or that may leave a
	// replica out (an empty map, zeebe-facts.md 4.1), is an error, never an empty list.
	Read(ctx context.Context, broker Broker) ([]Reading, error)

	// Write asks that a lever's replicas go to a settable phase. nil means that the request was taken, nothing more: only
	// a later Read tells what came of it. It is idempotent.
	//
	// Errors are an [*UnsafeTransitionError], a [*SoftPauseUnsupportedError], a [*PendingChangeError], or anything else,
	// which may be tried again. Below 8.10 it refuses PAUSED on a broker whose last read showed, or that may still show,
	// SOFT_PAUSED.
	Write(ctx context.Context, lever Lever, phase Phase) error
}
