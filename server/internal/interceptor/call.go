package interceptor

import (
	"context"
	"log/slog"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// calls learns who calls, and logs a line when the call has ended.
type calls struct{ Options }

// ServerReporter begins a call. What it learns is in the context that the rest of the chain gets.
func (c calls) ServerReporter(ctx context.Context, meta interceptors.CallMeta) (
	interceptors.Reporter, context.Context,
) {
	ctx = withRequestID(c.withPeer(ctx))
	return &call{ctx: ctx, logger: c.Logger, meta: meta}, ctx
}

// call is one call.
type call struct {
	interceptors.NoopReporter

	ctx    context.Context
	logger *slog.Logger
	meta   interceptors.CallMeta
}

// PostCall logs the call.
func (c *call) PostCall(err error, took time.Duration) {
	st := statusOf(err)
	attrs := []slog.Attr{
		slog.String("method", c.meta.FullMethod()),
		slog.String("peer", peerOf(c.ctx)),
		slog.String("user_agent", userAgent(c.ctx)),
		slog.String("request_id", requestID(c.ctx)),
		slog.String("code", st.Code().String()),
		slog.Duration("duration", took),
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", st.Message()))
	}
	c.logger.LogAttrs(c.ctx, level(changes(c.meta), st.Code()), "call", attrs...)
}

// level is as loud as a call deserves: reads, which dashboards and probes repeat for ever, only where the fault is
// ours.
func level(changes bool, code codes.Code) slog.Level {
	switch {
	case code == codes.Internal || code == codes.Unknown || code == codes.DataLoss:
		return slog.LevelError
	case !changes:
		return slog.LevelDebug
	case code == codes.OK:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// changes reports whether a call is one of ours that may change something, as the proto file declares it.
func changes(meta interceptors.CallMeta) bool {
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

// statusOf reads an error as a gRPC server does before it sends it.
func statusOf(err error) *status.Status {
	if st, ok := status.FromError(err); ok {
		return st
	}
	return status.FromContextError(err)
}
