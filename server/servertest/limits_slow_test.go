package servertest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/exportgate/exportgate/server/internal/certs/certstest"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// A client that sends too much, or too slowly, or does not read, is hung up on in time, with TLS and without, and nobody else
// waits for it.
func TestClientsThatAreSlow(t *testing.T) {
	t.Parallel()
	ca := certstest.NewAuthority(t, "ca")
	for name, who := range map[string]servertest.Identity{"plain": {}, "TLS": trusting(ca)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := servertest.Options{Cluster: embedded.Options{Brokers: 1, Partitions: 1, WriteInterval: 50 * time.Millisecond}}
			if who.TLS != nil {
				o.Settings = secureDoors(t, ca, nil)
			}
			h := servertest.Start(t, o)
			t.Run("clients", func(t *testing.T) {
				for what, slow := range slowClients() {
					t.Run(what, func(t *testing.T) {
						t.Parallel()
						slow.meet(t, h, who)
					})
				}
				t.Run("others", func(t *testing.T) {
					t.Parallel()
					serveOthers(t, h, who)
				})
			})
			for _, door := range servertest.Doors() {
				if o := h.As(t, door, who).GetStatus(t.Context()); !o.OK() {
					t.Errorf("afterwards: %v", o)
				}
			}
		})
	}
}

// slowClient is what a client sends at once to a door, and what it sends then, again and again.
type slowClient struct {
	door  servertest.Door
	sends string
	drips string
	// ends is what an answer begins with, if there is one before the end. What came too slowly over TLS net/http only calls bad.
	ends string
}

func slowClients() map[string]slowClient {
	const post, host = "POST /actuator/exporting/pause HTTP/1.1\r\n", "Host: localhost\r\n"
	return map[string]slowClient{
		"silent":           {servertest.HTTP, "", "", ""},
		"header in drips":  {servertest.HTTP, post, "X-A: b\r\n", "HTTP/1.1 408"},
		"half a header":    {servertest.HTTP, post + "Host", "", "HTTP/1.1 408"},
		"body in drips":    {servertest.HTTP, post + host + "Content-Length: 1000\r\n\r\n", "x", "HTTP/1.1 400"},
		"chunks in drips":  {servertest.HTTP, post + host + "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", "HTTP/1.1 400"},
		"no body":          {servertest.HTTP, post + host + "Content-Length: 1\r\n\r\n", "", "HTTP/1.1 400"},
		"header of 1 MB":   {servertest.HTTP, post + host + "X-Long: " + strings.Repeat("a", 1<<20), "a", "HTTP/1.1 431"},
		"headers, 1 MB":    {servertest.HTTP, post + host + strings.Repeat("X-Short: a\r\n", 90_000), "a", "HTTP/1.1 431"},
		"target of 1 MB":   {servertest.HTTP, "GET /" + strings.Repeat("a", 1<<20), "a", "HTTP/1.1 431"},
		"silent to gRPC":   {servertest.GRPC, "", "", ""},
		"preface in drips": {servertest.GRPC, "PRI * HTTP/2.0\r\n", "\r", ""},
	}
}

// meet is such a client: it expects to be hung up on.
func (s slowClient) meet(t *testing.T, h *servertest.Harness, who servertest.Identity) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn := dialRaw(ctx, t, h, s.door, who)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if _, err := io.WriteString(conn, s.sends); err != nil {
			return // It was hung up on already.
		}
		drip := time.NewTicker(100 * time.Millisecond)
		defer drip.Stop()
		for s.drips != "" {
			select {
			case <-drip.C:
			case <-ctx.Done():
				return
			}
			if _, err := io.WriteString(conn, s.drips); err != nil {
				return
			}
		}
	}()
	began := time.Now()
	if err := conn.SetReadDeadline(began.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(io.LimitReader(conn, 1<<20))
	if timeout, is := errors.AsType[net.Error](err); is && timeout.Timeout() {
		t.Errorf("it is not hung up on")
	}
	// A reset may overtake the answer of a server to which something is still sent.
	answer := string(said)
	if who.TLS != nil {
		answer = strings.Replace(answer, "HTTP/1.1 400", s.ends, 1)
	}
	if s.door == servertest.HTTP && answer != "" && !strings.HasPrefix(answer, s.ends) {
		t.Errorf("it was answered %.100q, want %q", answer, s.ends)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it was hung up on after %v", took)
	}
	cancel()
	_ = conn.Close()
	<-ended
}

