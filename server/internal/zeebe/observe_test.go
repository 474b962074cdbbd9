package zeebe

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/server/internal/certs/certstest"
	"github.com/exportgate/exportgate/server/internal/exporting"
)

func serverTLS(pair *certstest.Pair) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair.TLS}}
}

func contextThatEnds(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), 50*time.Millisecond)
}

// observed remembers requests.
type observed struct {
	mu  sync.Mutex
	all []string
}

func (o *observed) request(operation, outcome string, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, operation+" "+outcome)
}

func (o *observed) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.all
	o.all = nil
	return all
}

// What is observed of a request is what came of it, not only its HTTP status.
func TestObserve(t *testing.T) {
	answers := func(request string, status int, body string) func(*fakeBroker) {
		return func(b *fakeBroker) { b.on(request, status, body) }
	}
	read := func(c *Client, b *fakeBroker) error {
		_, err := c.Read(t.Context(), exporting.Broker{ID: "0", Address: b.address()})
		return err
	}
	write := func(phase exporting.Phase) func(*Client, *fakeBroker) error {
		return func(c *Client, b *fakeBroker) error {
			return c.Write(t.Context(), exporting.Lever{ID: exporting.LeverID(b.address())}, phase)
		}
	}
	change := func(c *Client, _ *fakeBroker) error {
		return c.Write(t.Context(), exporting.Lever{ID: clusterLever, Planned: true}, exporting.PhasePaused)
	}
	const partitions = "GET /partitions"
	for _, test := range []struct {
		name   string
		broker func(*fakeBroker)
		do     func(*Client, *fakeBroker) error
		want   []string
	}{
		{"a read", nil, read, []string{"partitions ok"}},
		{"a page for people", answers(partitions, http.StatusOK, html), read, []string{"partitions bad_answer"}},
		{"a failure", answers(partitions, http.StatusInternalServerError, springError), read, []string{"partitions refused"}},
		{"no such endpoint", answers(partitions, http.StatusNotFound, ""), read, []string{"partitions refused"}},
		{"a redirect", answers(partitions, http.StatusFound, ""), read, []string{"partitions refused"}},
		{"silence", func(b *fakeBroker) { b.hangs(partitions) }, read, []string{"partitions timeout"}},
		{"a broken connection", func(b *fakeBroker) {
			b.handle(partitions, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100")
				_, _ = io.WriteString(w, "{")
			})
		}, read, []string{"partitions unreachable"}},
		{"nobody", func(b *fakeBroker) { b.server.Close() }, read, []string{"partitions unreachable"}},
		{"whoever asks gives up", func(b *fakeBroker) { b.hangs(partitions) }, func(c *Client, b *fakeBroker) error {
			ctx, cancel := contextThatEnds(t)
			defer cancel()
			_, err := c.Read(ctx, exporting.Broker{ID: "0", Address: b.address()})
			return err
		}, []string{"partitions given_up"}},
		{"a resume", nil, write(exporting.PhaseExporting), []string{"resume ok"}},
		{"a pause", nil, write(exporting.PhasePaused), []string{"partitions ok", "pause ok"}},
		{"a soft pause", nil, write(exporting.PhaseSoftPaused), []string{"soft_pause ok"}},
		{
			"a soft pause that is not known", answers("POST /partitions/softPauseExporting", http.StatusNoContent, ""),
			write(exporting.PhaseSoftPaused),
			[]string{"soft_pause refused"},
		},
		{"a change of the cluster", func(b *fakeBroker) { b.new810("EXPORTING") }, change, []string{"cluster ok", "pause ok"}},
		{"a failure with HTTP 200", func(b *fakeBroker) {
			b.new810("EXPORTING").on("POST /exporting/pause", http.StatusOK, `{"status":500,"body":{"message":"no"}}`)
		}, change, []string{"cluster ok", "pause refused"}},
		{"a change that meets another", func(b *fakeBroker) {
			b.new810("EXPORTING").on("POST /exporting/pause", http.StatusConflict, `"CONCURRENT_MODIFICATION"`)
		}, change, []string{"cluster ok", "pause refused"}},
		{"no disk", nil, func(c *Client, b *fakeBroker) error {
			_, err := c.Disk(t.Context(), exporting.Broker{ID: "0", Address: b.address()})
			return err
		}, []string{"metrics refused"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var o observed
			var log bytes.Buffer
			b := newFakeBroker(t).old("EXPORTING")
			c := newClient(t, func(opts *Options) {
				opts.Observe, opts.RequestTimeout, opts.DiskPath = o.request, 300*time.Millisecond, "/data"
				opts.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			}, b)
			if strings.Contains(test.name, "change") || strings.Contains(test.name, "200") {
				test.broker(b)
				topologyOf(t, c)
			} else {
				topologyOf(t, c)
				if test.broker != nil {
					test.broker(b)
				}
			}
			o.take()
			log.Reset()
			err := test.do(c, b)
			got := o.take()
			for _, request := range got {
				operation, outcome, _ := strings.Cut(request, " ")
				line := "msg=request operation=" + operation + " outcome=" + outcome + " duration="
				if !strings.Contains(log.String(), line) || !strings.Contains(log.String(), "url.full=") || !strings.Contains(log.String(), b.address()) {
					t.Errorf("the log has no line of %s: %s", request, log.String())
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("what is observed differs (-want +got):\n%s", diff)
			}
			if ok := strings.HasSuffix(got[len(got)-1], " ok"); ok != (err == nil) {
				t.Errorf("observed %v, and the error is %v", got, err)
			}
		})
	}
}

