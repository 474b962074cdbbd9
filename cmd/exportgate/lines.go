package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// missed says that a server could not tell all.
const missed = "events were missed: there were too many, or the server is another one now"

// jsonLines shows each answer of a watch as a line of JSON.
type jsonLines struct{ con console }

func (l *jsonLines) show(n news) error {
	if n.answer == nil {
		l.con.stderr.say(lost(n))
		return nil
	}
	return writeJSONLine(l.con.stdout, n.answer)
}

// textLines shows each change as a line.
type textLines struct {
	con   console
	state string // as last shown
}

func (l *textLines) show(n news) error {
	if n.answer == nil {
		l.con.stderr.say(lost(n))
		return nil
	}
	answer, now := printableCopy(n.answer), l.con.now().UTC().Format(timeForm)
	var b strings.Builder
	if answer.GetMissedEvents() {
		fmt.Fprintf(&b, "%s  MISSED  -  %s\n", now, missed)
	}
	for _, event := range answer.GetEvents() {
		for i, c := range eventRow(event) {
			if i > 0 {
				b.WriteString("  ")
			}
			b.WriteString(c.text)
		}
		b.WriteByte('\n')
	}
	// A change of which no event tells, such as of a role, is a line all the same.
	if state := stateLine(answer.GetStatus()); state != l.state || len(answer.GetEvents()) == 0 {
		fmt.Fprintf(&b, "%s  STATUS  -  %s\n", now, state)
		l.state = state
	}
	if _, err := io.WriteString(l.con.stdout, b.String()); err != nil {
		return fmt.Errorf("write the change: %w", err)
	}
	return nil
}

// lost says that the connection is lost, and what is done about it.
func lost(n news) string {
	return fmt.Sprintf("exportgate: connection lost: %s; trying again in %s\n", printable(status.Convert(n.lost).Message()),
		max(n.again.Round(100*time.Millisecond), 100*time.Millisecond))
}

// stateLine is a status in one line.
func stateLine(status *exportgatev1.Status) string {
	var says []string
	if stale := status.GetStale(); stale != "" {
		says = append(says, "STALE: the ledger is lost: "+stale)
	}
	observed := "observed " + phaseName(status.GetObserved())
	if status.GetForeign() {
		observed += " (foreign)"
	}
	says = append(says, "target "+phaseName(status.GetTarget()), observed)
	if status.GetSettled() {
		says = append(says, "settled")
	} else {
		says = append(says, "not settled: "+cmp.Or(status.GetUnsettledReason(), "no reason given"))
	}
	for _, hold := range status.GetHolds() {
		ends := "never ends"
		if hold.GetExpireTime() != nil {
			ends = "ends " + moment(hold.GetExpireTime())
		}
		says = append(says, fmt.Sprintf("hold %s (%s, %s, %s)", hold.GetId(), phaseName(hold.GetPhase()),
			continuityCell(hold).text, ends))
	}
	if problems := len(problemsOf(status)); problems > 0 {
		says = append(says, count(problems, "problem"))
	}
	if driver := status.GetDriver(); driver != "" {
		says = append(says, "driver "+driver)
	}
	return strings.Join(says, "; ")
}
