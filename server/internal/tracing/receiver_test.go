package tracing

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// receiver is a collector that takes OTLP by gRPC and by HTTP.
type receiver struct {
	collector.UnimplementedTraceServiceServer

	mu       sync.Mutex
	requests []*collector.ExportTraceServiceRequest
	tokens   []string
	refuses  bool
	hang     chan struct{} // closed when requests are answered; nil where they are at once
}

// take is what both ways end in.
func (r *receiver) take(ctx context.Context, token string, request *collector.ExportTraceServiceRequest) bool {
	if r.hang != nil {
		select {
		case <-r.hang:
		case <-ctx.Done():
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens = append(r.tokens, token)
	if !r.refuses {
		r.requests = append(r.requests, request)
	}
	return !r.refuses
}

func (r *receiver) refuse(refuses bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuses = refuses
}

func (r *receiver) Export(ctx context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	token := metadata.ValueFromIncomingContext(ctx, "api-key")
	if !r.take(ctx, append(token, "")[0], request) {
		return nil, status.Error(codes.PermissionDenied, "no such key")
	}
	return new(collector.ExportTraceServiceResponse), nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	traces := new(collector.ExportTraceServiceRequest)
	if request.Header.Get("Content-Type") == "application/json" {
		err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(body, traces)
	} else if err == nil {
		err = proto.Unmarshal(body, traces)
	}
	if err != nil || request.URL.Path != "/v1/traces" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if !r.take(request.Context(), request.Header.Get("Api-Key"), traces) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "no such key")
	}
}

// serveHTTP serves OTLP over HTTP and returns its URL.
func (r *receiver) serveHTTP(t *testing.T, config *tls.Config) string {
	t.Helper()
	server := httptest.NewUnstartedServer(r)
	if config == nil {
		server.Start()
	} else {
		server.TLS = config
		server.StartTLS()
	}
	t.Cleanup(server.Close)
	return server.URL
}

// serveGRPC serves OTLP over gRPC and returns its URL.
func (r *receiver) serveGRPC(t *testing.T, config *tls.Config) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	scheme, options := "http://", []grpc.ServerOption{}
	if config != nil {
		scheme, options = "https://", append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	server := grpc.NewServer(options...)
	collector.RegisterTraceServiceServer(server, r)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return scheme + listener.Addr().String()
}

// spans are the names of the spans that arrived, and resource what the first of them come from.
func (r *receiver) spans() (names []string, resource map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	resource = map[string]string{}
	for _, request := range r.requests {
		for _, of := range request.GetResourceSpans() {
			for _, a := range of.GetResource().GetAttributes() {
				resource[a.GetKey()] = a.GetValue().GetStringValue()
			}
			for _, scope := range of.GetScopeSpans() {
				for _, span := range scope.GetSpans() {
					names = append(names, span.GetName())
				}
			}
		}
	}
	return names, resource
}
