package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// unknownBroker stands for the broker of a replica that is missing, and nothing tells where it should be.
const unknownBroker = "?"

// mark is what a replica has that is not as it should be, and what begins the line that says why.
const mark = "!"

// grid is every replica of a cluster, by partition and broker.
type grid struct {
	brokers    []string
	partitions []string
	cells      [][]cell // a row a partition, a column a broker
}

func gridOf(status *exportgatev1.Status) grid {
	var g grid
	for _, broker := range status.GetCluster().GetBrokers() {
		g.brokers = append(g.brokers, broker.GetId())
	}
	for _, partition := range status.GetPartitions() { // brokers that only replicas know come last
		for _, replica := range partition.GetReplicas() {
			if id := cmp.Or(replica.GetBroker(), unknownBroker); !slices.Contains(g.brokers, id) {
				g.brokers = append(g.brokers, id)
			}
		}
	}
	column := make(map[string]int, len(g.brokers))
	for i, id := range g.brokers {
		column[id] = i
	}
	for _, partition := range status.GetPartitions() {
		row := make([]cell, len(g.brokers))
		for _, replica := range partition.GetReplicas() {
			i := column[cmp.Or(replica.GetBroker(), unknownBroker)]
			row[i] = merge(row[i], replicaCell(replica))
		}
		g.partitions = append(g.partitions, partitionName(partition.GetTenant(), partition.GetId()))
		g.cells = append(g.cells, row)
	}
	return g
}

// table has a row a partition and a column a broker.
func (g grid) table() table {
	head := headings("PARTITION")
	for _, id := range g.brokers {
		head = append(head, cell{"BROKER " + id, heading})
	}
	t := table{head}
	for i, row := range g.cells {
		t = append(t, append([]cell{{text: g.partitions[i]}}, row...))
	}
	return t
}

// list goes broker by broker, with a line a partition.
func (g grid) list(b *strings.Builder, colours bool) {
	for i, id := range g.brokers {
		cell{"BROKER " + id, heading}.write(b, colours)
		b.WriteByte('\n')
		var t table
		for j, row := range g.cells {
			if row[i].text != "" {
				t = append(t, []cell{{text: g.partitions[j]}, row[i]})
			}
		}
		t.write(b, "  ", colours)
	}
}

// replicaCell is a replica in a few words: role, phase, lag, and a mark where something is wrong with it.
func replicaCell(replica *exportgatev1.Replica) cell {
	c := cell{roleMark(replica.GetRole()) + " " + phaseName(replica.GetPhase()), phaseStyle(replica.GetPhase())}
	if lag := replica.GetLag(); lag > 0 {
		c.text += fmt.Sprintf(" lag %d", lag)
	}
	if replica.GetStalled() {
		c.text += " STALLED"
	}
	if replica.GetStalled() || replica.GetError() != "" {
		c.text += " " + mark
		c.style = failed
	}
	return c
}

// merge puts two replicas into one cell, which only happens where their brokers are unknown.
func merge(a, b cell) cell {
	if a.text == "" {
		return b
	}
	return cell{a.text + "; " + b.text, cmp.Or(b.style, a.style)}
}

// roleMark is a letter for the roles that replicas should have, and the word for those that deserve attention.
func roleMark(role exportgatev1.Role) string {
	switch role {
	case exportgatev1.Role_ROLE_LEADER:
		return "L"
	case exportgatev1.Role_ROLE_FOLLOWER:
		return "f"
	case exportgatev1.Role_ROLE_INACTIVE, exportgatev1.Role_ROLE_CANDIDATE, exportgatev1.Role_ROLE_PASSIVE,
		exportgatev1.Role_ROLE_PROMOTABLE:
		return strings.ToLower(roleName(role))
	case exportgatev1.Role_ROLE_UNKNOWN, exportgatev1.Role_ROLE_UNSPECIFIED:
	}
	return "?"
}
