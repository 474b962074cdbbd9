package main

import (
	"cmp"
	"slices"
	"strings"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// problem is what is wrong with a broker or with replicas on it: told once, and not once for each of them.
type problem struct {
	broker, text string
	partitions   []string
	// asOf is when the replicas of a broker that cannot be read were last read: what is shown of them is that old.
	asOf string
}

// problemsOf finds what is wrong: with brokers that cannot be read first, then by partition.
func problemsOf(status *exportgatev1.Status) []string {
	var lines []string
	for _, p := range findProblems(status) {
		lines = append(lines, p.String())
	}
	return lines
}

func findProblems(status *exportgatev1.Status) []*problem {
	var problems []*problem
	find := func(broker, text string) *problem {
		for _, p := range problems {
			if p.broker == broker && p.text == text {
				return p
			}
		}
		problems = append(problems, &problem{broker: broker, text: text})
		return problems[len(problems)-1]
	}
	for _, broker := range status.GetCluster().GetBrokers() {
		if broker.GetError() != "" {
			find(broker.GetId(), broker.GetError()).asOf = "never read"
		}
	}
	for _, partition := range status.GetPartitions() {
		name := partitionName(partition.GetTenant(), partition.GetId())
		for _, replica := range partition.GetReplicas() {
			if replica.GetError() == "" {
				continue
			}
			p := find(replica.GetBroker(), replica.GetError())
			if !slices.Contains(p.partitions, name) {
				p.partitions = append(p.partitions, name)
			}
			if p.asOf != "" && replica.GetObservedTime() != nil {
				p.asOf = "last read " + moment(replica.GetObservedTime())
			}
		}
	}
	return problems
}

// String says where the problem is and what it is.
func (p *problem) String() string {
	where := "broker " + cmp.Or(p.broker, unknownBroker)
	if len(p.partitions) > 0 {
		where += ", " + plural(len(p.partitions), "partition") + " " + strings.Join(p.partitions, ", ")
	}
	if p.asOf != "" {
		where += " (" + p.asOf + ")"
	}
	return where + ": " + p.text
}