// The words are a fixed set.
func TestObserveWords(t *testing.T) {
	g := newFakeGateway(t, oneBroker())
	var o observed
	c := gatewayClientWith(t, g, newFakeBroker(t).old("EXPORTING"), func(opts *Options) { opts.Observe = o.request })
	for code, want := range map[codes.Code]string{
		codes.OK: outcomeOK, codes.Unavailable: outcomeUnreachable, codes.DeadlineExceeded: outcomeTimeout,
		codes.Unauthenticated: outcomeRefused, codes.Unimplemented: outcomeRefused, codes.Canceled: outcomeGivenUp,
	} {
		g.tells(oneBroker(), status.Error(code, "because"))
		_, _ = c.finder.find(t.Context())
		if diff := cmp.Diff([]string{"topology " + want}, o.take()); diff != "" {
			t.Errorf("%v differs (-want +got):\n%s", code, diff)
		}
	}
}

// A request is a span below the one that it is a part of, and the broker is told; without that it is none.
func TestSpans(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	b := newFakeBroker(t).old("EXPORTING")
	var parents []string
	b.handle("GET /partitions", func(w http.ResponseWriter, r *http.Request) {
		parents = append(parents, r.Header.Get("Traceparent"))
		_, _ = io.WriteString(w, partitionsIn("EXPORTING"))
	})
	g := newFakeGateway(t, oneBroker())
	c := gatewayClientWith(t, g, b, func(o *Options) { o.Tracing = provider })
	broker := topologyOf(t, c).Brokers[0]
	if _, err := c.Read(t.Context(), broker); err != nil {
		t.Fatal(err)
	}
	if all := spans.GetSpans(); len(all) > 0 || parents[0] != "" || len(g.asked[0].Get("traceparent")) > 0 {
		t.Errorf("what nobody asked for has the spans %v and the parent %q", all, parents)
	}

	ctx, parent := provider.Tracer("test").Start(t.Context(), "drive")
	if _, err := c.Read(ctx, broker); err != nil {
		t.Fatal(err)
	}
	if _, err := c.finder.find(ctx); err != nil {
		t.Fatal(err)
	}
	b.on("GET /partitions", http.StatusServiceUnavailable, "")
	if _, err := c.Read(ctx, broker); err == nil {
		t.Fatal("it answered")
	}
	all := spans.GetSpans()
	if len(all) != 3 {
		t.Fatalf("there are %d spans", len(all))
	}
	wants := []struct {
		name   string
		status otelcodes.Code
		attribute.KeyValue
	}{
		{"GET /partitions", otelcodes.Unset, attribute.Int("http.response.status_code", 200)},
		{"gateway_protocol.Gateway/Topology", otelcodes.Unset, attribute.String("rpc.method", topologyMethod)},
		{"GET /partitions", otelcodes.Error, attribute.String("error.type", "refused")},
	}
	for i, want := range wants {
		span := &all[i]
		has := false
		for _, a := range span.Attributes {
			has = has || a == want.KeyValue
		}
		if span.Name != want.name || span.Status.Code != want.status || !has || span.Parent.SpanID() != parent.SpanContext().SpanID() {
			t.Errorf("the span is %+v, want %+v", span, want)
		}
	}
	if want := all[0].SpanContext.SpanID().String(); !strings.Contains(parents[1], want) {
		t.Errorf("the broker is told %q, want the span %s", parents[1], want)
	}
	if want := all[1].SpanContext.SpanID().String(); !strings.Contains(strings.Join(g.asked[1].Get("traceparent"), ""), want) {
		t.Errorf("the gateway is told %q, want the span %s", g.asked[1].Get("traceparent"), want)
	}
}
