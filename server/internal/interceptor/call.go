package interceptor

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/caller"
	"github.com/exportgate/exportgate/server/internal/reason"
	"github.com/exportgate/exportgate/server/internal/tracing"
)

// calls learns who calls, and logs a line when the call has ended.
type calls struct{ *Chain }

// ServerReporter begins a call. What it learns is in the context that the rest of the chain gets.
func (c calls) ServerReporter(ctx context.Context, meta interceptors.CallMeta) (
	interceptors.Reporter, context.Context,
) {
	reported := &call{chain: c.Chain, operation: operationOf(meta), changes: changes(meta), door: doorGRPC, outside: ctx}
	ctx = withRequestID(c.withPeer(ctx, reported))
	ctx = context.WithValue(ctx, callKey{}, reported)
	reported.ctx, reported.address = ctx, peerOf(ctx)
	return reported, ctx
}

// call is one call, and what the chain finds out about it on the way in. It belongs to the call's goroutine.
type call struct {
	interceptors.NoopReporter

	chain     *Chain
	ctx       context.Context
	outside   context.Context // of the connection that it came by
	operation string          // a gRPC full method, or an HTTP method and path
	changes   bool            // it may change something
	door      string
	address   string // of who calls
	who       caller.Caller
	refused   bool   // it was not let in
	why       string // what the caller is not told of that
}

// The doors, as the audit log has them.
const (
	doorGRPC = "grpc"
	doorHTTP = "http"
)

type callKey struct{}

// callOf is the call of a context; one that knows nothing for a context that passed no chain.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{ctx: ctx, outside: ctx}
}

// PostCall logs the call.
func (c *call) PostCall(err error, took time.Duration) {
	st := reason.Status(err)
	level := c.level(st.Code())
	if !c.chain.options.Logger.Enabled(c.ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", c.operation),
		slog.String("peer", c.address),
		slog.String("user_agent", userAgent(c.ctx)),
		slog.String("request_id", requestID(c.ctx)),
		slog.String("code", st.Code().String()),
		slog.Duration("duration", took),
	}
	if id := tracing.ID(c.ctx); id != "" {
		attrs = append(attrs, slog.String("trace_id", id))
	}
	if c.who.Name != "" {
		attrs = append(attrs, slog.String("caller", c.who.Name), slog.String("role", c.who.Role.String()))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", st.Message()))
	}
	if c.why != "" {
		attrs = append(attrs, slog.String("why", c.why))
	}
	c.chain.options.Logger.LogAttrs(c.ctx, level, "call", attrs...)
}

// level is as loud as a call deserves: reads, which dashboards and probes repeat for ever, only where the fault is ours.
// Anybody can be refused, as often as it likes: no flood of that shall fill the log.
func (c *call) level(code codes.Code) slog.Level {
	switch {
	case code == codes.Internal || code == codes.Unknown || code == codes.DataLoss:
		return slog.LevelError
	case !c.changes, c.refused && !c.chain.loud.Allow():
		return slog.LevelDebug
	case code == codes.OK:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// operationOf is a gRPC full method, or for what only HTTP has what [endpoint] says.
func operationOf(meta interceptors.CallMeta) string {
	if meta.Method == "" {
		return meta.Service
	}
	return meta.FullMethod()
}

// changes reports whether a call may change something: one of ours as the proto file declares it, one that only HTTP has
// by its method.
func changes(meta interceptors.CallMeta) bool {
	if meta.Method == "" {
		return !strings.HasPrefix(meta.Service, "GET ")
	}
	service := exportgatev1.File_exportgate_v1_exporting_service_proto.Services().ByName("ExportingService")
	if meta.Service != string(service.FullName()) {
		return false
	}
	method := service.Methods().ByName(protoreflect.Name(meta.Method))
	if method == nil {
		return false
	}
	options, ok := method.Options().(*descriptorpb.MethodOptions)
	return !ok || options.GetIdempotencyLevel() != descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

// meters measures calls.
type meters struct{ *Chain }

// ServerReporter begins a call.
func (m meters) ServerReporter(ctx context.Context, _ interceptors.CallMeta) (interceptors.Reporter, context.Context) {
	measured := &meter{observe: m.options.Observe, operation: callOf(ctx).operation}
	if m.options.Started != nil {
		m.options.Started(measured.operation)
	}
	return measured, ctx
}

// meter measures one call.
type meter struct {
	interceptors.NoopReporter

	observe   func(operation, code string, took time.Duration)
	operation string
}

// PostCall tells how it went.
func (m *meter) PostCall(err error, took time.Duration) {
	if m.observe != nil {
		m.observe(m.operation, reason.Status(err).Code().String(), took)
	}
}
