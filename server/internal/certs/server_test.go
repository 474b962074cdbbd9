package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/certs"
	"github.com/exportgate/exportgate/server/internal/certs/certstest"
)

func serialOf(raw []byte) (*big.Int, error) {
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, err
	}
	return certificate.SerialNumber, nil
}

// connect shakes hands over loopback. The server then echoes: with TLS 1.3 a client knows only from the first answer that it
// was let in. It returns the client's connection and what the server knows of it; closing it ends the server's.
func connect(t *testing.T, server, client *tls.Config) (*tls.Conn, tls.ConnectionState, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	near, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	conn := tls.Server(far, server)
	go func() {
		defer func() { _ = far.Close() }()
		err := conn.HandshakeContext(ctx)
		served <- err
		if err == nil {
			_, _ = io.Copy(conn, conn)
		}
	}()
	own := tls.Client(near, client)
	err = own.HandshakeContext(ctx)
	if err == nil {
		err = echo(own)
	}
	if err := errors.Join(<-served, err); err != nil {
		_ = near.Close()
		return nil, tls.ConnectionState{}, err
	}
	return own, conn.ConnectionState(), nil
}

func echo(conn net.Conn) error {
	if _, err := conn.Write([]byte{1}); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

// TestClientAuth lets every kind of client try every answer.
func TestClientAuth(t *testing.T) {
	b := newBench(t)
	if err := b.open(0); err != nil {
		t.Fatal(err)
	}
	noTrust := &bench{t: t, ca: b.ca, files: certs.Files{Certificate: b.files.Certificate, Key: b.files.Key}}
	if err := noTrust.open(0); err != nil {
		t.Fatal(err)
	}
	if config, err := noTrust.source.Server(certs.ServerOptions{}).GetConfigForClient(nil); err != nil || config.ClientCAs == nil {
		t.Errorf("the system's authorities say who may call: %v", err)
	}
	issue := func(ca *certstest.Authority, l certstest.Leaf) []tls.Certificate {
		return []tls.Certificate{ca.Issue(t, l).TLS}
	}
	good := issue(b.ca, certstest.Leaf{URI: []string{"spiffe://example.org/ops"}})
	type verdicts struct{ none, want, need bool }
	for name, test := range map[string]struct {
		source *certs.Source
		show   []tls.Certificate
		verdicts
	}{
		"none":              {b.source, nil, verdicts{true, true, false}},
		"good":              {b.source, good, verdicts{true, true, true}},
		"rsa":               {b.source, issue(b.ca, certstest.Leaf{Key: certstest.RSA}), verdicts{true, true, true}},
		"ed25519":           {b.source, issue(b.ca, certstest.Leaf{Key: certstest.Ed25519}), verdicts{true, true, true}},
		"intermediate":      {b.source, issue(b.ca.Intermediate(t, "i"), certstest.Leaf{}), verdicts{true, true, true}},
		"other authority":   {b.source, issue(certstest.NewAuthority(t, "ca"), certstest.Leaf{}), verdicts{true, false, false}},
		"expired":           {b.source, issue(b.ca, certstest.Leaf{NotAfter: time.Now().Add(-time.Minute)}), verdicts{true, false, false}},
		"for servers alone": {b.source, issue(b.ca, certstest.Leaf{Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), verdicts{true, false, false}},
		"good, no trust":    {noTrust.source, good, verdicts{true, false, false}},
		"none, no trust":    {noTrust.source, nil, verdicts{true, true, false}},
	} {
		for answer, allowed := range map[certs.ClientAuth]bool{
			"": test.none, certs.None: test.none, certs.Want: test.want, certs.Need: test.need, "nede": test.need,
		} {
			t.Run(name+" "+string(answer), func(t *testing.T) {
				// As a client that shows its certificate whatever the server says of authorities.
				client := &tls.Config{ServerName: "server.test", RootCAs: b.ca.Pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if test.show == nil {
						return new(tls.Certificate), nil
					}
					return &test.show[0], nil
				}}
				conn, state, err := connect(t, test.source.Server(certs.ServerOptions{ClientAuth: answer}), client)
				if (err == nil) != allowed {
					t.Fatalf("the handshake ended with %v, want allowed %t", err, allowed)
				}
				if err != nil {
					return
				}
				_ = conn.Close()
				if asked := answer != certs.None && answer != ""; (len(state.VerifiedChains) > 0) != (asked && test.show != nil) {
					t.Errorf("%d chains were verified", len(state.VerifiedChains))
				}
			})
		}
	}
}

// TestProtocols has every configuration agree on h2 or HTTP/1.1, and on TLS 1.3 unless told otherwise.
func TestProtocols(t *testing.T) {
	b := newBench(t)
	if err := b.open(0); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		options certs.ServerOptions
		offer   []string
		max     uint16
		want    string
		refused bool
	}{
		"h2":              {certs.ServerOptions{}, []string{"h2"}, 0, "h2", false},
		"h2 before":       {certs.ServerOptions{}, []string{"http/1.1", "h2"}, 0, "h2", false},
		"http/1.1":        {certs.ServerOptions{}, []string{"http/1.1"}, 0, "http/1.1", false},
		"nothing":         {certs.ServerOptions{}, nil, 0, "", false},
		"unknown":         {certs.ServerOptions{}, []string{"spdy/3"}, 0, "", true},
		"old":             {certs.ServerOptions{}, []string{"h2"}, tls.VersionTLS12, "", true},
		"old, allowed":    {certs.ServerOptions{MinVersion: tls.VersionTLS12}, []string{"h2"}, tls.VersionTLS12, "h2", false},
		"too old, though": {certs.ServerOptions{MinVersion: tls.VersionTLS12}, []string{"h2"}, tls.VersionTLS11, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			client := &tls.Config{
				ServerName: "server.test", RootCAs: b.ca.Pool(), NextProtos: test.offer, MinVersion: tls.VersionTLS10, MaxVersion: test.max,
			}
			conn, state, err := connect(t, b.source.Server(test.options), client)
			if (err != nil) != test.refused {
				t.Fatalf("the handshake ended with %v, want refused %t", err, test.refused)
			}
			if err != nil {
				return
			}
			_ = conn.Close()
			if state.NegotiatedProtocol != test.want {
				t.Errorf("agreed on %q, want %q", state.NegotiatedProtocol, test.want)
			}
		})
	}
	if outer := b.source.Server(certs.ServerOptions{}); len(outer.NextProtos) != 2 {
		t.Error("net/http would not speak h2, which it looks for in the outer configuration")
	}
	b.files = certs.Files{}
	if err := b.open(0); err != nil {
		t.Fatal(err)
	}
	if conn, _, err := connect(t, b.source.Server(certs.ServerOptions{}), &tls.Config{ServerName: "a"}); err == nil {
		_ = conn.Close()
		t.Error("there was a handshake without a certificate")
	}
}

