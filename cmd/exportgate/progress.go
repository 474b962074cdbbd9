package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// progress is a bar on a terminal that shows how many replicas have followed while a call waits for them all.
type progress struct {
	screen  screen // a terminal
	service exportgatev1.ExportingServiceClient
	verb    string
	reached func(exportgatev1.Phase) bool
	every   time.Duration
}

// during makes a call and draws until it ends, then clears the line.
func (p progress) during(ctx context.Context, call func() error) error {
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.draw(ctx)
	}()
	err := call()
	stop()
	<-ended
	return err
}

// draw looks at the status and draws it, until ctx ends.
func (p progress) draw(ctx context.Context) {
	const start, clearRest = "\r", "\x1b[K" // of the line
	defer p.screen.say(start + clearRest)
	ticker := time.NewTicker(p.every)
	defer ticker.Stop()
	var b bar
	for {
		response, err := p.service.GetStatus(ctx, &exportgatev1.GetStatusRequest{})
		if ctx.Err() != nil {
			return
		}
		// A status that cannot be read says nothing about the call: the bar stays where it was, and says so.
		b.stale = err != nil
		if err == nil {
			b.done, b.total = p.count(response.GetStatus())
		}
		p.screen.say(start + b.text(p.verb, p.screen.width()) + clearRest)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// count counts the replicas that have followed, and all that should.
func (p progress) count(status *exportgatev1.Status) (done, total int) {
	for _, partition := range status.GetPartitions() {
		for _, replica := range partition.GetReplicas() {
			if p.reached(replica.GetPhase()) {
				done++
			}
		}
		total += max(len(partition.GetReplicas()), int(partition.GetExpectedReplicas()))
	}
	return done, total
}

// bar is one state of the progress bar.
type bar struct {
	done, total int
	stale       bool
}

// The bounds of the bar's length in columns: below the least it is left out.
const (
	leastBar = 5
	mostBar  = 40
)

// text fits the bar into the width. It leaves the last column free: some terminals start a new line after it.
func (b bar) text(verb string, width int) string {
	says := fmt.Sprintf("%d of %d replicas", b.done, b.total)
	if b.total == 0 {
		says = "waiting for the replicas"
	}
	if b.stale {
		says += " (no status)"
	}
	room := width - 1
	if length := min(mostBar, room-len(verb)-len(says)-len(" [] ")); length >= leastBar && b.total > 0 {
		filled := length * min(b.done, b.total) / b.total
		says = "[" + strings.Repeat("#", filled) + strings.Repeat("-", length-filled) + "] " + says
	}
	text := verb + " " + says
	return text[:max(0, min(len(text), room))]
}
