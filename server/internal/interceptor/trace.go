package interceptor

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/reason"
	"github.com/exportgate/exportgate/server/internal/tracing"
)

// tracerName says whose spans they are.
const tracerName = "github.com/exportgate/exportgate/server/internal/interceptor"

// traces gives each call of the service a span, below the one that the caller names; a stream is one. Health checks,
// scrapes and the like have none: they go on all the time, and are of no interest one by one.
type traces struct{ *Chain }

// ServerReporter begins a call.
func (t traces) ServerReporter(ctx context.Context, meta interceptors.CallMeta) (interceptors.Reporter, context.Context) {
	reported := callOf(ctx)
	ctx = tracing.Extract(ctx)
	reported.ctx = ctx // The caller's trace is in the log also of a call that has no span.
	if meta.Service != exportgatev1.ExportingService_ServiceDesc.ServiceName {
		return interceptors.NoopReporter{}, ctx
	}
	method := strings.TrimPrefix(meta.FullMethod(), "/")
	ctx, span := t.tracer.Start(ctx, method, trace.WithSpanKind(trace.SpanKindServer))
	reported.ctx = ctx
	if !span.IsRecording() {
		return interceptors.NoopReporter{}, ctx
	}
	span.SetAttributes(semconv.RPCSystemNameGRPC, semconv.RPCMethod(method),
		attribute.String("exportgate.request_id", requestID(ctx)), attribute.String("exportgate.door", reported.door))
	if host, _, err := net.SplitHostPort(peerOf(ctx)); err == nil {
		span.SetAttributes(semconv.ClientAddress(host))
	}
	return traced{span: span}, ctx
}

// traced is a call with a span.
type traced struct {
	interceptors.NoopReporter

	span trace.Span
}

// PostMsgReceive names the hold that a request is about.
func (t traced) PostMsgReceive(message any, _ error, _ time.Duration) {
	if about, ok := message.(interface{ GetHold() string }); ok && about.GetHold() != "" {
		t.span.SetAttributes(attribute.String("exportgate.hold", clip(about.GetHold())))
	}
}

// PostCall ends the span. What the caller did wrong is no error of the server's, by OpenTelemetry's conventions.
func (t traced) PostCall(err error, _ time.Duration) {
	st := reason.Status(err)
	t.span.SetAttributes(semconv.RPCResponseStatusCode(code.Code(st.Code()).String())) //nolint:gosec // They are the same small numbers.
	if ours(st.Code()) {
		t.span.SetStatus(otelcodes.Error, st.Message())
	}
	t.span.End()
}

// ours reports whether a code is a failure of the server.
func ours(c codes.Code) bool {
	return c == codes.Unknown || c == codes.DeadlineExceeded || c == codes.Unimplemented || c == codes.Internal ||
		c == codes.Unavailable || c == codes.DataLoss
}
