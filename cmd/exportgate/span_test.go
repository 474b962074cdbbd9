package main

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour:                            "0s",
		0:                                     "0s",
		59*time.Second + 999*time.Millisecond: "59s",
		time.Minute:                           "1m 0s",
		3*time.Minute + 4*time.Second:         "3m 4s",
		time.Hour:                             "1h 0m",
		63*time.Minute + 59*time.Second:       "1h 3m",
		24 * time.Hour:                        "1d 0h",
		400*24*time.Hour + 5*time.Hour:        "400d 5h",
	} {
		if got := span(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}

func TestCountdown(t *testing.T) {
	now := noon.AsTime()
	tests := []struct {
		end  *timestamppb.Timestamp
		want cell
	}{
		{nil, cell{"never", failed}},
		{after(63 * time.Minute), cell{text: "in 1h 3m"}},
		{after(soon), cell{text: "in 2m 0s"}},
		{after(soon - 1), cell{"in 1m 59s", failed}},
		{after(1), cell{"in 0s", failed}},
		{after(0), cell{"0s ago", failed}},
		{after(-90 * time.Second), cell{"1m 30s ago", failed}},
	}
	for _, test := range tests {
		if got := countdown(test.end, now); got != test.want {
			t.Errorf("%v: got %+v, want %+v", test.end, got, test.want)
		}
	}
	if got := since(nil, now); got != "-" {
		t.Errorf("got %q for what never was", got)
	}
	if got := between(noon, nil); got != "-" {
		t.Errorf("got %q for what has not ended", got)
	}
}
