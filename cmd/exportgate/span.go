package main

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// soon is how long before its end a hold deserves attention.
const soon = 2 * time.Minute

// span is a length of time in its two largest units, to the second. Less than nothing is nothing: clocks differ.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm %ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh %dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd %dh", d/day, d%day/time.Hour)
}

// since is how long ago something was; "-" where it never was.
func since(t *timestamppb.Timestamp, now time.Time) string {
	if t == nil {
		return "-"
	}
	return span(now.Sub(t.AsTime()))
}

// between is how long something lasted; "-" where one end is not known.
func between(begin, end *timestamppb.Timestamp) string {
	if end == nil {
		return "-"
	}
	return since(begin, end.AsTime())
}

// countdown is the time that a hold has left, by this machine's clock. One that never ends is as alarming as one that is
// about to: disks fill under it.
func countdown(end *timestamppb.Timestamp, now time.Time) cell {
	if end == nil {
		return cell{"never", failed}
	}
	left := end.AsTime().Sub(now)
	switch {
	case left <= 0:
		return cell{span(-left) + " ago", failed}
	case left < soon:
		return cell{"in " + span(left), failed}
	}
	return cell{text: "in " + span(left)}
}
