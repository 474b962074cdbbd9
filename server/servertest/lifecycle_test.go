package servertest_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/server"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// A port that is taken is an error that names the key, and nothing stays behind.
func TestPortIsTaken(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"server.port", "grpc.port"} {
		settings := map[string]string{
			"server.port": "0", "grpc.port": "0", "zeebe.brokers": "0=http://127.0.0.1:1/actuator",
			"store.path": filepath.Join(t.TempDir(), "exportgate.db"),
		}
		settings[key] = port
		s, err := server.New(t.Context(), servertest.Load(t, settings), slog.New(slog.DiscardHandler))
		if s != nil || err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s is taken: got %v, %v", key, s, err)
		}
	}
}

// A call in flight ends well when the server is told to stop; the doors say so before they close.
func TestStopLetsCallsEnd(t *testing.T) {
	t.Parallel()
	for _, door := range servertest.Doors() {
		t.Run(string(door), func(t *testing.T) {
			t.Parallel()
			h := servertest.Start(t, servertest.Options{})
			h.Cluster.Broker(1).SetFaults(embedded.Late(time.Second))
			paused := later(func() servertest.Outcome { return h.Route(t, door).Pause(t.Context(), soft()) })
			try{T: t}.awaitWrite(h)
			stopped := make(chan error, 1)
			go func() { stopped <- h.Stop() }()
			servertest.Await(t, "neither door takes new calls", func() bool { return refuses(t, h.Server.HTTPAddr()) && refuses(t, h.Server.GRPCAddr()) })
			if len(paused) > 0 {
				t.Error("the doors were closed only after the call had ended")
			}
			if err := <-stopped; err != nil {
				t.Errorf("stop: %v", err)
			}
			if o := <-paused; !o.OK() || !h.AllIn(embedded.SoftPaused) {
				t.Errorf("the call in flight got %v", o)
			}
			if o := h.Route(t, door).GetStatus(t.Context()); o.OK() {
				t.Error("a call after the end was answered")
			}
		})
	}
}

// refuses reports whether nobody listens at an address.
func refuses(t *testing.T, address net.Addr) bool {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address.String())
	if err == nil {
		_ = c.Close()
	}
	return err != nil
}

// A call that does not end in time does not keep the server from stopping.
func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	for _, door := range servertest.Doors() {
		t.Run(string(door), func(t *testing.T) {
			t.Parallel()
			h := servertest.Start(t, servertest.Options{Settings: map[string]string{"server.shutdown-timeout": "300ms"}})
			h.Cluster.Broker(1).SetFaults(embedded.Swallow())
			paused := later(func() servertest.Outcome { return h.Route(t, door).Pause(t.Context(), soft()) })
			try{T: t}.awaitWrite(h)
			if err := h.Stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
			if o := <-paused; o.OK() {
				t.Errorf("the call got %v", o)
			}
		})
	}
}

func dialGRPC(t *testing.T, h *servertest.Harness) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(h.Server.GRPCAddr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Health by grpc.health.v1, for the server and for the service, and its end when the server stops.
func TestGRPCHealth(t *testing.T) {
	t.Parallel()
	h := servertest.Start(t, servertest.Options{})
	client := healthv1.NewHealthClient(dialGRPC(t, h))
	for name, want := range map[string]codes.Code{
		"": codes.OK, "exportgate.v1.ExportingService": codes.OK, "somebody.else": codes.NotFound,
	} {
		response, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: name})
		if got := status.Code(err); got != want || want == codes.OK && response.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v, %v", name, response, err)
		}
	}
	watch, err := client.Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	h.Cluster.Broker(1).SetFaults(embedded.Late(500 * time.Millisecond)) // A call that keeps the door open for a moment.
	paused := later(func() servertest.Outcome { return h.Route(t, servertest.GRPC).Pause(t.Context(), soft()) })
	try{T: t}.awaitWrite(h)
	stopped := make(chan error, 1)
	go func() { stopped <- h.Stop() }()
	if response, err := watch.Recv(); err != nil || response.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("while it stops: %v, %v", response, err)
	}
	if _, err := watch.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("the stream did not end with the server: %v", err)
	}
	<-paused
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// Reflection lets tools find the service without its protos.
func TestReflection(t *testing.T) {
	t.Parallel()
	h := servertest.Start(t, servertest.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := reflectionv1.NewServerReflectionClient(dialGRPC(t, h)).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "exportgate.v1.ExportingService"},
	}); err != nil {
		t.Fatal(err)
	}
	response, err := stream.Recv()
	if err != nil || len(response.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("got %v, %v", response, err)
	}
}

// A server without a broker in reach lives, says so, and recovers.
func TestNoBrokerAnswers(t *testing.T) {
	t.Parallel()
	h := servertest.Start(t, servertest.Options{Settings: within("1s")})
	for _, b := range h.Cluster.Brokers() {
		b.Stop()
	}
	for _, door := range servertest.Doors() {
		route := h.Route(t, door)
		servertest.Await(t, "the status says that nobody answers", func() bool {
			o := route.GetStatus(t.Context())
			return o.OK() && !o.Status.GetSettled() && strings.Contains(o.Status.GetUnsettledReason(), "connection refused")
		})
		if o := route.Pause(t.Context(), hard()); o.Reason != incomplete {
			t.Errorf("pause: %v", o)
		}
		if o := route.Resume(t.Context(), resume()); o.Reason != notSettled {
			t.Errorf("resume: %v", o)
		}
	}
	for path, code := range map[string]int{
		"/actuator/health": http.StatusServiceUnavailable, "/actuator/health/brokers": http.StatusServiceUnavailable,
		// A restart would not mend it, and it is this server that says so.
		"/actuator/health/liveness": http.StatusOK, "/actuator/health/readiness": http.StatusOK, "/actuator/health/startup": http.StatusOK,
	} {
		if a := exchange(t, h, http.MethodGet, path); a.code != code {
			t.Errorf("%s: %+v", path, a)
		}
	}
	try{T: t}.heal(h)
	try{T: t, door: servertest.HTTP}.awaitQuiet(h, embedded.Exporting)
}
