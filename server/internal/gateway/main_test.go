package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/logging"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// net/http waits for half a second before it hangs up on a client that still sends, and then ends by itself.
		goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// fake is an exporting service that does what answer says, for every method, and remembers what it was asked.
type fake struct {
	exportgatev1.UnimplementedExportingServiceServer
	answer func(ctx context.Context) error
	stream func(watchStream) error // what follows the first status of a stream; nil for the end

	mu   sync.Mutex
	seen []proto.Message
}

func (f *fake) asked(ctx context.Context, request proto.Message) error {
	f.mu.Lock()
	f.seen = append(f.seen, request)
	f.mu.Unlock()
	if f.answer == nil {
		return nil
	}
	return f.answer(ctx)
}

// requests are those that reached the service.
func (f *fake) requests() []proto.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

func (f *fake) Pause(ctx context.Context, r *exportgatev1.PauseRequest) (*exportgatev1.PauseResponse, error) {
	return &exportgatev1.PauseResponse{
		Hold:   &exportgatev1.Hold{Id: "operator", Phase: exportgatev1.Phase_PHASE_PAUSED},
		Status: &exportgatev1.Status{Settled: true},
	}, f.asked(ctx, r)
}

func (f *fake) Resume(ctx context.Context, r *exportgatev1.ResumeRequest) (*exportgatev1.ResumeResponse, error) {
	return &exportgatev1.ResumeResponse{Released: &exportgatev1.Hold{Id: "operator"}}, f.asked(ctx, r)
}

func (f *fake) GetStatus(ctx context.Context, r *exportgatev1.GetStatusRequest) (
	*exportgatev1.GetStatusResponse, error,
) {
	position := int64(42)
	return &exportgatev1.GetStatusResponse{Status: &exportgatev1.Status{
		Observed: exportgatev1.Phase_PHASE_EXPORTING,
		Partitions: []*exportgatev1.PartitionStatus{{
			Id: 1, Replicas: []*exportgatev1.Replica{{Broker: "0", ExportedPosition: &position}},
		}},
	}}, f.asked(ctx, r)
}

type watchStream = grpc.ServerStreamingServer[exportgatev1.WatchStatusResponse]

func (f *fake) WatchStatus(r *exportgatev1.WatchStatusRequest, stream watchStream) error {
	if err := f.asked(stream.Context(), r); err != nil {
		return err
	}
	if err := stream.Send(statusAt("first")); err != nil || f.stream == nil {
		return err
	}
	return f.stream(stream)
}

// statusAt is a status with something to see.
func statusAt(cursor string) *exportgatev1.WatchStatusResponse {
	return &exportgatev1.WatchStatusResponse{
		Status: &exportgatev1.Status{UnsettledReason: "two\nlines\r\n\r\ndata: <b>\u2028"}, Cursor: cursor,
	}
}

// door is a running gateway.
type door struct {
	url    string // without the base path
	addr   string
	server *Server
	ctxs   chan context.Context // of the calls that it made
}

// openDoor runs a gateway before a service until the test ends. What is not set in the options is set here.
func openDoor(tb testing.TB, service *fake, o Options, adjust ...func(*Server)) *door {
	tb.Helper()
	d := &door{ctxs: make(chan context.Context, 100)}
	if o.Conn == nil {
		o.Conn = dial(tb, service, d.ctxs)
	}
	if o.Draining == nil {
		o.Draining = tb.Context()
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	if o.Info == nil {
		o.Info = func() Info { return Info{} }
	}
	if o.Health == nil {
		o.Health = func(context.Context) Health {
			return Health{Liveness: HealthUp, Readiness: HealthUp, Startup: HealthUp}
		}
	}
	if o.Metrics == nil {
		o.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	}
	if o.Loggers == nil {
		o.Loggers = logging.New(io.Discard, logging.Text, slog.LevelInfo)
	}
	if o.Logger == nil {
		o.Logger = discard()
	}
	made, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	d.server = NewServer(made, ServerOptions{Timeout: o.Timeout, Logger: o.Logger})
	for _, a := range adjust {
		a(d.server)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	d.addr = listener.Addr().String()
	d.url = "http://" + d.addr
	done := make(chan error, 1)
	go func() { done <- d.server.Serve(listener) }()
	tb.Cleanup(func() {
		err := errors.Join(d.server.Close(), <-done)
		if !errors.Is(err, http.ErrServerClosed) {
			tb.Error(err)
		}
	})
	return d
}

// dial connects to a service over a real gRPC server in memory, and passes on the contexts that it is called with.
func dial(tb testing.TB, service *fake, ctxs chan<- context.Context) *grpc.ClientConn {
	tb.Helper()
	listener := bufconn.Listen(1 << 16)
	headers := metadata.Pairs("x-request-id", "id-of-the-server", "x-secret", "internal", "grpc-metadata-x", "internal")
	server := grpc.NewServer(
		grpc.UnaryInterceptor(
			func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				if err := grpc.SetHeader(ctx, headers); err != nil {
					return nil, err
				}
				return next(ctx, req)
			}),
		grpc.StreamInterceptor(
			func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
				if err := stream.SetHeader(headers); err != nil {
					return err
				}
				return next(srv, stream)
			}),
	)
	exportgatev1.RegisterExportingServiceServer(server, service)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///test", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn,
			invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
		) error {
			ctxs <- ctx
			return invoke(ctx, method, req, reply, conn, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
			open grpc.Streamer, opts ...grpc.CallOption,
		) (grpc.ClientStream, error) {
			ctxs <- ctx
			return open(ctx, desc, conn, method, opts...)
		}))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		err := conn.Close()
		server.Stop()
		if err = errors.Join(err, <-done); err != nil {
			tb.Error(err)
		}
	})
	return conn
}

// reply is an answer that was read to its end.
type reply struct {
	code   int
	header http.Header
	body   string
}

// send sends a request as it is, on a connection of its own, and follows no redirect. Headers are name, value pairs.
func send(t *testing.T, method, url string, body io.Reader, headers ...string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(content)}
}

// decode reads a JSON object.
func decode(t *testing.T, body string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.NewDecoder(bytes.NewReader([]byte(body))).Decode(&object); err != nil {
		t.Fatalf("%q is not a JSON object: %v", body, err)
	}
	return object
}

// peerIn is the address of the peer in a context.
func peerIn(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
