package interceptor

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/tap"
)

const (
	// arrivalTime is how long the first message of a gRPC call may take to come, as long as the body of an HTTP request.
	arrivalTime = 10 * time.Second
	// maxArriving is how many calls may be arriving at a time: each takes 12 KB, and up to a window of 64 KiB with half a
	// message. Those of clients that send what they begin arrive in less than a millisecond.
	maxArriving = 4096
)

var (
	errSlow      = errors.New("the first message of the call did not come in time")
	errDisplaced = errors.New("the first message of the call did not come before that of many later ones")
)

// Arrivals bounds what gRPC calls take before anybody looks at who calls: a call whose header has come and whose first
// message has not passes no other interceptor, so that no limit of a caller counts it. It ends, CANCELLED, when its message
// is late, and when it has waited for the longest of too many.
//
// Its methods belong to one server: Tap is its [grpc.InTapHandle], and Unary and Stream go before its other interceptors. The
// zero value is ready, and has no goroutine.
type Arrivals struct {
	mu      sync.Mutex
	waiting list.List // of *arrival, the longest first
}

// arrival is a call whose first message has not come.
type arrival struct {
	among  *Arrivals
	place  *list.Element // nil once it does not wait any more; guarded by the lock of among
	cancel context.CancelCauseFunc
	late   *time.Timer
	ended  func() bool // forgets to look for the end of the call
}

type arrivalKey struct{}

// Tap begins to wait for the first message of a call. It never fails.
func (a *Arrivals) Tap(ctx context.Context, _ *tap.Info) (context.Context, error) {
	began := &arrival{among: a}
	ctx, began.cancel = context.WithCancelCause(context.WithValue(ctx, arrivalKey{}, began))
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting.Len() >= maxArriving {
		longest, _ := a.waiting.Front().Value.(*arrival)
		longest.leave()
		longest.cancel(errDisplaced)
	}
	began.place = a.waiting.PushBack(began)
	began.late = time.AfterFunc(arrivalTime, func() { began.cancel(errSlow) })
	began.ended = context.AfterFunc(ctx, began.done)
	return ctx, nil
}

// leave is called with the lock, and may be called again.
func (c *arrival) leave() {
	if c.place == nil {
		return
	}
	c.among.waiting.Remove(c.place)
	c.place = nil
	c.late.Stop()
	c.ended()
}

// done ends the waiting of a call.
func (c *arrival) done() {
	c.among.mu.Lock()
	defer c.among.mu.Unlock()
	c.leave()
}

// arrived tells that the first message of a call has come.
func arrived(ctx context.Context) {
	if c, ok := ctx.Value(arrivalKey{}).(*arrival); ok {
		c.done()
	}
}

// Unary is the interceptor of calls that have one message, which has come by then.
func (*Arrivals) Unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	arrived(ctx)
	return handler(ctx, req)
}

// Stream is the interceptor of streams, which begin without a message.
func (*Arrivals) Stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return handler(srv, &arrivingStream{ServerStream: stream})
}

// arrivingStream arrives with its first message.
type arrivingStream struct{ grpc.ServerStream }

// RecvMsg receives a message.
func (s *arrivingStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil {
		arrived(s.Context())
	}
	return err
}
