package reconcile

import (
	"fmt"
	"math"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// census is what a view shows of each partition, by the brokers that could be read. It takes one walk over the readings:
// asking for each partition anew would be a walk over the brokers each time.
type census map[exporting.PartitionID]tally

// tally is what is readable of one partition. The zero value is one of which nothing is.
type tally struct {
	leader   *exporting.Reading // nil where it cannot be read
	replicas int
	highest  exporting.Position // the highest stored position that any replica shows
}

func censusOf(view *exporting.View) census {
	c := census{}
	for _, r := range view.Readings() {
		t := c[r.Partition]
		t.replicas++
		if r.Role == exporting.RoleLeader {
			t.leader = r
		}
		if r.Exported.Known && (!t.highest.Known || r.Exported.Value > t.highest.Value) {
			t.highest = r.Exported
		}
		c[r.Partition] = t
	}
	return c
}

// stored is the partition's position, beside what its leader tells. Where no broker tells positions none can be passed: the
// phases alone count then. Where only the leader does not, its followers' copies, which lag, are no measure.
func (t tally) stored(leader exporting.Position) (position int64, ok bool) {
	if !t.highest.Known {
		return math.MaxInt64, true
	}
	return t.highest.Value, leader.Known
}

// unseen lists the partitions whose leaders cannot be read, in words.
func unseen(view *exporting.View) []string {
	if view.Topology == nil {
		return []string{"no broker answers"}
	}
	readable := censusOf(view)
	var partitions []string
	for _, p := range view.Topology.Expected {
		if readable[p.ID].leader == nil {
			partitions = append(partitions, fmt.Sprintf("the leader of %s cannot be read", p.ID))
		}
	}
	return partitions
}
