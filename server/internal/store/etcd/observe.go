package etcd

import (
	"context"
	"fmt"
	"sync/atomic"

	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// observed is what became of the requests of a context: the client's errors do not tell.
type observed struct {
	sent    atomic.Bool           // at least one was on its way to a member
	failure atomic.Pointer[error] // of the last, as gRPC told it
}

type observedKey struct{}

// observe returns a context whose requests are observed.
func observe(ctx context.Context) (context.Context, *observed) {
	o := &observed{}
	return context.WithValue(ctx, observedKey{}, o), o
}

// explain adds to an error why nothing was answered, such as that no member could be connected to: of a request whose time
// was over the client only tells that.
func (o *observed) explain(err error) error {
	failure := o.failure.Load()
	if err == nil || failure == nil {
		return err
	}
	if s := status.Convert(*failure).Message(); s != err.Error() {
		return fmt.Errorf("%w (%s)", err, s)
	}
	return err
}

// observer watches all requests of a client.
type observer struct{}

var _ stats.Handler = observer{}

// HandleRPC implements [stats.Handler].
func (observer) HandleRPC(ctx context.Context, s stats.RPCStats) {
	o, ok := ctx.Value(observedKey{}).(*observed)
	if !ok {
		return
	}
	switch s := s.(type) {
	case *stats.OutHeader: // It is told before anything is sent.
		o.sent.Store(true)
	case *stats.End:
		if s.Error != nil {
			o.failure.Store(&s.Error)
		}
	}
}

// TagRPC implements [stats.Handler].
func (observer) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// TagConn implements [stats.Handler].
func (observer) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements [stats.Handler].
func (observer) HandleConn(context.Context, stats.ConnStats) {}
