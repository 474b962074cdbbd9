package interceptor

import (
	"context"

	"google.golang.org/grpc"
)

// EndWith returns an interceptor that ends the contexts of streams when a context ends, for the same cause, so that those
// which watch for ever do not keep a server from stopping. A stream whose handler waits for its client alone is not reached.
func EndWith(end context.Context) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx, cancel := context.WithCancelCause(stream.Context())
		defer cancel(nil)
		defer context.AfterFunc(end, func() { cancel(context.Cause(end)) })()
		return handler(srv, &endingStream{stream, ctx})
	}
}

// endingStream is a stream whose context ends earlier.
type endingStream struct {
	grpc.ServerStream

	ctx context.Context
}

// Context is the one that ends earlier.
func (s *endingStream) Context() context.Context { return s.ctx }
