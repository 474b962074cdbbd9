package tracing

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"

	"github.com/exportgate/exportgate/server/internal/certs/certstest"
)

// setenv gives the process these variables, and no others of OpenTelemetry's.
func setenv(t *testing.T, variables map[string]string) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
	for name, value := range variables {
		t.Setenv(name, value)
	}
}

// open opens tracing that the test shuts down.
func open(t *testing.T, log *bytes.Buffer) *Tracing {
	t.Helper()
	tracing, err := New(t.Context(), Options{
		Version: "1.2.3", Instance: "exportgate-0", Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tracing.Shutdown(t.Context()) }) // A test that passes has shut it down.
	return tracing
}

// span makes one span.
func (t *Tracing) span(ctx context.Context, name string) {
	_, span := t.TracerProvider().Tracer("test").Start(ctx, name)
	span.End()
}

// Spans arrive by every way that the standard knows, from whom the environment says, with its headers.
func TestSpansArrive(t *testing.T) {
	ca := certstest.NewAuthority(t, "ca")
	own := ca.Issue(t, certstest.Leaf{IP: []string{"127.0.0.1"}})
	files, trust := own.Write(t, t.TempDir()), filepath.Join(t.TempDir(), "ca.crt")
	certstest.WriteFile(t, trust, ca.PEM())
	// httptest and gRPC add ALPN to it themselves.
	mutual := func() *tls.Config {
		return &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own.TLS}, ClientCAs: ca.Pool(),
			ClientAuth: tls.RequireAndVerifyClientCert,
		}
	}
	for _, protocol := range []string{"", protocolGRPC, protocolProto, protocolJSON} {
		for _, secure := range []bool{false, true} {
			t.Run(protocol+map[bool]string{true: " over TLS"}[secure], func(t *testing.T) {
				variables := map[string]string{
					"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20token",
					"OTEL_SERVICE_NAME": "gate", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,service.version=9",
				}
				var config *tls.Config
				if secure {
					config = mutual()
					variables["OTEL_EXPORTER_OTLP_CERTIFICATE"] = trust
					variables["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"], variables["OTEL_EXPORTER_OTLP_CLIENT_KEY"] = files.Certificate, files.Key
				}
				r := new(receiver)
				serve := r.serveHTTP
				if protocol == protocolGRPC {
					serve = r.serveGRPC
				}
				variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = serve(t, config)
				setenv(t, variables)

				var log bytes.Buffer
				tracing := open(t, &log)
				tracing.span(t.Context(), "one")
				tracing.span(t.Context(), "two")
				for range 2 { // The second time it is over.
					if err := tracing.Shutdown(t.Context()); err != nil {
						t.Error(err)
					}
				}
				names, from := r.spans()
				if !slices.Equal(names, []string{"one", "two"}) || !slices.Contains(r.tokens, "a token") {
					t.Errorf("spans %q with the keys %q arrived", names, r.tokens)
				}
				for key, want := range map[string]string{
					"service.name": "gate", "service.version": "9", "service.instance.id": "exportgate-0", "deployment.environment.name": "test",
				} {
					if from[key] != want {
						t.Errorf("they come from %s %q, want %q", key, from[key], want)
					}
				}
				if !tracing.On() || !strings.Contains(log.String(), "traces are sent") || strings.Contains(log.String(), "token") {
					t.Errorf("the log is:\n%s", &log)
				}
			})
		}
	}
}

