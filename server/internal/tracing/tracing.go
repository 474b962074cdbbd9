// Package tracing sends traces to an OpenTelemetry collector (OTLP), if the environment names one, in the variables that
// OpenTelemetry gives the same meaning everywhere (OTEL_EXPORTER_OTLP_ENDPOINT, ...). While it names none, nothing is made,
// sent or paid for.
//
// Nothing is set for the whole process: the provider is handed to whoever makes spans, and what goes wrong is logged here.
// The one thing that is the process's is the environment, which the SDK reads by itself.
//
// It must not know what the spans are about.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// serviceName is what the spans' service is called unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say otherwise.
const serviceName = "exportgate"

// Options are what the environment does not tell.
type Options struct {
	// Version is the program's.
	Version string
	// Instance tells servers apart that share a service name; nothing does if it is empty.
	Instance string
	// Logger is told where traces are sent, and at most once a minute that they are lost; nobody is if nil.
	Logger *slog.Logger
}

// Tracing is where spans go. Shut it down after whatever makes them.
type Tracing struct {
	provider trace.TracerProvider
	sdk      *sdktrace.TracerProvider // nil where tracing is off
	exporter *exporter
}

// New reads the environment and begins to send what its provider is given, if there is an endpoint to send it to. A
// collector that does not answer is no error: it may be there later. A variable that cannot be understood is one, which
// names the variable, and not its value where that may be a secret.
func New(ctx context.Context, o Options) (*Tracing, error) {
	s, err := read(os.Getenv)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	if s.endpoint == nil {
		return &Tracing{provider: noop.NewTracerProvider()}, nil
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	from, err := o.resource(ctx)
	if err != nil {
		return nil, fmt.Errorf("tracing: what the spans come from: %w", err)
	}
	e, err := newExporter(ctx, s, o.Logger)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(e), sdktrace.WithResource(from))
	o.Logger.InfoContext(ctx, "traces are sent", "endpoint", s.endpoint.String(), "protocol", s.protocol)
	return &Tracing{provider: provider, sdk: provider, exporter: e}, nil
}

// resource is what the spans come from. What the environment says of it comes last, and wins.
func (o *Options) resource(ctx context.Context) (*resource.Resource, error) {
	attributes := []attribute.KeyValue{semconv.ServiceName(serviceName)}
	if o.Version != "" {
		attributes = append(attributes, semconv.ServiceVersion(o.Version))
	}
	if o.Instance != "" {
		attributes = append(attributes, semconv.ServiceInstanceID(o.Instance))
	}
	return resource.New(ctx, resource.WithAttributes(attributes...), resource.WithTelemetrySDK(), resource.WithFromEnv())
}

// TracerProvider is where tracers are to be had; never nil. The spans of one that is off cost nothing.
func (t *Tracing) TracerProvider() trace.TracerProvider { return t.provider }

// On reports whether traces are sent anywhere.
func (t *Tracing) On() bool { return t.sdk != nil }

// Shutdown sends what there is to send, and stops. When the context ends, the rest is given up, which is an error. Nothing
// is left running when it returns. It may be called again.
func (t *Tracing) Shutdown(ctx context.Context) error {
	if t.sdk == nil {
		return nil
	}
	err := t.sdk.Shutdown(ctx)
	t.exporter.giveUp()
	<-t.exporter.ended
	if err != nil {
		return fmt.Errorf("tracing: the last spans were not sent in time: %w", err)
	}
	return nil
}

// ID is the trace that a context belongs to, in hexadecimal, for logs; empty where it belongs to none. A caller's trace
// counts also while tracing is off.
func ID(ctx context.Context) string {
	if id := trace.SpanContextFromContext(ctx).TraceID(); id.IsValid() {
		return id.String()
	}
	return ""
}
