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
	now     time.Time
}

func newReport(width int, colours bool, now time.Time) *report {
	return &report{width: width, colours: colours, now: now}
}

// answer draws a whole answer: what the call did, then every replica, what is wrong with them, the holds, what was before,
// and the sum. That the rest may not be true any more comes before it all.
func (r *report) answer(a answer) string {
	status := printableCopy(a.status)
	r.reservations(status)
	if a.headline != "" {
		r.b.WriteString(a.headline + "\n\n")
	}
	r.replicas(status)
	r.problems(problemsOf(status))
	r.holds(status.GetHolds())
	if a.past > 0 {
		r.history(status.GetHistory(), a.past)
		r.events(status.GetEvents(), a.past)
	}
	r.summary(status)
	return r.b.String()
}

// reservations are what to know before reading on: whether the ledger is known at all, and whose word the brokers follow.
func (r *report) reservations(status *exportgatev1.Status) {
	var t table
	if stale := status.GetStale(); stale != "" {
		t = append(t, []cell{
			{"STALE", loud}, {"the ledger is lost: " + stale, loud},
		}, []cell{
			{}, {"target, holds and history are as they were last known; 'exportgate resume --force' works all the same", loud},
		})
	}
	if driver := status.GetDriver(); driver != "" {
		t = append(t, []cell{{text: "driver"}, {text: driver}})
	}
	if len(t) == 0 {
		return
	}
	t.write(&r.b, "", r.colours)
	r.b.WriteByte('\n')
}

// replicas draws the partitions against the brokers, or broker by broker where the terminal is too narrow for that.
func (r *report) replicas(status *exportgatev1.Status) {
	if len(status.GetPartitions()) == 0 {
		r.b.WriteString("No partition is known.\n\n")
		return
	}
	g := gridOf(status)
	if t := g.table(); r.fits(t) {
		t.write(&r.b, "", r.colours)
	} else {
		g.list(&r.b, r.colours)
	}
	r.b.WriteByte('\n')
}

// fits reports whether a table is as narrow as the terminal.
func (r *report) fits(t table) bool { return r.width == 0 || t.width() <= r.width }

// problems draws what is wrong, a line each.
func (r *report) problems(problems []string) {
	for _, p := range problems {
		cell{mark, failed}.write(&r.b, r.colours)
		r.b.WriteString("  " + p + "\n")
	}
	if len(problems) > 0 {
		r.b.WriteByte('\n')
	}
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
	return t.AsTime().Format(timeForm)
}

// timeForm is how a time in UTC is written.
const timeForm = time.RFC3339
