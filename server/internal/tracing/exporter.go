package tracing

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/exportgate/exportgate/server/internal/certs"
)

const (
	// sayEvery is how often the loss of spans is logged at most.
	sayEvery = time.Minute
	// maxError is how much of an error is logged, in bytes: a collector's answer may be in it.
	maxError = 512
)

// exporter sends spans by OTLP, and keeps to itself that it could not: the SDK would tell the process's standard error at
// every attempt. The SDK calls it from one goroutine at a time.
type exporter struct {
	otlp     sdktrace.SpanExporter
	client   *http.Client // nil where it speaks gRPC
	log      *slog.Logger
	endpoint string

	late   context.Context // ends when no time is left to send anything
	giveUp context.CancelFunc
	ended  chan struct{} // closed when the SDK has shut it down

	lost int       // spans, since it was last logged
	said time.Time // when that was; zero while spans arrive
}

// newExporter takes from the environment what an exporter reads by itself. Collectors take gRPC at one port and HTTP at
// another, and what of it is open is not ours to choose, so there are both.
func newExporter(ctx context.Context, s settings, log *slog.Logger) (*exporter, error) {
	e := &exporter{log: log, endpoint: s.endpoint.String(), ended: make(chan struct{})}
	var client otlptrace.Client
	if s.protocol == protocolGRPC {
		client = otlptracegrpc.NewClient()
	} else {
		secure, err := s.tls(log) //nolint:contextcheck // Files are read, for a moment.
		if err != nil {
			return nil, err
		}
		// The exporter's own transport is the whole process's, so that its connections are nobody's to close.
		e.client = &http.Client{Timeout: s.timeout, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: secure, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: s.timeout, MaxResponseHeaderBytes: 64 << 10,
		}}
		client = otlptracehttp.NewClient(otlptracehttp.WithHTTPClient(e.client), otlptracehttp.WithMaxResponseSize(64<<10))
	}
	otlp, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.endpoint, err)
	}
	e.otlp = otlp
	e.late, e.giveUp = context.WithCancel(context.Background())
	return e, nil
}

// tls is nil where the endpoint is http.
func (s *settings) tls(log *slog.Logger) (*tls.Config, error) {
	if s.endpoint.Scheme == "http" {
		return nil, nil
	}
	source, err := certs.Open(s.files, certs.Options{Name: otlp + "CERTIFICATE", Logger: log})
	if err != nil {
		return nil, err
	}
	return source.Client(), nil
}

// ExportSpans implements [sdktrace.SpanExporter]. It never fails: what cannot be sent is lost, and logged.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.late, cancel)() //nolint:contextcheck // The end of all, however long the SDK would wait.
	e.exported(ctx, len(spans), e.otlp.ExportSpans(ctx, spans))
	return nil
}

// exported logs that spans are lost, and then that they arrive again.
func (e *exporter) exported(ctx context.Context, spans int, err error) {
	switch {
	case err == nil && !e.said.IsZero():
		e.log.LogAttrs(ctx, slog.LevelInfo, "traces arrive again", slog.String("endpoint", e.endpoint), slog.Int("lost_spans", e.lost))
		e.lost, e.said = 0, time.Time{}
	case err != nil:
		e.lost += spans
		if time.Since(e.said) < sayEvery {
			return
		}
		text := err.Error()
		e.log.LogAttrs(ctx, slog.LevelWarn, "traces are lost: check the collector and OTEL_EXPORTER_OTLP_*",
			slog.String("endpoint", e.endpoint), slog.Int("lost_spans", e.lost), slog.String("error", text[:min(len(text), maxError)]))
		e.lost, e.said = 0, time.Now()
	}
}

// Shutdown implements [sdktrace.SpanExporter].
func (e *exporter) Shutdown(ctx context.Context) error {
	defer close(e.ended)
	err := e.otlp.Shutdown(ctx)
	if e.client != nil {
		e.client.CloseIdleConnections()
	}
	return err
}
