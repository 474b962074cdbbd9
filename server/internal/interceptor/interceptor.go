// Package interceptor is what every call passes on its way to the service, through whichever door it came: it learns
// who calls, gives the call an id, logs and measures it, lets it in or refuses it, has it audited, and survives its
// panics. What only HTTP has passes the same way, by [Chain.Admit].
//
// It must not know what the calls do, nor how callers prove who they are.
package interceptor

import (
	"context"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/server/internal/audit"
	"github.com/exportgate/exportgate/server/internal/auth"
	"github.com/exportgate/exportgate/server/internal/limits"
)

// Options are what a [Chain] needs. Logger and Guard are required.
type Options struct {
	// Logger takes a line a call: at info and above for calls that may change something, at debug for the others. Of a flood of
	// refused ones only some are above debug.
	Logger *slog.Logger
	// ClientContext returns the context that an in-process call was made with, and nil for a call from the network. An
	// in-process channel names no peer of its own; the one in that context is then the caller. May be nil.
	ClientContext func(context.Context) context.Context
	// Guard says who calls, and what the caller may do.
	Guard *auth.Guard
	// Limits are those of each caller; nil for none.
	Limits *limits.Limits
	// Audit remembers what was changed and what was refused; nil for nowhere.
	Audit *audit.Log
	// Started is told of every call that begins, and Observe of its end: the operation, the name of its code, how long it
	// took. Either may be nil.
	Started func(operation string)
	Observe func(operation, code string, took time.Duration)
	// Refused is told of every call that was turned away: the reason of its ErrorInfo, or the cause that it names. May be nil.
	Refused func(reason string)
	// Tracing takes a span a call of the service. May be nil.
	Tracing trace.TracerProvider
	// StreamLife is how long a stream of a caller that proved who it is may last, an hour if zero: see [Chain.Stream].
	StreamLife time.Duration
}

// Chain is what calls pass. It may be used by several doors.
type Chain struct {
	options Options
	probes  probes
	loud    *rate.Limiter // lines above debug for calls that were refused
	tracer  trace.Tracer
}

// New returns a chain for one server: what it counts, it counts over all doors that use it.
func New(o Options) *Chain {
	if o.Limits == nil {
		o.Limits = limits.New(limits.Options{})
	}
	if o.StreamLife == 0 {
		o.StreamLife = time.Hour
	}
	if o.Tracing == nil {
		o.Tracing = noop.NewTracerProvider()
	}
	const perSecond, burst = 10, 100
	return &Chain{options: o, probes: newProbes(), loud: rate.NewLimiter(perSecond, burst), tracer: o.Tracing.Tracer(tracerName)}
}

// reporters are what only look, the outermost first.
func (c *Chain) reporters() []interceptors.ServerReportable {
	return []interceptors.ServerReportable{
		calls{c},  // first: the rest sees the true peer and the request id, and what is refused has a line too
		traces{c}, // before what acts: it is below the call's span
		meters{c}, // before admission: what is refused is counted as a call
	}
}

// Unary returns the chain for unary calls, the outermost first.
func (c *Chain) Unary() []grpc.UnaryServerInterceptor {
	var chain []grpc.UnaryServerInterceptor
	for _, r := range c.reporters() {
		chain = append(chain, interceptors.UnaryServerInterceptor(r))
	}
	return append(chain,
		c.admitUnary, // after what looks, before whatever acts
		recovery.UnaryServerInterceptor(recovered(c.options.Logger)), // last: a panic is logged and audited as the failure that it becomes
	)
}

// Stream returns the same chain for streaming calls. What they ask for is not known when they are let in.
//
// A credential is looked at when a stream begins, and may expire or be revoked while it lasts. So a stream of a caller that
// proved who it is ends after StreamLife, less up to a tenth so that not all come again at once, with UNAVAILABLE and a
// text to connect again: clients go on where they were, with the credential that they have then. A stream whose handler
// waits for its client alone is not reached, as with [EndWith].
func (c *Chain) Stream() []grpc.StreamServerInterceptor {
	var chain []grpc.StreamServerInterceptor
	for _, r := range c.reporters() {
		chain = append(chain, interceptors.StreamServerInterceptor(r))
	}
	return append(chain, c.limitProbes, c.admitStream, recovery.StreamServerInterceptor(recovered(c.options.Logger)))
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
		logger.ErrorContext(ctx, "panic in a call", "method", callOf(ctx).operation, "request_id", requestID(ctx), "panic", p,
			"stack", string(debug.Stack()))
		return status.Error(codes.Internal, "internal error")
	})
}
