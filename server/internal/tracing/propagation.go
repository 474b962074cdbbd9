package tracing

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc/metadata"
)

// Extract puts the trace that a caller names in a call's metadata (W3C Trace Context: traceparent, tracestate) into the
// context, for the call's span to belong to. What is malformed is ignored, as the standard wants it. Baggage is not taken:
// it would carry any caller's text to all brokers.
func Extract(ctx context.Context) context.Context {
	md, ok := metadata.FromIncomingContext(ctx)
	if !ok {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, incoming(md))
}

// Headers are what tells the receiver of a request which span it belongs to; none where the context has no span.
func Headers(ctx context.Context) map[string]string {
	headers := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, headers)
	return headers
}

// incoming is metadata as a propagator reads it.
type incoming metadata.MD

// Get is the key's value; one that is given several times, which only a tracestate may be, is joined.
func (m incoming) Get(key string) string { return strings.Join(metadata.MD(m).Get(key), ",") }

// Set implements [propagation.TextMapCarrier].
func (m incoming) Set(key, value string) { metadata.MD(m).Set(key, value) }

// Keys implements [propagation.TextMapCarrier].
func (m incoming) Keys() []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}
