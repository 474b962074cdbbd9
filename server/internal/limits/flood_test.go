package limits_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/tap"

	"github.com/exportgate/exportgate/server/internal/certs/certstest"
	"github.com/exportgate/exportgate/server/internal/limits"
)

// doors are a server for HTTP and one for gRPC, over TLS, that count as busy what they serve.
type doors struct {
	http, grpc string // addresses
	client     *tls.Config
	displaced  atomic.Int64
	arrived    chan string // methods of gRPC calls, before their messages
}

func openDoors(t *testing.T, most int) *doors {
	t.Helper()
	ca := certstest.NewAuthority(t, "ca")
	certificate := ca.Issue(t, certstest.Leaf{IP: []string{"127.0.0.1"}}).TLS
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}}
	d := &doors{client: &tls.Config{RootCAs: ca.Pool()}, arrived: make(chan string, 1)}
	options := limits.ListenerOptions{Max: most, Displaced: func() { d.displaced.Add(1) }}

	httpListener := listen(t)
	d.http = httpListener.Addr().String()
	httpServer := &http.Server{
		ConnContext: limits.ConnContext, ReadHeaderTimeout: time.Minute, TLSConfig: config.Clone(),
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer limits.Busy(r.Context())()
			_, _ = io.WriteString(w, r.Proto)
		}),
	}
	serve(t, func() error { return httpServer.ServeTLS(limits.NewDoor(httpListener, options), "", "") }, func() {
		_ = httpServer.Close()
	})

	grpcListener := listen(t)
	d.grpc = grpcListener.Addr().String()
	grpcServer := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)),
		grpc.InTapHandle(func(ctx context.Context, info *tap.Info) (context.Context, error) {
			select {
			case d.arrived <- info.FullMethodName:
			default: // Nobody waits.
			}
			return ctx, nil
		}),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			defer limits.Busy(ctx)()
			return next(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			defer limits.Busy(s.Context())()
			return next(srv, s)
		}))
	healthv1.RegisterHealthServer(grpcServer, health.NewServer())
	serve(t, func() error { return grpcServer.Serve(limits.NewDoor(grpcListener, options)) }, grpcServer.Stop)
	return d
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve runs a server until the test ends.
func serve(t *testing.T, run func() error, stop func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- run() }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// dial connects to the gRPC door.
func (d *doors) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(d.grpc, grpc.WithTransportCredentials(credentials.NewTLS(d.client)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// check makes a gRPC call.
func check(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	if _, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
		t.Errorf("a gRPC call failed: %v", err)
	}
}

// get makes an HTTP call.
func (d *doors) get(t *testing.T, client *http.Client) {
	t.Helper()
	response, err := client.Get("https://" + d.http)
	if err != nil {
		t.Errorf("an HTTP call failed: %v", err)
		return
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("an HTTP call got %s, %v", response.Status, err)
	}
	_ = response.Body.Close()
}

// TestFlood proves that another process, which opens 2,000 connections to doors that take 200 and leaves them as they are,
// disturbs nobody: not calls on connections that were there, not those on new ones, not a stream.
func TestFlood(t *testing.T) {
	const most = 200
	d := openDoors(t, most)
	conn := d.dial(t)
	watch, err := healthv1.NewHealthClient(conn).Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	http1 := &http.Client{Transport: &http.Transport{TLSClientConfig: d.client.Clone()}}
	http2 := &http.Client{Transport: &http.Transport{TLSClientConfig: d.client.Clone(), ForceAttemptHTTP2: true}}

	opened := flood(t, d.http, d.grpc)
	for calls := 0; ; calls++ {
		check(t, conn)
		d.get(t, http1)
		d.get(t, http2)
		if calls%10 == 0 { // on connections of their own
			d.get(t, &http.Client{Transport: &http.Transport{TLSClientConfig: d.client.Clone(), DisableKeepAlives: true}})
			fresh := d.dial(t)
			check(t, fresh)
			_ = fresh.Close()
		}
		select {
		case n := <-opened:
			if n != floodSize {
				t.Fatalf("the other process opened %d connections, want %d", n, floodSize)
			}
			if got := d.displaced.Load(); got < floodSize/2 {
				t.Errorf("%d connections were displaced, want most of %d", got, floodSize)
			}
			t.Logf("%d rounds of calls meanwhile", calls+1)
			http1.CloseIdleConnections()
			http2.CloseIdleConnections()
			check(t, conn)
			select {
			case <-watch.Context().Done():
				t.Error("the stream ended")
			default:
			}
			return
		default:
		}
	}
}

// TestHalfACallIsIdle proves that nobody keeps a connection busy with a call whose message does not come.
func TestHalfACallIsIdle(t *testing.T) {
	d := openDoors(t, 1)
	half := d.dial(t)
	stream, err := half.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, healthv1.Health_Check_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	<-d.arrived
	check(t, d.dial(t))
	if err := stream.RecvMsg(&healthv1.HealthCheckResponse{}); err == nil {
		t.Error("the half call was answered")
	}
}

const (
	floodVariable = "EXPORTGATE_TEST_FLOOD"
	floodSize     = 2000
)

// flood opens connections from another process, which keeps them until the test ends, and tells how many it opened.
func flood(t *testing.T, addresses ...string) <-chan int {
	t.Helper()
	command := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
	command.Env = append(os.Environ(), floodVariable+"="+strings.Join(addresses, ","))
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	opened := make(chan int, 1)
	go func() {
		var n int
		line, _ := bufio.NewReader(out).ReadString('\n')
		_, _ = fmt.Sscan(line, &n)
		opened <- n
	}()
	t.Cleanup(func() {
		_ = in.Close() // It ends with its standard input.
		if err := command.Wait(); err != nil {
			t.Error(err)
		}
	})
	return opened
}

// runFlood is the other process: two connections a millisecond, some silent, some with the beginning of what is to come.
func runFlood(addresses []string) int {
	beginnings := []string{"", "\x16", "\x16\x03\x01\x02\x00"} // of a handshake
	var conns []net.Conn
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for i := range floodSize {
		if i%2 == 0 {
			<-pace.C
		}
		c, err := net.Dial("tcp", addresses[i%len(addresses)])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			break
		}
		_, _ = io.WriteString(c, beginnings[i/len(addresses)%len(beginnings)])
		conns = append(conns, c)
	}
	_, _ = fmt.Fprintln(os.Stdout, len(conns))
	_, _ = io.Copy(io.Discard, os.Stdin)
	for _, c := range conns {
		_ = c.Close()
	}
	return 0
}
