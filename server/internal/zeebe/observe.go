package zeebe

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// Operations that requests are told apart by. A pause and a resume are the same, whether one broker
// carries them out or, from 8.10 on, the cluster.
const (
	operationPartitions = "partitions" // what the replicas do
	operationCluster    = "cluster"    // what the cluster is configured to be
	operationChanges    = "changes"    // which changes of that are pending, and so whether there can be any
	operationExporters  = "exporters"
	operationMetrics    = "metrics" // for a broker's disk
	operationPause      = "pause"
	operationSoftPause  = "soft_pause"
	operationResume     = "resume"
	operationTopology   = "topology" // of the gateway
	operationToken      = "token"    // for the gateway, of an identity provider
)

// Outcomes of requests.
const (
	outcomeOK          = "ok"
	outcomeTimeout     = "timeout"     // no answer in time
	outcomeUnreachable = "unreachable" // no connection, or one that broke
	outcomeRefused     = "refused"     // an answer that says no, whatever its HTTP status
	outcomeBadAnswer   = "bad_answer"  // one that cannot be understood
	outcomeGivenUp     = "given_up"    // whoever asked did not wait any longer
)

// tracerName says whose spans they are.
const tracerName = "github.com/exportgate/exportgate/server/internal/zeebe"

// observer tells of requests.
type observer struct {
	told   func(operation, outcome string, took time.Duration)
	tracer trace.Tracer
	logger *slog.Logger
}

func newObserver(o *Options) *observer {
	made := &observer{told: o.Observe, logger: o.Logger}
	if made.told == nil {
		made.told = func(string, string, time.Duration) {}
	}
	tracing := o.Tracing
	if tracing == nil {
		tracing = noop.NewTracerProvider()
	}
	made.tracer = tracing.Tracer(tracerName)
	return made
}

// begin tells that a request begins, and what it returns how it ended. The request gets a span if it is a part of something
// that has one: the reads that go on all the time would be most of what traces show, and nobody asked for them.
func (o *observer) begin(ctx context.Context, operation, name string, attributes func() []attribute.KeyValue) (context.Context, func(error)) {
	began := time.Now()
	var span trace.Span = noop.Span{}
	if trace.SpanContextFromContext(ctx).IsValid() {
		ctx, span = o.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
		if span.IsRecording() {
			span.SetAttributes(attribute.String("exportgate.operation", operation))
			span.SetAttributes(attributes()...)
		}
	}
	return ctx, func(err error) {
		outcome, took := outcomeOf(err), time.Since(began)
		o.told(operation, outcome, took)
		if o.logger.Enabled(ctx, slog.LevelDebug) {
			o.log(ctx, operation, outcome, took, err, attributes())
		}
		if err != nil {
			span.SetAttributes(semconv.ErrorTypeKey.String(outcome))
			span.SetStatus(otelcodes.Error, err.Error())
		}
		span.End()
	}
}

// log writes a line of a request, for who looks for what is wrong between this program and a broker.
func (o *observer) log(ctx context.Context, operation, outcome string, took time.Duration, err error, attributes []attribute.KeyValue) {
	line := []slog.Attr{slog.String("operation", operation), slog.String("outcome", outcome), slog.Duration("duration", took)}
	for _, a := range attributes {
		if a.Key == semconv.URLFullKey || a.Key == semconv.ServerAddressKey {
			line = append(line, slog.String(string(a.Key), a.Value.AsString()))
		}
	}
	if err != nil {
		line = append(line, slog.String("error", err.Error()))
	}
	o.logger.LogAttrs(ctx, slog.LevelDebug, "request", line...)
}

// outcomeOf is what came of a request.
func outcomeOf(err error) string {
	var (
		silent  *silentError
		refused *refusedError
		pending *exporting.PendingChangeError
		network net.Error
	)
	switch {
	case err == nil:
		return outcomeOK
	case errors.As(err, &silent) && silent.givenUp, errors.Is(err, context.Canceled):
		return outcomeGivenUp
	case errors.As(err, &refused), errors.As(err, &pending):
		return outcomeRefused
	case errors.As(err, &network) && network.Timeout():
		return outcomeTimeout
	case silent != nil:
		return outcomeUnreachable
	}
	return outcomeBadAnswer
}

// rpcOutcome makes of why a gateway did not answer what [outcomeOf] understands.
func rpcOutcome(err error) error {
	switch code := status.Code(err); {
	case err == nil:
		return nil
	case code == codes.Canceled:
		return context.Canceled
	case code == codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case code == codes.Unavailable:
		return &silentError{words: "unavailable", err: err}
	}
	return &refusedError{rpcWords(err, 0)}
}

// serverAttributes tell a host:port.
func serverAttributes(hostPort string) []attribute.KeyValue {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return []attribute.KeyValue{semconv.ServerAddress(hostPort)}
	}
	number, _ := strconv.Atoi(port) // It was checked when the address was.
	return []attribute.KeyValue{semconv.ServerAddress(host), semconv.ServerPort(number)}
}
