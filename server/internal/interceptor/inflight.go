package interceptor

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// InFlight knows of the unary calls that are under way, so that a door that closes can tell when only streams are left,
// whose clients may never take another message. The zero value is ready, and its methods may be called by many goroutines.
type InFlight struct {
	mu    sync.Mutex
	calls int
	ended time.Time // when the last call did
}

// Unary is the interceptor that counts.
func (f *InFlight) Unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	f.count(1)
	defer f.count(-1)
	return handler(ctx, req)
}

func (f *InFlight) count(more int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls += more
	f.ended = time.Now()
}

// Quiet waits until there has been no call for a while, from now on, and at most twice as long. It fails when the context
// ends.
func (f *InFlight) Quiet(ctx context.Context, while time.Duration) error {
	timer := time.NewTimer(while)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			if f.idle() >= while {
				return nil
			}
			timer.Reset(while)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// idle is for how long there has been no call.
func (f *InFlight) idle() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls > 0 {
		return 0
	}
	return time.Since(f.ended)
}
