package interceptor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
)

// tapped is the context of a call whose header has come.
func tapped(t *testing.T, a *Arrivals, ctx context.Context) context.Context { //nolint:revive // It is what the call comes with.
	t.Helper()
	ctx, err := a.Tap(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// messages is a stream with so many messages to receive.
type messages struct {
	grpc.ServerStream
	ctx  context.Context
	left int
}

// Context is the stream's.
func (m *messages) Context() context.Context { return m.ctx }

// RecvMsg receives one, or fails.
func (m *messages) RecvMsg(any) error {
	if m.left--; m.left < 0 {
		return errors.New("no message")
	}
	return nil
}

// A call has ten seconds for its first message, and as long as it likes after that.
func TestArrivalTime(t *testing.T) {
	var a Arrivals
	stream := func(left int) func(context.Context) {
		return func(ctx context.Context) {
			_ = a.Stream(nil, &messages{ctx: ctx, left: left}, nil, func(_ any, s grpc.ServerStream) error { return s.RecvMsg(nil) })
		}
	}
	for _, test := range []struct {
		name   string
		arrive func(context.Context)
		want   error
	}{
		{"no message", func(context.Context) {}, errSlow},
		{"the one of a unary call", func(ctx context.Context) {
			_, _ = a.Unary(ctx, nil, nil, func(context.Context, any) (any, error) { return "answer", nil })
		}, nil},
		{"the first of a stream", stream(1), nil},
		{"a stream without", stream(0), errSlow},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				ctx := tapped(t, &a, t.Context())
				<-time.After(arrivalTime - time.Nanosecond)
				test.arrive(ctx)
				select {
				case <-ctx.Done():
				case <-time.After(24 * time.Hour):
				}
				if cause := context.Cause(ctx); !errors.Is(cause, test.want) {
					t.Errorf("it ended with %v, want %v", cause, test.want)
				}
				if took := time.Since(began); test.want != nil && took != arrivalTime {
					t.Errorf("it ended after %s", took)
				}
			})
			if n := a.waiting.Len(); n != 0 {
				t.Errorf("%d calls wait", n)
			}
		})
	}
}

// Of too many that wait, the one that has waited for the longest ends for the newest.
func TestArrivalsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a Arrivals
		left, leave := context.WithCancel(t.Context())
		defer leave()
		tapped(t, &a, left)
		var calls []context.Context
		for range maxArriving {
			calls = append(calls, tapped(t, &a, t.Context()))
			leave() // It makes room.
			synctest.Wait()
		}
		for i, ctx := range calls {
			if ctx.Err() != nil {
				t.Fatalf("call %d ended while there was room", i)
			}
		}
		arrived(calls[0])
		tapped(t, &a, t.Context())
		tapped(t, &a, t.Context())
		if calls[0].Err() != nil {
			t.Error("a call ended that had arrived")
		}
		if cause := context.Cause(calls[1]); !errors.Is(cause, errDisplaced) {
			t.Errorf("the longest waiting ended with %v", cause)
		}
		if calls[2].Err() != nil {
			t.Error("more than one ended")
		}
		if n := a.waiting.Len(); n != maxArriving {
			t.Errorf("%d calls wait, want %d", n, maxArriving)
		}
	})
}
