package exporting

import (
	"fmt"
	"strconv"
)

// Failure is one replica that does not show what it shall, or one fact that stands against a settled cluster.
type Failure struct {
	// Partition is zero where a broker or the cluster as a whole is meant.
	Partition PartitionID
	// Broker is empty where no one broker is meant.
	Broker BrokerID
	Role   Role
	Phase  Phase
	Wanted Phase
	// Reason is for people.
	Reason string
	// Final failures do not go away by waiting.
	Final bool
}

// String names the replica and the reason.
func (f Failure) String() string {
	switch {
	case f.Partition.ID == 0 && f.Broker == "":
		return f.Reason
	case f.Partition.ID == 0:
		return fmt.Sprintf("broker %s: %s", f.Broker, f.Reason)
	case f.Broker == "":
		return fmt.Sprintf("%s: %s", f.Partition, f.Reason)
	}
	return fmt.Sprintf("%s on broker %s: %s", f.Partition, f.Broker, f.Reason)
}

// Describe puts failures into words for people, in order, and those of one broker that have one reason into one phrase: a
// dead broker is one thing to a person, however many replicas it hosts.
func Describe(failures []Failure) []string {
	type cause struct {
		broker BrokerID
		reason string
	}
	partitions := map[cause][]string{}
	for _, f := range failures {
		c := cause{f.Broker, f.Reason}
		partitions[c] = append(partitions[c], f.Partition.short())
	}
	var words []string
	for _, f := range failures {
		c := cause{f.Broker, f.Reason}
		switch hosted := partitions[c]; {
		case len(hosted) == 1 || f.Broker == "":
			words = append(words, f.String())
		case hosted != nil:
			words = append(words, fmt.Sprintf("partitions %s on broker %s: %s", joinSome(hosted, ", "), f.Broker, f.Reason))
			partitions[c] = nil
		}
	}
	return words
}

// Summary puts failures into one line, which a terminal can show: see [Describe]. It is empty if there are none.
func Summary(failures []Failure) string { return joinSome(Describe(failures), "; ") }

// short is the id alone, with the tenant where there is one.
func (p PartitionID) short() string {
	if p.Tenant == "" {
		return strconv.Itoa(int(p.ID))
	}
	return p.Tenant + "/" + strconv.Itoa(int(p.ID))
}