// TestRevoked takes an authority out: its clients open no new connection, by no ticket either; what is open stays.
func TestRevoked(t *testing.T) {
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			next := certstest.NewAuthority(t, "next")
			b.write(b.files.Trust, append(b.ca.PEM(), next.PEM()...))
			if err := b.open(soon); err != nil {
				t.Fatal(err)
			}
			b.run()
			server := b.source.Server(certs.ServerOptions{ClientAuth: certs.Need, MinVersion: tls.VersionTLS12})
			newClient := func(ca *certstest.Authority) *tls.Config {
				return &tls.Config{
					ServerName: "server.test", RootCAs: b.ca.Pool(), Certificates: []tls.Certificate{ca.Issue(t, certstest.Leaf{}).TLS},
					ClientSessionCache: tls.NewLRUClientSessionCache(0), MaxVersion: version,
				}
			}
			removed, kept := newClient(b.ca), newClient(next)
			var open *tls.Conn
			for range 2 {
				conn, state, err := connect(t, server, removed)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				open = conn
				if state.DidResume {
					t.Error("a session was resumed")
				}
			}
			written := time.Now()
			b.write(b.files.Trust, next.PEM())
			taken(t, b.source, written)
			if conn, _, err := connect(t, server, removed); err == nil {
				_ = conn.Close()
				t.Error("a client of the authority that was removed got in")
			}
			conn, _, err := connect(t, server, kept)
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			if err := echo(open); err != nil {
				t.Errorf("the connection that was open: %v", err)
			}
		})
	}
}
