package interceptor

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	callersSpan  = "b7ad6b7169203331"
)

// attributesOf are a span's, but for those that differ from run to run.
func attributesOf(span *tracetest.SpanStub) map[string]string {
	attributes := map[string]string{}
	for _, a := range span.Attributes {
		attributes[string(a.Key)] = a.Value.String()
	}
	return attributes
}

// Every call of the service is one span, below the caller's, and its trace is in the log.
func TestCallHasASpan(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	service := new(fake)
	var log bytes.Buffer
	conn := serve(t, service, Options{Logger: debugLogger(&log), Tracing: provider})
	client := exportgatev1.NewExportingServiceClient(conn)

	for _, test := range []struct {
		err  error
		code string
		want otelcodes.Code
	}{
		{nil, "OK", otelcodes.Unset},
		{status.Error(codes.FailedPrecondition, "held"), "FAILED_PRECONDITION", otelcodes.Unset},
		{status.Error(codes.DeadlineExceeded, "late"), "DEADLINE_EXCEEDED", otelcodes.Error},
		{errors.New("unforeseen"), "UNKNOWN", otelcodes.Error},
	} {
		spans.Reset()
		log.Reset()
		service.err = test.err
		ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+callersTrace+"-"+callersSpan+"-01", "x-request-id", "r1")
		if _, err := client.Pause(ctx, &exportgatev1.PauseRequest{Hold: "backup"}); (err == nil) != (test.err == nil) {
			t.Fatalf("the call answers %v", err)
		}
		ended := spans.GetSpans()
		if len(ended) != 1 {
			t.Fatalf("%s: %d spans, want one", test.code, len(ended))
		}
		span := &ended[0]
		if span.Name != "exportgate.v1.ExportingService/Pause" || span.SpanKind != trace.SpanKindServer || span.Status.Code != test.want ||
			span.SpanContext.TraceID().String() != callersTrace || span.Parent.SpanID().String() != callersSpan {
			t.Errorf("%s: the span is %q (%v) of trace %s below %s, with status %v", test.code, span.Name, span.SpanKind,
				span.SpanContext.TraceID(), span.Parent.SpanID(), span.Status)
		}
		want := map[string]string{
			"rpc.system.name": "grpc", "rpc.method": "exportgate.v1.ExportingService/Pause", "rpc.response.status_code": test.code,
			"exportgate.request_id": "r1", "exportgate.hold": "backup", "exportgate.door": "grpc",
		}
		if diff := cmp.Diff(want, attributesOf(span)); diff != "" {
			t.Errorf("%s: attributes differ (-want +got):\n%s", test.code, diff)
		}
		if line := lines(t, &log)[0]; line["trace_id"] != callersTrace {
			t.Errorf("%s: the log has the trace %v", test.code, line["trace_id"])
		}
	}
}

// A stream is one span, of as long as it lasts.
func TestStreamHasASpan(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	conn := serve(t, new(fake), Options{Logger: discard(), Tracing: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))})
	stream, err := exportgatev1.NewExportingServiceClient(conn).WatchStatus(t.Context(), &exportgatev1.WatchStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = stream.Recv(); status.Code(err) != codes.Unimplemented && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	ended := spans.GetSpans()
	if len(ended) != 1 || ended[0].Name != "exportgate.v1.ExportingService/WatchStatus" || ended[0].Parent.IsValid() ||
		attributesOf(&ended[0])["rpc.response.status_code"] != "UNIMPLEMENTED" {
		t.Errorf("the spans are %+v", ended)
	}
}

// What goes on all the time has no span, but the log has the trace of who asks.
func TestProbesHaveNoSpan(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	var log bytes.Buffer
	o := Options{Logger: debugLogger(&log), Tracing: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))}
	conn := serve(t, new(fake), o)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+callersTrace+"-"+callersSpan+"-01")
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	o.Guard = open(t)
	_, end, err := New(o).Admit(metadata.NewIncomingContext(t.Context(), metadata.Pairs("traceparent", "garbage")), "GET /prometheus")
	if err != nil {
		t.Fatal(err)
	}
	end(nil)
	if ended := spans.GetSpans(); len(ended) != 0 {
		t.Errorf("there are spans: %+v", ended)
	}
	all := lines(t, &log)
	if len(all) != 2 || all[0]["trace_id"] != callersTrace || all[1]["trace_id"] != nil {
		t.Errorf("the log is %v", all)
	}
}

// A hold's name is whatever the caller sent: of a long one not all is kept.
func TestLongHoldInASpan(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	_, span := provider.Tracer("test").Start(t.Context(), "a call")
	call := traced{span: span}
	call.PostMsgReceive(&exportgatev1.PauseRequest{Hold: string(bytes.Repeat([]byte("é"), 1000))}, nil, time.Second)
	call.PostMsgReceive(nil, io.EOF, 0)
	call.PostCall(nil, time.Second)
	for _, a := range spans.GetSpans()[0].Attributes {
		if a.Key == attribute.Key("exportgate.hold") && len(a.Value.AsString()) > 256 {
			t.Errorf("the hold has %d bytes", len(a.Value.AsString()))
		}
	}
}