// dialRaw connects to a door, with a handshake where it speaks TLS.
func dialRaw(ctx context.Context, t *testing.T, h *servertest.Harness, door servertest.Door, who servertest.Identity) net.Conn {
	t.Helper()
	var dialer interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	} = &net.Dialer{}
	if who.TLS != nil {
		config := who.TLS.Clone()
		config.NextProtos = map[servertest.Door][]string{servertest.HTTP: {"http/1.1"}, servertest.GRPC: {"h2"}}[door]
		dialer = &tls.Dialer{Config: config}
	}
	conn, err := dialer.DialContext(ctx, "tcp", addressOf(h, door))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// serveOthers calls for as long as the slow ones are there, and expects to be served.
func serveOthers(t *testing.T, h *servertest.Harness, who servertest.Identity) {
	t.Helper()
	for range 40 {
		for _, door := range servertest.Doors() {
			if o := h.As(t, door, who).GetStatus(t.Context()); !o.OK() {
				t.Errorf("somebody else: %v", o)
			}
		}
		<-time.After(100 * time.Millisecond)
	}
}

// A gRPC client's headers are bounded too, and a client that keeps to what the server says of that is told so.
func TestLongMetadata(t *testing.T) {
	t.Parallel()
	h := servertest.Start(t, servertest.Options{Cluster: embedded.Options{Brokers: 1, Partitions: 1, WriteInterval: -1}})
	route := h.Route(t, servertest.GRPC)
	long := metadata.AppendToOutgoingContext(t.Context(), "x-long", strings.Repeat("a", 1<<20))
	if o := route.GetStatus(long); o.OK() || o.Code != codes.Internal && o.Code != codes.ResourceExhausted {
		t.Errorf("with 1 MB: %v", o)
	}
	if o := route.GetStatus(t.Context()); !o.OK() {
		t.Errorf("afterwards, on the same connection: %v", o)
	}
}

// Who asks again and again and reads no answer is hung up on once what is on the way is full.
func TestClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	ca := certstest.NewAuthority(t, "ca")
	for name, who := range map[string]servertest.Identity{"plain": {}, "TLS": trusting(ca)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := map[string]string{"exporting.timeout": "1s", "limits.calls-per-second": "0"}
			if who.TLS != nil {
				settings = secureDoors(t, ca, settings)
			}
			h := servertest.Start(t, servertest.Options{
				Cluster: embedded.Options{Brokers: 1, Partitions: 1, WriteInterval: -1}, Settings: settings,
			})
			conn := dialRaw(t.Context(), t, h, servertest.HTTP, who)
			began := time.Now()
			if err := conn.SetWriteDeadline(began.Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			pace := time.NewTicker(time.Millisecond) // The processors are for others too.
			defer pace.Stop()
			var err error
			for err == nil {
				<-pace.C
				_, err = io.WriteString(conn, "GET /actuator/openapi HTTP/1.1\r\nHost: localhost\r\n\r\n")
			}
			if timeout, is := errors.AsType[net.Error](err); is && timeout.Timeout() {
				t.Errorf("it is not hung up on within %v", time.Since(began))
			}
			for _, door := range servertest.Doors() {
				if o := h.As(t, door, who).GetStatus(t.Context()); !o.OK() {
					t.Errorf("afterwards: %v", o)
				}
			}
		})
	}
}
