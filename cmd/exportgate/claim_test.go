package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// renewals answers renewals, and remembers after how many seconds they came.
type renewals struct {
	exportgatev1.ExportingServiceClient

	begun  time.Time
	answer func(ctx context.Context, number int) error
	at     []int
}

func (r *renewals) Pause(
	ctx context.Context, _ *exportgatev1.PauseRequest, _ ...grpc.CallOption,
) (*exportgatev1.PauseResponse, error) {
	r.at = append(r.at, int(time.Since(r.begun)/time.Second))
	return &exportgatev1.PauseResponse{}, r.answer(ctx, len(r.at))
}

// TestKeep looks at when a hold of 90 s is renewed.
func TestKeep(t *testing.T) {
	away := status.Error(codes.Unavailable, "away")
	tests := []struct {
		name   string
		answer func(ctx context.Context, number int) error
		ends   int // after so many seconds
		alive  bool
		want   []int
		tells  int // lines
	}{
		{
			"well", func(context.Context, int) error { return nil }, 200, true,
			[]int{30, 60, 90, 120, 150, 180},
			0,
		},
		{
			"sometimes away", func(_ context.Context, number int) error {
				if number == 2 || number == 3 || number == 6 {
					return away
				}
				return nil
			}, 200, true, []int{30, 60, 63, 66, 96, 126, 129, 159, 189}, 2,
		},
		{
			"away", func(_ context.Context, number int) error {
				if number == 1 {
					return nil
				}
				return away
			}, 200, false,
			[]int{30, 60, 63, 66, 69, 72, 75, 78, 81, 84, 87, 90, 93, 96, 99, 102, 105, 108, 111, 114, 117, 120},
			1,
		},
		{
			"slow", func(ctx context.Context, number int) error {
				select {
				case <-ctx.Done():
					return status.FromContextError(ctx.Err()).Err()
				case <-time.After(time.Duration(11*number) * time.Second): // from the third on that is too long
					return nil
				}
			}, 400, false, []int{30, 60, 90, 123, 156}, 1,
		},
		{
			"interrupted", func(ctx context.Context, _ int) error {
				<-ctx.Done()
				return status.FromContextError(ctx.Err()).Err()
			}, 40, true, []int{30}, 0,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(test.ends)*time.Second+time.Millisecond)
				defer cancel()
				var stderr strings.Builder
				service := &renewals{begun: time.Now(), answer: test.answer}
				c := &claim{
					guarded: &guarded{client: newClient(console{stderr: screen{Writer: &stderr}}), name: "a"},
					service: service, hold: &exportgatev1.Hold{Id: "a", Uid: "U"}, lifetime: 90 * time.Second,
					renewal: time.Now().Add(30 * time.Second), expiry: time.Now().Add(90 * time.Second),
				}
				alive := c.keep(ctx)
				if alive != test.alive || (c.lost == nil) != test.alive || alive != (ctx.Err() != nil) {
					t.Errorf("ended after %s, alive: %v, lost: %v", time.Since(service.begun), alive, c.lost)
				}
				if diff := cmp.Diff(test.want, service.at); diff != "" {
					t.Errorf("renewed at (-want +got):\n%s", diff)
				}
				if got := strings.Count(stderr.String(), "cannot be renewed"); got != test.tells {
					t.Errorf("told %d times:\n%s", got, stderr.String())
				}
			})
		})
	}
}

// TestKeepForEver proves that a hold without an end needs no renewal.
func TestKeepForEver(t *testing.T) {
	c := &claim{service: &renewals{answer: func(context.Context, int) error { return errors.New("not asked for") }}}
	if !c.keep(t.Context()) || c.lost != nil {
		t.Errorf("lost: %v", c.lost)
	}
}
