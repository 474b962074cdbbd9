package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/exportgate/exportgate/server/internal/certs"
	"github.com/exportgate/exportgate/server/internal/certs/certstest"
)

// soon is how often sources look in tests that wait for it.
const soon = 5 * time.Millisecond

// patience is how long anything may take.
const patience = 20 * time.Second

// taken waits until a source has taken what was written before.
func taken(t *testing.T, s *certs.Source, written time.Time) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !s.State().Loaded.After(written) {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("what was written is not in use: %v", s.State().Err)
		}
	}
}

// peers are a server of HTTP and one of gRPC on loopback.
type peers struct{ http, grpc string }

// newPeers serves until the test's end.
func newPeers(t *testing.T, config *tls.Config) peers {
	t.Helper()
	listen := func() net.Listener {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	forHTTP, forGRPC := listen(), listen()
	web := &http.Server{
		TLSConfig: config, ReadHeaderTimeout: patience, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Client", r.TLS.PeerCertificates[0].SerialNumber.String())
		}),
	}
	rpc := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
	healthpb.RegisterHealthServer(rpc, health.NewServer())
	done := make(chan error, 2)
	go func() { done <- web.ServeTLS(forHTTP, "", "") }()
	go func() { done <- rpc.Serve(forGRPC) }()
	t.Cleanup(func() {
		rpc.Stop()
		if err := errors.Join(web.Close(), <-done, <-done); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return peers{forHTTP.Addr().String(), forGRPC.Addr().String()}
}

// get makes a call over HTTP, and returns the serial numbers of the server's certificate and of the one it saw.
func get(ctx context.Context, client *http.Client, address string) (server, seen string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address, http.NoBody)
	if err != nil {
		return "", "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", "", err
	}
	return resp.TLS.PeerCertificates[0].SerialNumber.String(), resp.Header.Get("X-Client"), resp.Body.Close()
}

// check makes a call over gRPC.
func check(ctx context.Context, conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	return err
}

// TestClient renews the authority of a server under a client that stays: on both ways it trusts whom its files name now.
func TestClient(t *testing.T) {
	old, next := certstest.NewAuthority(t, "old"), certstest.NewAuthority(t, "next")
	leaf := certstest.Leaf{DNS: []string{"localhost"}, IP: []string{"127.0.0.1"}}
	server := func(ca *certstest.Authority) peers {
		pool := old.Pool()
		pool.AddCert(next.Certificate)
		return newPeers(t, &tls.Config{
			Certificates: []tls.Certificate{ca.Issue(t, leaf).TLS}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
			NextProtos: []string{"h2", "http/1.1"},
		})
	}
	ofOld, ofNext := server(old), server(next)
	b := newBench(t)
	b.write(b.files.Trust, old.PEM())
	b.renew(old)
	if err := b.open(soon); err != nil {
		t.Fatal(err)
	}
	b.run()
	transport := &http.Transport{DialTLSContext: b.source.DialTLS(&net.Dialer{Timeout: patience}), DisableKeepAlives: true}
	client, forGRPC := &http.Client{Transport: transport}, b.source.Credentials()
	calls := func(p peers) (overHTTP, overGRPC error) {
		_, seen, overHTTP := get(t.Context(), client, p.http)
		if shown, err := certificateIn(b.files); overHTTP == nil && (err != nil || seen != shown.String()) {
			t.Errorf("the server saw certificate %s, want %v, %v", seen, shown, err)
		}
		conn, err := grpc.NewClient("passthrough:///"+p.grpc, grpc.WithTransportCredentials(forGRPC))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return overHTTP, check(t.Context(), conn)
	}
	for _, step := range []struct {
		name       string
		ca         *certstest.Authority
		ofOld, new bool
	}{{"before", old, true, false}, {"after", next, false, true}} {
		if step.ca == next {
			written := time.Now()
			b.renew(next)
			b.write(b.files.Trust, next.PEM())
			taken(t, b.source, written)
		}
		for name, test := range map[string]struct {
			peers   peers
			allowed bool
		}{"the old": {ofOld, step.ofOld}, "the next": {ofNext, step.new}} {
			overHTTP, overGRPC := calls(test.peers)
			if (overHTTP == nil) != test.allowed || (overGRPC == nil) != test.allowed {
				t.Errorf("%s, a server of %s authority: HTTP %v, gRPC %v, want allowed %t", step.name, name, overHTTP, overGRPC, test.allowed)
			}
			if unknown := (x509.UnknownAuthorityError{}); !test.allowed && !errors.As(overHTTP, &unknown) {
				t.Errorf("%s: HTTP failed with %v", step.name, overHTTP)
			}
		}
	}
}

