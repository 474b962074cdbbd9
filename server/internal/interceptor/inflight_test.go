package interceptor

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Quiet is when no call has been under way for long enough, however many begin and end before.
func TestInFlightQuiet(t *testing.T) {
	tests := []struct {
		name     string
		calls    [][2]time.Duration // from, to
		earliest time.Duration
		latest   time.Duration
	}{
		{"no call", nil, time.Second, time.Second},
		{"one call", [][2]time.Duration{{0, 5 * time.Second}}, 6 * time.Second, 7 * time.Second},
		{"calls that overlap", [][2]time.Duration{{0, 2 * time.Second}, {time.Second, 4 * time.Second}}, 5 * time.Second, 6 * time.Second},
		{"a call that comes late", [][2]time.Duration{{500 * time.Millisecond, 1500 * time.Millisecond}}, 2500 * time.Millisecond, 3500 * time.Millisecond},
		{"a call that outlasts the wait", [][2]time.Duration{{0, time.Hour}}, time.Minute, time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var f InFlight
				var calls sync.WaitGroup
				defer calls.Wait()
				for _, call := range test.calls {
					calls.Go(func() {
						<-time.After(call[0])
						_, _ = f.Unary(t.Context(), nil, nil, func(context.Context, any) (any, error) {
							<-time.After(call[1] - call[0])
							return "answer", nil
						})
					})
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				began := time.Now()
				err := f.Quiet(ctx, time.Second)
				took := time.Since(began)
				if took < test.earliest || took > test.latest || (err != nil) != (took == time.Minute) {
					t.Errorf("quiet after %v, %v; want %v to %v", took, err, test.earliest, test.latest)
				}
			})
		})
	}
}

// What the handler says passes unchanged.
func TestInFlightPassesAnswers(t *testing.T) {
	failure := errors.New("failure")
	answer, err := new(InFlight).Unary(t.Context(), "request", nil, func(_ context.Context, req any) (any, error) {
		return req, failure
	})
	if answer != "request" || !errors.Is(err, failure) {
		t.Errorf("got %v, %v", answer, err)
	}
}
