// Package interceptor is what every call passes on its way to the service, through whichever door it came: it learns
// who calls, gives the call an id, logs it, and survives its panics.
//
// It must not know what the calls do, nor which door they came through.
package interceptor

import (
	"context"
	"log/slog"
	"runtime/debug"
	"slices"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Options are what the chains need.
type Options struct {
	// Logger takes a line a call: at info and above for calls that may change something, at debug for the others.
	Logger *slog.Logger
	// ClientContext returns the context that an in-process call was made with, and nil for a call from the network. An
	// in-process channel names no peer of its own; the one in that context is then the caller. May be nil.
	ClientContext func(context.Context) context.Context
}

// Unary returns the chain for unary calls, the outermost first. What is added to it, authentication and metrics,
// belongs between the two, so that refusals are logged and panics are counted.
func Unary(o Options) []grpc.UnaryServerInterceptor {
	return []grpc.UnaryServerInterceptor{
		interceptors.UnaryServerInterceptor(calls{o}),        // first: the rest sees the true peer and the request id
		recovery.UnaryServerInterceptor(recovered(o.Logger)), // last: a panic is logged as the failure that it becomes
	}
}

// Stream returns the same chain for streaming calls.
func Stream(o Options) []grpc.StreamServerInterceptor {
	return []grpc.StreamServerInterceptor{
		interceptors.StreamServerInterceptor(calls{o}),
		recovery.StreamServerInterceptor(recovered(o.Logger)),
	}
}

// ChainUnary makes one interceptor of several, the first outermost, for connections that take just one.
func ChainUnary(chain []grpc.UnaryServerInterceptor) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		for _, outer := range slices.Backward(chain) {
			inner := handler
			handler = func(ctx context.Context, req any) (any, error) { return outer(ctx, req, info, inner) }
		}
		return handler(ctx, req)
	}
}

// ChainStream is [ChainUnary] for streaming calls.
func ChainStream(chain []grpc.StreamServerInterceptor) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		for _, outer := range slices.Backward(chain) {
			inner := handler
			handler = func(srv any, stream grpc.ServerStream) error { return outer(srv, stream, info, inner) }
		}
		return handler(srv, stream)
	}
}

// recovered logs a panic with its stack and tells the caller nothing of it: the text of a panic may hold anything.
func recovered(logger *slog.Logger) recovery.Option {
	return recovery.WithRecoveryHandlerContext(func(ctx context.Context, p any) error {
		method, _ := grpc.Method(ctx)
		logger.ErrorContext(ctx, "panic in a call", "method", method, "request_id", requestID(ctx), "panic", p,
			"stack", string(debug.Stack()))
		return status.Error(codes.Internal, "internal error")
	})
}
