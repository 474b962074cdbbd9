package tracing

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc/metadata"
)

// The headers of W3C Trace Context.
const (
	traceParent = "traceparent"
	traceState  = "tracestate"
)

// Extract puts the trace that a caller names in a call's metadata (W3C Trace Context) into the context, for the call's span
// to belong to. What is malformed is ignored, as the standard wants it. Baggage is not taken: it would carry any caller's
// text to all brokers.
func Extract(ctx context.Context) context.Context {
	parents := metadata.ValueFromIncomingContext(ctx, traceParent)
	if len(parents) != 1 {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{
		traceParent: parents[0],
		traceState:  strings.Join(metadata.ValueFromIncomingContext(ctx, traceState), ","),
	})
}

// Headers are what tells the receiver of a request which span it belongs to; none where the context has no span.
func Headers(ctx context.Context) map[string]string {
	headers := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, headers)
	return headers
}
