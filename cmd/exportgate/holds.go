package main

import (
	"cmp"
	"fmt"
	"strings"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// holds draws the holds that live, and what broke them.
func (r *report) holds(holds []*exportgatev1.Hold) {
	rows := make([][]cell, 0, len(holds))
	for _, hold := range holds {
		rows = append(rows, []cell{
			{text: hold.GetId()},
			{phaseName(hold.GetPhase()), phaseStyle(hold.GetPhase())},
			{text: since(hold.GetCreateTime(), r.now)},
			countdown(hold.GetExpireTime(), r.now),
			continuityCell(hold),
			{text: hold.GetOwner()},
			{text: cmp.Or(hold.GetReason(), "-")},
		})
	}
	r.records([]string{"HOLD", "PHASE", "AGE", "EXPIRES", "CONTINUITY", "OWNER", "REASON"}, rows)
	var problems []string
	for _, hold := range holds {
		for _, finding := range hold.GetEvidence() {
			problems = append(problems, "hold "+hold.GetId()+": "+finding)
		}
	}
	r.problems(problems)
}

// history draws the last few holds that have ended, and of what was found about each the first thing.
func (r *report) history(ended []*exportgatev1.EndedHold, few int) {
	earlier := max(0, len(ended)-few)
	var rows [][]cell
	var problems []string
	for _, e := range ended[earlier:] {
		hold := e.GetHold()
		rows = append(rows, []cell{
			{text: hold.GetId()},
			{text: phaseName(hold.GetPhase())},
			{text: moment(e.GetEndTime())},
			{text: strings.TrimPrefix(e.GetEnd().String(), "HOLD_END_")},
			{text: between(hold.GetCreateTime(), e.GetEndTime())},
			continuityCell(hold),
			{text: cmp.Or(e.GetEndedBy(), "-")},
			{text: hold.GetOwner()},
			{text: cmp.Or(hold.GetReason(), "-")},
		})
		if findings := hold.GetEvidence(); len(findings) > 0 {
			text := findings[0]
			if more := len(findings) - 1; more > 0 {
				text += fmt.Sprintf(" (and %d more)", more)
			}
			problems = append(problems, "ended hold "+hold.GetId()+": "+text)
		}
	}
	r.records([]string{"ENDED", "PHASE", "AT", "HOW", "LASTED", "CONTINUITY", "BY", "OWNER", "REASON"}, rows)
	r.problems(problems)
	r.earlier(earlier, "hold")
}

// events draws the last few things that happened.
func (r *report) events(events []*exportgatev1.Event, few int) {
	earlier := max(0, len(events)-few)
	if len(events) == 0 {
		return
	}
	t := table{headings("TIME", "EVENT", "HOLD", "WHAT HAPPENED")}
	for _, event := range events[earlier:] {
		t = append(t, eventRow(event))
	}
	t.write(&r.b, "", r.colours)
	r.b.WriteByte('\n')
	r.earlier(earlier, "event")
}

// earlier tells of what is left out, and how to see it.
func (r *report) earlier(number int, thing string) {
	if number > 0 {
		fmt.Fprintf(&r.b, "... and %s before: 'exportgate status --history' lists all\n\n", count(number, thing))
	}
}

// records draws rows below their headings, or one below another where the terminal is too narrow for that.
func (r *report) records(head []string, rows [][]cell) {
	if len(rows) == 0 {
		return
	}
	if t := append(table{headings(head...)}, rows...); r.fits(t) {
		t.write(&r.b, "", r.colours)
	} else {
		for _, row := range rows {
			cell{head[0] + " " + row[0].text, heading}.write(&r.b, r.colours)
			r.b.WriteByte('\n')
			var t table
			for i, c := range row[1:] {
				t = append(t, []cell{{text: strings.ToLower(head[i+1])}, c})
			}
			t.write(&r.b, "  ", r.colours)
		}
	}
	r.b.WriteByte('\n')
}

// continuityCell is whether exporting stood still under a hold.
func continuityCell(hold *exportgatev1.Hold) cell {
	word := continuityName(hold.GetContinuity())
	if hold.GetSettleTime() == nil {
		return cell{"not settled", failed}
	}
	switch hold.GetContinuity() {
	case exportgatev1.Continuity_CONTINUITY_INTACT:
		return cell{text: word}
	case exportgatev1.Continuity_CONTINUITY_PENDING:
		return cell{word, paused}
	case exportgatev1.Continuity_CONTINUITY_BROKEN, exportgatev1.Continuity_CONTINUITY_UNKNOWN,
		exportgatev1.Continuity_CONTINUITY_UNSPECIFIED:
	}
	return cell{word, failed}
}

func eventRow(event *exportgatev1.Event) []cell {
	kind := strings.TrimPrefix(event.GetKind().String(), "EVENT_KIND_")
	style := plain
	switch event.GetKind() {
	case exportgatev1.EventKind_EVENT_KIND_HOLD_BROKEN, exportgatev1.EventKind_EVENT_KIND_NOT_SETTLED:
		style = failed
	case exportgatev1.EventKind_EVENT_KIND_FOREIGN, exportgatev1.EventKind_EVENT_KIND_REPAUSED,
		exportgatev1.EventKind_EVENT_KIND_BROKER, exportgatev1.EventKind_EVENT_KIND_STORE, exportgatev1.EventKind_EVENT_KIND_DISK:
		style = paused
	case exportgatev1.EventKind_EVENT_KIND_HOLD_PLACED, exportgatev1.EventKind_EVENT_KIND_HOLD_SETTLED,
		exportgatev1.EventKind_EVENT_KIND_HOLD_ENDED, exportgatev1.EventKind_EVENT_KIND_RESUMED,
		exportgatev1.EventKind_EVENT_KIND_REPLICA, exportgatev1.EventKind_EVENT_KIND_UNSPECIFIED:
	}
	return []cell{
		{text: moment(event.GetTime())}, {kind, style}, {text: cmp.Or(event.GetHold(), "-")}, {text: event.GetMessage()},
	}
}
