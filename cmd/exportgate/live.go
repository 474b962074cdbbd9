package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// What a terminal is told. It draws on its other screen, so that what was there before is there again afterwards, without
// a cursor, and cuts off lines that are too long.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K" // from the cursor on
	clearBelow  = "\x1b[J" // from the cursor on
)

// live draws the status in place on a terminal.
type live struct {
	con     console
	server  string
	entered bool
	status  *exportgatev1.Status // printable; nil until the first came
	events  []*exportgatev1.Event
	missed  bool
	// lost is why there is no connection, and since when; empty while there is one.
	lost      string
	lostSince time.Time
}

// show takes the news and draws all anew.
func (l *live) show(n news) error {
	switch {
	case n.lost != nil:
		if l.lost == "" {
			l.lostSince = l.con.now()
		}
		l.lost = printable(status.Convert(n.lost).Message())
	case n.answer != nil:
		answer := printableCopy(n.answer)
		l.lost, l.status = "", answer.GetStatus()
		l.missed = l.missed || answer.GetMissedEvents()
		l.events = append(l.events, answer.GetEvents()...)
		l.events = l.events[max(0, len(l.events)-fewPast):]
	}
	var b strings.Builder
	if !l.entered {
		b.WriteString(enterScreen)
		l.entered = true
	}
	b.WriteString(home)
	b.WriteString(strings.Join(clip(l.frame(), l.con.stdout.height()), clearLine+"\r\n"))
	b.WriteString(clearLine + clearBelow)
	if _, err := io.WriteString(l.con.stdout, b.String()); err != nil {
		return fmt.Errorf("draw the status: %w", err)
	}
	return nil
}

// end goes back to the screen from before, and leaves the last status there.
func (l *live) end() {
	if l.entered {
		l.con.stdout.say(leaveScreen + strings.Join(l.frame(), "\n") + "\n")
	}
}

// frame is all there is to see, in lines. What matters most comes first: the rest may not fit.
func (l *live) frame() []string {
	r := newReport(l.con.stdout.width(), l.con.colourful(), l.con.now())
	fmt.Fprintf(&r.b, "%s  %s\n", l.server, r.now.UTC().Format(timeForm))
	if l.lost != "" {
		says := "no connection for " + span(r.now.Sub(l.lostSince)) + ", what follows is that old: " + l.lost
		cell{says, loud}.write(&r.b, r.colours)
		r.b.WriteByte('\n')
	}
	if l.missed {
		cell{missed, paused}.write(&r.b, r.colours)
		r.b.WriteByte('\n')
	}
	r.b.WriteByte('\n')
	if l.status == nil {
		r.b.WriteString("Waiting for the first status.")
	} else {
		r.reservations(l.status)
		r.summary(l.status)
		r.b.WriteByte('\n')
		r.holds(l.status.GetHolds())
		r.problems(problemsOf(l.status))
		r.events(l.events, fewPast)
		r.replicas(l.status)
	}
	return strings.Split(strings.TrimRight(r.b.String(), "\n"), "\n")
}

// clip leaves out the lines that do not fit, and says how many.
func clip(lines []string, height int) []string {
	if height <= 0 || len(lines) <= height {
		return lines
	}
	more := len(lines) - height + 1
	return append(lines[:height-1:height-1], fmt.Sprintf("... %s more", count(more, "line")))
}
