package servertest_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/exportgate/exportgate/server/internal/certs/certstest"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// secureDoors are settings with which both doors speak TLS by a certificate of an authority, and others.
func secureDoors(t *testing.T, ca *certstest.Authority, more map[string]string) map[string]string {
	t.Helper()
	files := ca.Issue(t, certstest.Leaf{IP: []string{"127.0.0.1"}}).Write(t, t.TempDir())
	settings := map[string]string{
		"server.address": "127.0.0.1", "server.ssl.certificate": files.Certificate, "server.ssl.certificate-private-key": files.Key,
	}
	maps.Copy(settings, more)
	return settings
}

// trusting is a client that believes an authority.
func trusting(ca *certstest.Authority) servertest.Identity {
	return servertest.Identity{TLS: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: ca.Pool()}}
}

// TLS is 1.3 unless the configuration says otherwise, and h2 at both doors for who offers it.
func TestTLSOfTheDoors(t *testing.T) {
	t.Parallel()
	ca := certstest.NewAuthority(t, "ca")
	for protocols, least := range map[string]uint16{"by default": tls.VersionTLS13, "TLSv1.2,TLSv1.3": tls.VersionTLS12} {
		t.Run(protocols, func(t *testing.T) {
			t.Parallel()
			settings := secureDoors(t, ca, nil)
			if protocols != "by default" {
				settings["server.ssl.enabled-protocols"] = protocols
			}
			h := servertest.Start(t, servertest.Options{
				Cluster: embedded.Options{Brokers: 1, Partitions: 1, WriteInterval: -1}, Settings: settings,
			})
			for _, door := range servertest.Doors() {
				for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS12, tls.VersionTLS13} {
					state, err := shake(t, h, door, &tls.Config{
						MinVersion: version, MaxVersion: version, RootCAs: ca.Pool(), NextProtos: []string{"h2", "http/1.1"},
					})
					if (err == nil) != (version >= least) {
						t.Errorf("%s, %s: %v", door, tls.VersionName(version), err)
					}
					if err == nil && state.NegotiatedProtocol != "h2" {
						t.Errorf("%s, %s: agreed on %q", door, tls.VersionName(version), state.NegotiatedProtocol)
					}
				}
				if o := h.As(t, door, trusting(ca)).GetStatus(t.Context()); !o.OK() {
					t.Errorf("%s: %v", door, o)
				}
			}
		})
	}
}

// shake makes a handshake with a door, and reads what comes, so that an alert that follows it is seen.
func shake(t *testing.T, h *servertest.Harness, door servertest.Door, config *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", addressOf(h, door))
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer func() { _ = conn.Close() }()
	secure, _ := conn.(*tls.Conn)
	return secure.ConnectionState(), nil
}

func addressOf(h *servertest.Harness, door servertest.Door) string {
	if door == servertest.GRPC {
		return h.Server.GRPCAddr().String()
	}
	return h.Server.HTTPAddr().String()
}

// Who speaks something else to a door than it does is told so, or is hung up on; and the door goes on.
func TestDoorsAreSpokenToWrongly(t *testing.T) {
	t.Parallel()
	ca := certstest.NewAuthority(t, "ca")
	small := embedded.Options{Brokers: 1, Partitions: 1, WriteInterval: -1}
	secure := servertest.Start(t, servertest.Options{Cluster: small, Settings: secureDoors(t, ca, nil)})
	plain := servertest.Start(t, servertest.Options{Cluster: small})

	t.Run("HTTP in the clear to TLS", func(t *testing.T) {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		got := ask(t, client, http.MethodGet, "http://"+addressOf(secure, servertest.HTTP), "/actuator/exporting")
		if got.status != http.StatusBadRequest || !strings.Contains(got.body, "HTTPS") {
			t.Errorf("it is told %d %q", got.status, got.body)
		}
	})
	t.Run("gRPC in the clear to TLS", func(t *testing.T) {
		expectNoConnection(t, secure.As(t, servertest.GRPC, servertest.Identity{}))
	})
	t.Run("TLS to plain", func(t *testing.T) {
		expectNoConnection(t, plain.As(t, servertest.GRPC, trusting(ca)))
		if o := plain.As(t, servertest.HTTP, trusting(ca)).GetStatus(t.Context()); o.Err == nil {
			t.Errorf("HTTP: %v", o)
		}
	})
	t.Run("gRPC without ALPN", func(t *testing.T) {
		conn, err := (&tls.Dialer{Config: trusting(ca).TLS}).DialContext(t.Context(), "tcp", addressOf(secure, servertest.GRPC))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
		expectHungUp(t, conn)
	})
	t.Run("HTTP/1.1 to gRPC", func(t *testing.T) {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addressOf(plain, servertest.GRPC))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "GET /actuator/exporting HTTP/1.1\r\nHost: localhost\r\n\r\n")
		expectHungUp(t, conn)
	})
	for _, door := range servertest.Doors() {
		if o := secure.As(t, door, trusting(ca)).GetStatus(t.Context()); !o.OK() {
			t.Errorf("afterwards the %s door with TLS answers %v", door, o)
		}
		if o := plain.Route(t, door).GetStatus(t.Context()); !o.OK() {
			t.Errorf("afterwards the %s door in the clear answers %v", door, o)
		}
	}
}

// expectNoConnection expects that a gRPC client does not get through.
func expectNoConnection(t *testing.T, route servertest.Route) {
	t.Helper()
	if o := route.GetStatus(t.Context()); o.Code != codes.Unavailable || o.Reason != "" {
		t.Errorf("gRPC: %v", o)
	}
}

// expectHungUp expects the end of a connection, with or without a word before it, in time.
func expectHungUp(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(io.LimitReader(bufio.NewReader(conn), 1<<20))
	if timeout, is := errors.AsType[net.Error](err); is && timeout.Timeout() {
		t.Errorf("the connection stays open; it said %q", said)
	}
	if strings.Contains(string(said), "PHASE_") {
		t.Errorf("it was served: %q", said)
	}
}
