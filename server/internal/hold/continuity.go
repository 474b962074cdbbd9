package hold

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// Continuity is whether exporting stood still under a hold, from when it settled.
type Continuity uint8

// The verdicts. The zero value is a hold that has not settled.
const (
	// Pending: not settled, or what exporters had buffered may still be on its way to the stored positions.
	Pending Continuity = iota
	// Intact: no stored position passed its baseline, and no leader was seen in a weaker phase.
	Intact
	// Broken: something was exported, or may have been. It stays so.
	Broken
	// Unknown: the leader of a partition could not be read when it had to be. Only said at one moment.
	Unknown
)

// String returns the word that the contract has for it.
func (c Continuity) String() string {
	switch c {
	case Intact:
		return "INTACT"
	case Broken:
		return "BROKEN"
	case Unknown:
		return "UNKNOWN"
	case Pending:
	}
	return "PENDING"
}

// maxEvidence is how many findings a hold keeps: the first, which say how it began.
const maxEvidence = 10

// Continuous is what is known of a hold's continuity, kept for as long as the hold is.
type Continuous struct {
	// Baselines are the stored positions that must not be passed, by partition. A partition without one is not settled, or
	// its leader's position has not stood still for long enough since.
	Baselines Baselines `json:"baselines,omitempty"`
	// Complete is true once every partition has its baseline.
	Complete bool `json:"complete,omitempty"`
	// Broken is true once something was found; Evidence says what, in words, the first findings only.
	Broken   bool     `json:"broken,omitempty"`
	Evidence []string `json:"evidence,omitempty"`
}

// Baseline is the highest position that any replica of a partition had stored when its exporting stood still.
type Baseline struct {
	Tenant    string
	Partition int32
	Position  int64
}

// Baselines are in the order of their partitions.
type Baselines []Baseline

// NewBaseline is the baseline of a partition.
func NewBaseline(p exporting.PartitionID, position int64) Baseline {
	return Baseline{Tenant: p.Tenant, Partition: p.ID, Position: position}
}

func (b Baseline) id() exporting.PartitionID {
	return exporting.PartitionID{Tenant: b.Tenant, ID: b.Partition}
}

// Baseline finds the baseline of a partition.
func (c *Continuous) Baseline(p exporting.PartitionID) (position int64, ok bool) {
	i, ok := c.search(p)
	if !ok {
		return 0, false
	}
	return c.Baselines[i].Position, true
}

func (c *Continuous) search(p exporting.PartitionID) (int, bool) {
	return slices.BinarySearchFunc(c.Baselines, p, func(b Baseline, p exporting.PartitionID) int { return b.id().Compare(p) })
}

// Verdict is what the record says.
func (c *Continuous) Verdict() Continuity {
	switch {
	case c.Broken:
		return Broken
	case c.Complete:
		return Intact
	}
	return Pending
}

// with returns the record with more baselines, which do not replace those that are there.
func (c *Continuous) with(baselines []Baseline, complete bool) Continuous {
	next := *c
	next.Baselines = slices.Clone(c.Baselines)
	for _, b := range baselines {
		if i, ok := next.search(b.id()); !ok {
			next.Baselines = slices.Insert(next.Baselines, i, b)
		}
	}
	next.Complete = c.Complete || complete
	return next
}

// found returns the record with findings, which may break it.
func (c *Continuous) found(findings []string, broken bool) Continuous {
	next := *c
	next.Broken = c.Broken || broken
	next.Evidence = slices.Clone(c.Evidence)
	for _, finding := range findings {
		if len(next.Evidence) < maxEvidence && !slices.Contains(next.Evidence, finding) {
			next.Evidence = append(next.Evidence, finding)
		}
	}
	return next
}

// Passed tells of a replica whose stored position is above the baseline, in words; empty if it is not.
func (c *Continuous) Passed(broker exporting.BrokerID, r *exporting.Reading) string {
	baseline, ok := c.Baseline(r.Partition)
	if !ok || !r.Exported.Known || r.Exported.Value <= baseline {
		return ""
	}
	return fmt.Sprintf("%s on broker %s: the stored position %d passed the baseline %d", r.Partition, broker,
		r.Exported.Value, baseline)
}

// CompareBaselines orders them by partition.
func CompareBaselines(a, b Baseline) int {
	return cmp.Or(a.id().Compare(b.id()), cmp.Compare(a.Position, b.Position))
}
