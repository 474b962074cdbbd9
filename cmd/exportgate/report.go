package main

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// report draws answers for people.
type report struct {
	b       strings.Builder
	width   int // columns; 0 is without limit
	colours bool
}

func newReport(width int, colours bool) *report { return &report{width: width, colours: colours} }

// answer draws a whole answer: what the call did, then every replica, what is wrong with them, the holds, and the sum.
func (r *report) answer(a answer) string {
	status := printableCopy(a.status)
	if a.headline != "" {
		r.b.WriteString(a.headline + "\n\n")
	}
	r.replicas(status)
	r.problems(problemsOf(status))
	r.holds(status.GetHolds())
	r.summary(status)
	return r.b.String()
}

// replicas draws the partitions against the brokers, or broker by broker where the terminal is too narrow for that.
func (r *report) replicas(status *exportgatev1.Status) {
	if len(status.GetPartitions()) == 0 {
		r.b.WriteString("No partition is known.\n\n")
		return
	}
	g := gridOf(status)
	if t := g.table(); r.width == 0 || t.width() <= r.width {
		t.write(&r.b, "", r.colours)
	} else {
		g.list(&r.b, r.colours)
	}
	r.b.WriteByte('\n')
}

func (r *report) problems(problems []*problem) {
	for _, p := range problems {
		cell{mark, failed}.write(&r.b, r.colours)
		r.b.WriteString("  " + p.String() + "\n")
	}
	if len(problems) > 0 {
		r.b.WriteByte('\n')
	}
}

func (r *report) holds(holds []*exportgatev1.Hold) {
	if len(holds) == 0 {
		return
	}
	t := table{headings("HOLD", "PHASE", "SINCE", "SETTLED", "OWNER")}
	for _, hold := range holds {
		t = append(t, []cell{
			{text: hold.GetId()},
			{phaseName(hold.GetPhase()), phaseStyle(hold.GetPhase())},
			{text: moment(hold.GetCreateTime())},
			{text: moment(hold.GetSettleTime())},
			{text: hold.GetOwner()},
		})
	}
	t.write(&r.b, "", r.colours)
	r.b.WriteByte('\n')
}

// summary is of what cluster, what ought to be, what was seen, and what an operator should know besides.
func (r *report) summary(status *exportgatev1.Status) {
	settled := cell{text: "yes"}
	if !status.GetSettled() {
		settled = cell{"no: " + status.GetUnsettledReason(), failed}
	}
	observed := phaseName(status.GetObserved())
	if status.GetForeign() {
		observed += " (paused without a hold, by somebody else; 'exportgate resume' ends it)"
	}
	cluster := status.GetCluster()
	of := []string{count(len(cluster.GetBrokers()), "broker"), count(int(cluster.GetPartitions()), "partition")}
	if cluster.GetReplicationFactor() > 0 {
		of = append(of, fmt.Sprintf("replication factor %d", cluster.GetReplicationFactor()))
	}
	if len(cluster.GetVersions()) > 0 {
		of = append(of, "version "+strings.Join(cluster.GetVersions(), ", "))
	}
	t := table{
		{{text: "cluster"}, {text: strings.Join(of, ", ")}},
		{{text: "target"}, {phaseName(status.GetTarget()), phaseStyle(status.GetTarget())}},
		{{text: "observed"}, {observed, phaseStyle(status.GetObserved())}},
		{{text: "settled"}, settled},
	}
	if change := cluster.GetPendingChange(); change != "" {
		t = append(t, []cell{{text: "pending"}, {change, paused}})
	}
	for _, warning := range status.GetWarnings() {
		t = append(t, []cell{{text: "warning"}, {warning, paused}})
	}
	t.write(&r.b, "", r.colours)
}

func headings(words ...string) []cell {
	cells := make([]cell, len(words))
	for i, word := range words {
		cells[i] = cell{word, heading}
	}
	return cells
}

func phaseStyle(phase exportgatev1.Phase) style {
	switch phase {
	case exportgatev1.Phase_PHASE_EXPORTING:
		return plain
	case exportgatev1.Phase_PHASE_SOFT_PAUSED, exportgatev1.Phase_PHASE_PAUSED, exportgatev1.Phase_PHASE_CLOSED:
		return paused
	case exportgatev1.Phase_PHASE_MIXED, exportgatev1.Phase_PHASE_UNKNOWN, exportgatev1.Phase_PHASE_UNSPECIFIED:
	}
	return failed
}

// moment is a time in UTC, to the second; "-" where there is none.
func moment(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	return t.AsTime().Format(time.RFC3339)
}
