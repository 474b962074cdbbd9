package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// TestTLS proves that the door speaks TLS with both versions of HTTP, that calls and Admit learn of the certificate that a
// client showed, and that a client which never finishes its handshake holds nothing up and is answered nothing.
func TestTLS(t *testing.T) {
	issued := httptest.NewUnstartedServer(nil)
	issued.StartTLS()
	certificate := issued.TLS.Certificates[0]
	roots := x509.NewCertPool()
	roots.AddCert(issued.Certificate())
	issued.Close()

	g := newGate(nil)
	d := openDoor(t, &fake{}, Options{Admit: g.admit}, func(s *Server) {
		s.ReadHeaderTimeout = 200 * time.Millisecond
		s.TLSConfig = &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"},
			ClientAuth: tls.RequestClientCert,
		}
	})
	for _, version := range []int{1, 2} {
		transport := &http.Transport{ForceAttemptHTTP2: version == 2, TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: "example.com", Certificates: []tls.Certificate{certificate},
		}}
		for _, path := range []string{"/info", "/exporting", "/exporting/watch"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+d.addr+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				t.Error(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK || response.ProtoMajor != version {
				t.Errorf("GET %s: %d over HTTP/%d, want 200 over HTTP/%d", path, response.StatusCode, response.ProtoMajor, version)
			}
			var ctx context.Context
			if path == "/info" {
				ctx = <-g.ctxs
			} else {
				ctx = <-d.ctxs
			}
			p, _ := peer.FromContext(ctx)
			if info, ok := p.AuthInfo.(credentials.TLSInfo); !ok || len(info.State.PeerCertificates) != 1 {
				t.Errorf("GET %s: the peer shows %v", path, p.AuthInfo)
			}
		}
		transport.CloseIdleConnections()
	}
	for name, sent := range map[string]string{"silence": "", "half a handshake": "\x16\x03\x01\x02\x00\x01"} {
		c := dialRaw(t, d)
		write(t, c, sent)
		if answer, _ := io.ReadAll(c); strings.Contains(string(answer), "HTTP") {
			t.Errorf("%s is answered with %q", name, answer)
		}
	}
	if got := plainText(t, d); got != http.StatusBadRequest {
		t.Errorf("HTTP without TLS got %d, want net/http's hint", got)
	}
}

// plainText is the answer to a request without TLS.
func plainText(t *testing.T, d *door) int {
	t.Helper()
	c := dialRaw(t, d)
	write(t, c, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
	got, _ := readAnswer(t, c)
	return got.code
}

// TestServerOptionsTurnTLSOn pins what ServerOptions promise.
func TestServerOptionsTurnTLSOn(t *testing.T) {
	config := &tls.Config{MinVersion: tls.VersionTLS13}
	if s := NewServer(http.NotFoundHandler(), ServerOptions{Timeout: time.Second, Logger: discard(), TLS: config}); s.TLSConfig != config {
		t.Error("the server does not speak TLS")
	}
}
