package interceptor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/auth"
)

// fake answers with an error where it has one, and panics where it is told to.
type fake struct {
	exportgatev1.UnimplementedExportingServiceServer
	err  error
	boom bool
	peer string
}

func (f *fake) answer(ctx context.Context) error {
	if f.boom {
		panic("the secret of the panic")
	}
	f.peer = peerOf(ctx)
	return f.err
}

func (f *fake) Pause(ctx context.Context, _ *exportgatev1.PauseRequest) (*exportgatev1.PauseResponse, error) {
	return &exportgatev1.PauseResponse{}, f.answer(ctx)
}

func (f *fake) GetStatus(ctx context.Context, _ *exportgatev1.GetStatusRequest) (
	*exportgatev1.GetStatusResponse, error,
) {
	return &exportgatev1.GetStatusResponse{}, f.answer(ctx)
}

// serve runs a server with both chains and returns a connection to it.
func serve(t *testing.T, service *fake, o Options) *grpc.ClientConn {
	t.Helper()
	if o.Guard == nil {
		o.Guard = open(t)
	}
	chain := New(o)
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(chain.Unary()...), grpc.ChainStreamInterceptor(chain.Stream()...))
	exportgatev1.RegisterExportingServiceServer(server, service)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///test", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUserAgent("tester/1"),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := conn.Close()
		server.Stop()
		if err = errors.Join(err, <-done); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// lines decodes what was logged, without the parts that differ from run to run.
func lines(t *testing.T, log *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	for decoder := json.NewDecoder(log); decoder.More(); {
		var line map[string]any
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		delete(line, "time")
		all = append(all, line)
	}
	return all
}

// open is a guard that asks for nothing.
func open(tb testing.TB) *auth.Guard {
	tb.Helper()
	guard, err := auth.New(auth.Options{Logger: discard()})
	if err != nil {
		tb.Fatal(err)
	}
	return guard
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func debugLogger(log *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestCallIsLogged(t *testing.T) {
	pause, read := "/exportgate.v1.ExportingService/Pause", "/exportgate.v1.ExportingService/GetStatus"
	tests := []struct {
		name   string
		err    error
		method string
		level  string
		code   string
	}{
		{"a change", nil, pause, "INFO", "OK"},
		{"a refused change", status.Error(codes.Aborted, "superseded"), pause, "WARN", "Aborted"},
		{"a failed change", status.Error(codes.Internal, "broken"), pause, "ERROR", "Internal"},
		{"a given up change", context.Canceled, pause, "WARN", "Canceled"},
		{"an error without a code", errors.New("plain"), pause, "ERROR", "Unknown"},
		{"a read", nil, read, "DEBUG", "OK"},
		{"a refused read", status.Error(codes.Unavailable, "later"), read, "DEBUG", "Unavailable"},
		{"a failed read", status.Error(codes.Internal, "broken"), read, "ERROR", "Internal"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			conn := serve(t, &fake{err: test.err}, Options{Logger: debugLogger(&log)})
			ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "req-1")
			err := conn.Invoke(ctx, test.method, &exportgatev1.PauseRequest{}, &exportgatev1.PauseResponse{})

			got := lines(t, &log)
			if len(got) != 1 {
				t.Fatalf("logged %d lines, want 1: %v", len(got), got)
			}
			want := map[string]any{
				"level": test.level, "msg": "call", "method": test.method, "peer": "bufconn", "request_id": "req-1",
				"code": test.code, "user_agent": got[0]["user_agent"], "duration": got[0]["duration"],
			}
			if test.err != nil {
				want["error"] = status.Convert(err).Message()
			}
			if diff := cmp.Diff(want, got[0]); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
			if agent, _ := got[0]["user_agent"].(string); !strings.HasPrefix(agent, "tester/1") {
				t.Errorf("user agent is %q, want tester/1", agent)
			}
			if took, _ := got[0]["duration"].(float64); took <= 0 {
				t.Errorf("duration is %v, want more than nothing", got[0]["duration"])
			}
		})
	}
}

func TestOtherServicesAreQuiet(t *testing.T) {
	var log bytes.Buffer
	conn := serve(t, &fake{}, Options{Logger: debugLogger(&log)})
	client := grpc_health_v1.NewHealthClient(conn)
	if _, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, &log); len(got) != 1 || got[0]["level"] != "DEBUG" {
		t.Errorf("a health check logged %v, want one line at debug", got)
	}
}

// lineWriter hands each line to the test that waits for it.
type lineWriter chan []byte

func (w lineWriter) Write(line []byte) (int, error) {
	w <- bytes.Clone(line)
	return len(line), nil
}

