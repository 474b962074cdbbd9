package zeebe

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/tracing"
)

// request is a request to a broker. It has no body.
type request struct {
	operation     string
	method        string
	address, path string
	limit         time.Duration // the client's timeout if zero
}

// toPhase is a request to change the phase.
func toPhase(phase exporting.Phase, address, path string) request {
	return request{method: http.MethodPost, address: address, path: path, operation: map[exporting.Phase]string{
		exporting.PhaseExporting: operationResume, exporting.PhaseSoftPaused: operationSoftPause, exporting.PhasePaused: operationPause,
	}[phase]}
}

// get is a request to read something.
func get(operation, address, path string) request {
	return request{operation: operation, method: http.MethodGet, address: address, path: path}
}

// call sends a request and reads the answer, and tells the observer what came of both: a page for people in the place of an
// answer is no success.
func call[T any](ctx context.Context, c *Client, r request, read func(answer) (T, error)) (value T, err error) {
	ctx, end := c.begin(ctx, r)
	defer func() { end(err) }()
	a, err := c.send(ctx, r)
	if err != nil {
		return value, err
	}
	return read(a)
}

// begin tells the observer of a request.
func (c *Client) begin(ctx context.Context, r request) (context.Context, func(error)) {
	path, _, _ := strings.Cut(r.path, "?")
	return c.observer.begin(ctx, r.operation, r.method+" "+path, r.attributes)
}

func (r request) attributes() []attribute.KeyValue {
	attributes := []attribute.KeyValue{semconv.HTTPRequestMethodKey.String(r.method), semconv.URLFull(r.address + r.path)}
	if u, err := url.Parse(r.address); err == nil {
		attributes = append(attributes, serverAttributes(u.Host)...)
	}
	return attributes
}

// do sends a request. The body of the answer is to be closed. A broker is told the span that it is of, and by which name
// it was found.
func (c *Client) do(ctx context.Context, r request, accept string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.address+r.path, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	for name, value := range tracing.Headers(ctx) {
		req.Header.Set(name, value)
	}
	// All operations used here are idempotent. An empty list tells the transport so, without sending the header: a POST
	// that meets a connection which the broker is just closing then goes out on another.
	req.Header["Idempotency-Key"] = []string{}
	if name := c.names.of(req.URL.Host); name != "" {
		req.Host = net.JoinHostPort(name, req.URL.Port()) // Servers compare it to the name that TLS was asked for.
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.silence(err)
	}
	trace.SpanFromContext(ctx).SetAttributes(semconv.HTTPResponseStatusCode(resp.StatusCode))
	return resp, nil
}