// Without an endpoint, or switched off, nothing runs (goleak) and nothing is recorded.
func TestOff(t *testing.T) {
	endpoint := "http://127.0.0.1:4318"
	for _, variables := range []map[string]string{
		{},
		{"OTEL_SERVICE_NAME": "gate", "OTEL_TRACES_SAMPLER": "of another program", "OTEL_TRACES_EXPORTER": "zipkin"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SDK_DISABLED": "TRUE"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint, "OTEL_TRACES_EXPORTER": "none"},
	} {
		setenv(t, variables)
		var log bytes.Buffer
		tracing := open(t, &log)
		_, span := tracing.TracerProvider().Tracer("test").Start(t.Context(), "nothing")
		if tracing.On() || span.IsRecording() || span.SpanContext().IsValid() || log.Len() > 0 {
			t.Errorf("%v: it records, and logs %q", variables, log.String())
		}
		if err := tracing.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Lost spans are logged once in a while, and that they arrive again is.
func TestLossIsLogged(t *testing.T) {
	r := &receiver{refuses: true}
	setenv(t, map[string]string{
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": r.serveHTTP(t, nil) + "/v1/traces", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=secret",
	})
	var log bytes.Buffer
	tracing := open(t, &log)
	send := func(name string) {
		t.Helper()
		tracing.span(t.Context(), name)
		if err := tracing.sdk.ForceFlush(t.Context()); err != nil {
			t.Errorf("the SDK was told: %v", err)
		}
	}
	log.Reset()
	for range 3 {
		send("lost")
	}
	r.refuse(false)
	send("found")
	if err := tracing.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "traces are lost") || !strings.Contains(lines[0], "no such key") ||
		!strings.Contains(lines[1], "traces arrive again") || !strings.Contains(lines[1], "lost_spans=2") {
		t.Errorf("the log is:\n%s", &log)
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("the log tells the header's value:\n%s", &log)
	}
	if names, _ := r.spans(); !slices.Equal(names, []string{"found"}) {
		t.Errorf("%q arrived", names)
	}
}

// A collector that never answers keeps no server from stopping, and leaves nothing running (goleak).
func TestShutdownIsBounded(t *testing.T) {
	for _, protocol := range []string{protocolGRPC, protocolProto} {
		t.Run(protocol, func(t *testing.T) {
			r := &receiver{hang: make(chan struct{})}
			serve := r.serveHTTP
			if protocol == protocolGRPC {
				serve = r.serveGRPC
			}
			endpoint := serve(t, nil)
			t.Cleanup(func() { close(r.hang) }) // before the server stops
			setenv(t, map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1",
			})
			var log bytes.Buffer
			tracing := open(t, &log)
			for range 10 {
				tracing.span(t.Context(), "stuck")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			began := time.Now()
			err := tracing.Shutdown(ctx)
			if took := time.Since(began); err == nil || took > 5*time.Second {
				t.Errorf("it took %v, and the error is %v", took, err)
			}
		})
	}
}

func TestPropagation(t *testing.T) {
	const id, parent = "0af7651916cd43dd8448eb211c80319c", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, test := range []struct {
		name     string
		metadata metadata.MD
		id       string
	}{
		{"nothing", nil, ""},
		{"a trace", metadata.Pairs("traceparent", parent, "tracestate", "a=1", "tracestate", "b=2"), id},
		{"two traces", metadata.Pairs("traceparent", parent, "traceparent", parent), ""},
		{"garbage", metadata.Pairs("traceparent", "00-zz"), ""},
		{"no trace", metadata.Pairs("traceparent", strings.ReplaceAll(parent, id, strings.Repeat("0", 32))), ""},
	} {
		ctx := t.Context()
		if test.metadata != nil {
			ctx = metadata.NewIncomingContext(ctx, test.metadata)
		}
		ctx = Extract(ctx)
		if got := ID(ctx); got != test.id {
			t.Errorf("%s: the trace is %q, want %q", test.name, got, test.id)
		}
		want := map[string]string{}
		if test.id != "" {
			want = map[string]string{"traceparent": parent, "tracestate": "a=1,b=2"}
		}
		if diff := cmp.Diff(want, Headers(ctx)); diff != "" {
			t.Errorf("%s: what is passed on differs (-want +got):\n%s", test.name, diff)
		}
		if test.id != "" && !trace.SpanContextFromContext(ctx).IsRemote() {
			t.Errorf("%s: the caller's span counts as our own", test.name)
		}
	}
}