// TestHostNames refuses a server whose certificate is for another name or address: the whole of crypto/tls's checks is made.
func TestHostNames(t *testing.T) {
	b := newBench(t)
	if err := b.open(0); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		leaf    certstest.Leaf
		host    string
		allowed bool
	}{
		"address":        {certstest.Leaf{IP: []string{"127.0.0.1"}}, "127.0.0.1", true},
		"name":           {certstest.Leaf{DNS: []string{"localhost"}}, "localhost", true},
		"other address":  {certstest.Leaf{IP: []string{"127.0.0.2"}}, "127.0.0.1", false},
		"other name":     {certstest.Leaf{DNS: []string{"elsewhere"}}, "localhost", false},
		"not an address": {certstest.Leaf{DNS: []string{"localhost"}}, "127.0.0.1", false},
		"expired":        {certstest.Leaf{IP: []string{"127.0.0.1"}, NotAfter: time.Now().Add(-time.Minute)}, "127.0.0.1", false},
		"for clients": {
			certstest.Leaf{IP: []string{"127.0.0.1"}, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, "127.0.0.1", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeers(t, &tls.Config{
				Certificates: []tls.Certificate{b.ca.Issue(t, test.leaf).TLS}, ClientAuth: tls.RequireAnyClientCert,
				NextProtos: []string{"h2", "http/1.1"},
			})
			_, port, err := net.SplitHostPort(p.http)
			if err != nil {
				t.Fatal(err)
			}
			client := &http.Client{Transport: &http.Transport{DialTLSContext: b.source.DialTLS(&net.Dialer{}), DisableKeepAlives: true}}
			if _, _, err := get(t.Context(), client, net.JoinHostPort(test.host, port)); (err == nil) != test.allowed {
				t.Errorf("HTTP: %v, want allowed %t", err, test.allowed)
			}
			_, port, err = net.SplitHostPort(p.grpc)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(test.host, port), grpc.WithTransportCredentials(b.source.Credentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if err := check(t.Context(), conn); (err == nil) != test.allowed {
				t.Errorf("gRPC: %v, want allowed %t", err, test.allowed)
			}
		})
	}
}

// TestClientWithoutFiles trusts the system's authorities, which do not know ours, and shows no certificate.
func TestClientWithoutFiles(t *testing.T) {
	b := newBench(t)
	if err := b.open(0); err != nil {
		t.Fatal(err)
	}
	none := &bench{t: t}
	if err := none.open(0); err != nil {
		t.Fatal(err)
	}
	client := none.source.Client()
	if client.RootCAs != nil {
		t.Error("other authorities than the system's are trusted")
	}
	client.ServerName = "server.test"
	if conn, _, err := connect(t, b.source.Server(certs.ServerOptions{}), client); err == nil {
		_ = conn.Close()
		t.Error("an unknown authority was trusted")
	}
	client.RootCAs = b.ca.Pool()
	conn, state, err := connect(t, b.source.Server(certs.ServerOptions{ClientAuth: certs.Want}), client)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if len(state.PeerCertificates) != 0 {
		t.Error("a certificate was shown")
	}
}

// TestDialEnds does not wait for a server that never shakes hands.
func TestDialEnds(t *testing.T) {
	b := newBench(t)
	if err := b.open(0); err != nil {
		t.Fatal(err)
	}
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	began := time.Now()
	conn, err := b.source.DialTLS(&net.Dialer{Timeout: 50 * time.Millisecond})(t.Context(), "tcp", silent.Addr().String())
	if err == nil {
		_ = conn.Close()
		t.Fatal("there was a handshake with nobody")
	}
	var failure net.Error
	if took := time.Since(began); took > patience || !errors.As(err, &failure) || !failure.Timeout() {
		t.Errorf("after %s: %v, want a timeout", took, err)
	}
}

// TestCredentials says that they are of TLS, and can be copied.
func TestCredentials(t *testing.T) {
	b := newBench(t)
	if err := b.open(0); err != nil {
		t.Fatal(err)
	}
	for _, c := range []credentials.TransportCredentials{b.source.Credentials(), b.source.Credentials().Clone()} {
		if got := c.Info().SecurityProtocol; got != "tls" {
			t.Errorf("the protocol is %q", got)
		}
		near, far := net.Pipe()
		go func() {
			conn := tls.Server(far, b.source.Server(certs.ServerOptions{ClientAuth: certs.Need}))
			_ = conn.HandshakeContext(t.Context())
		}()
		conn, info, err := c.ClientHandshake(t.Context(), "server.test:443", near)
		if err != nil {
			t.Fatal(err)
		}
		if info.AuthType() != "tls" {
			t.Errorf("the connection is of %q", info.AuthType())
		}
		_ = far.Close() // First: a farewell would wait for somebody to read it.
		_ = conn.Close()
	}
}

// TestCheck takes files as Open does.
func TestCheck(t *testing.T) {
	b := newBench(t)
	if err := b.files.Check(); err != nil {
		t.Error(err)
	}
	dir := t.TempDir()
	both := filepath.Join(dir, "both.pem") // As some tools write them.
	pair := b.ca.Intermediate(t, "i").Issue(t, certstest.Leaf{})
	b.write(both, append(append([]byte("key first\n"), pair.Key...), pair.Certificate...))
	if err := (certs.Files{Certificate: both, Key: both}).Check(); err != nil {
		t.Error(err)
	}
	if err := (certs.Files{Trust: dir}).Check(); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a directory: %v", err)
	}
}