func TestStreamIsLogged(t *testing.T) {
	log := make(lineWriter, 1)
	conn := serve(t, &fake{}, Options{
		Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "req-2"))
	defer cancel()
	watch, err := grpc_health_v1.NewHealthClient(conn).Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	header, err := watch.Header()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"req-2"}, header.Get("x-request-id")); diff != "" {
		t.Errorf("request id in the header (-want +got):\n%s", diff)
	}
	cancel()
	got := lines(t, bytes.NewBuffer(<-log))
	if len(got) != 1 || got[0]["method"] != "/grpc.health.v1.Health/Watch" || got[0]["request_id"] != "req-2" {
		t.Errorf("logged %v, want the watch with its id", got)
	}
}

func TestPanicIsRecovered(t *testing.T) {
	var log bytes.Buffer
	conn := serve(t, &fake{boom: true}, Options{Logger: debugLogger(&log)})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "req-3")
	_, err := exportgatev1.NewExportingServiceClient(conn).Pause(ctx, &exportgatev1.PauseRequest{})
	if st := status.Convert(err); st.Code() != codes.Internal || st.Message() != "internal error" {
		t.Errorf("the caller got %v, want Internal and the fixed text", st)
	}

	got := lines(t, &log)
	if len(got) != 2 {
		t.Fatalf("logged %d lines, want the panic and the call: %v", len(got), got)
	}
	stack, _ := got[0]["stack"].(string)
	delete(got[0], "stack")
	want := map[string]any{
		"level": "ERROR", "msg": "panic in a call", "method": "/exportgate.v1.ExportingService/Pause",
		"request_id": "req-3", "panic": "the secret of the panic",
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("line of the panic (-want +got):\n%s", diff)
	}
	if !strings.Contains(stack, "(*fake).answer") {
		t.Errorf("the stack does not show where it was:\n%s", stack)
	}
	if got[1]["code"] != "Internal" || got[1]["level"] != "ERROR" {
		t.Errorf("line of the call is %v, want Internal at error", got[1])
	}
}

func TestRequestID(t *testing.T) {
	tests := []struct {
		name  string
		given []string
		kept  bool
	}{
		{"well-formed", []string{"A.b-c_9"}, true},
		{"the longest", []string{strings.Repeat("x", 128)}, true},
		{"too long", []string{strings.Repeat("x", 129)}, false},
		{"empty", []string{""}, false},
		{"none", nil, false},
		{"with a space", []string{"a b"}, false},
		{"with a quote", []string{`a"b`}, false},
		{"the first of two", []string{"first", "second"}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			service := &fake{err: status.Error(codes.Aborted, "also on failure")}
			client := exportgatev1.NewExportingServiceClient(serve(t, service, Options{Logger: discard()}))
			ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{"x-request-id": test.given})
			var header metadata.MD
			_, err := client.Pause(ctx, &exportgatev1.PauseRequest{}, grpc.Header(&header))
			if status.Code(err) != codes.Aborted {
				t.Fatal(err)
			}
			ids := header.Get("x-request-id")
			switch {
			case len(ids) != 1 || !wellFormed(ids[0]):
				t.Errorf("got ids %q, want one that is well-formed", ids)
			case test.kept != (len(test.given) > 0 && ids[0] == test.given[0]):
				t.Errorf("got id %q of %q, want kept=%t", ids[0], test.given, test.kept)
			}
		})
	}
}

func TestInProcessPeer(t *testing.T) {
	outer := peer.NewContext(t.Context(), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4711}})
	tests := []struct {
		name   string
		client context.Context
		want   string
	}{
		{"of the client's context", outer, "192.0.2.7:4711"},
		{"of a client that names none", t.Context(), "bufconn"},
		{"of a call from the network", nil, "bufconn"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			service := &fake{}
			client := exportgatev1.NewExportingServiceClient(serve(t, service, Options{
				Logger:        discard(),
				ClientContext: func(context.Context) context.Context { return test.client },
			}))
			if _, err := client.Pause(t.Context(), &exportgatev1.PauseRequest{}); err != nil {
				t.Fatal(err)
			}
			if service.peer != test.want {
				t.Errorf("the service saw the peer %q, want %q", service.peer, test.want)
			}
		})
	}
}

// TestChains proves that a chain made one keeps its order.
func TestChains(t *testing.T) {
	var order []string
	unary := func(name string) grpc.UnaryServerInterceptor {
		return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			order = append(order, name)
			return next(ctx, req)
		}
	}
	stream := func(name string) grpc.StreamServerInterceptor {
		return func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			order = append(order, name)
			return next(srv, s)
		}
	}
	unaries := ChainUnary([]grpc.UnaryServerInterceptor{unary("outer"), unary("inner")})
	_, err := unaries(t.Context(), nil, &grpc.UnaryServerInfo{}, func(context.Context, any) (any, error) {
		order = append(order, "handler")
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	streams := ChainStream([]grpc.StreamServerInterceptor{stream("outer"), stream("inner")})
	err = streams(nil, nil, &grpc.StreamServerInfo{}, func(any, grpc.ServerStream) error {
		order = append(order, "handler")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"outer", "inner", "handler", "outer", "inner", "handler"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}
