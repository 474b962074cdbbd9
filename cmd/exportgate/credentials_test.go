package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// secured is a server over TLS, and who called it last.
type secured struct {
	address, ca, certificate, key string
	token, subject                string
}

// serveTLS serves over TLS, with a certificate that is its own authority and the client's too.
func serveTLS(t *testing.T) *secured {
	t.Helper()
	s := newCertificate(t)
	pair, err := tls.LoadX509KeyPair(s.certificate, s.key)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(pair.Leaf)
	config := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.VerifyClientCertIfGiven}
	f := &fake{getStatus: func(ctx context.Context) (*exportgatev1.GetStatusResponse, error) {
		s.token, s.subject = strings.Join(metadata.ValueFromIncomingContext(ctx, "authorization"), ","), ""
		if p, ok := peer.FromContext(ctx); ok {
			if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.VerifiedChains) > 0 {
				s.subject = info.State.VerifiedChains[0][0].DNSNames[0]
			}
		}
		return &exportgatev1.GetStatusResponse{Status: &exportgatev1.Status{}}, nil
	}}
	s.address = serve(t, f, grpc.Creds(credentials.NewTLS(config)))
	return s
}

func newCertificate(t *testing.T) *secured {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, DNSNames: []string{"tester"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate := secretFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return &secured{ca: certificate, certificate: certificate, key: secretFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))}
}

func secretFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestIdentity proves that flags and environment prove who calls.
func TestIdentity(t *testing.T) {
	s := serveTLS(t)
	file := secretFile(t, "egt_from-a-file\n")
	tests := []struct {
		name           string
		env, args      []string
		token, subject string
	}{
		{name: "nobody", args: []string{"--ca", s.ca}},
		{name: "a certificate", args: []string{"--ca", s.ca, "--certificate", s.certificate, "--key", s.key}, subject: "tester"},
		{
			name: "a certificate of the environment", subject: "tester",
			env: []string{"EXPORTGATE_CA=" + s.ca, "EXPORTGATE_CERTIFICATE=" + s.certificate, "EXPORTGATE_KEY=" + s.key},
		},
		{name: "a token", env: []string{"EXPORTGATE_TOKEN=egt_x"}, args: []string{"--ca", s.ca}, token: "Bearer egt_x"},
		{name: "a token's file", args: []string{"--ca", s.ca, "--token-file", file}, token: "Bearer egt_from-a-file"},
		{
			name: "a token's file counts more than a token", token: "Bearer egt_from-a-file",
			env: []string{"EXPORTGATE_TOKEN=egt_x", "EXPORTGATE_TOKEN_FILE=" + file}, args: []string{"--ca", s.ca},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := run(t, test.env, append([]string{"status", "--server", s.address}, test.args...)...)
			if got.code != exitOK || s.token != test.token || s.subject != test.subject {
				t.Errorf("got code %d, token %q and subject %q, and %s", got.code, s.token, s.subject, got.stderr)
			}
		})
	}
}

// TestIdentityRefuses proves that nothing is called with a credential that is unfit, nor a token sent in the clear, nor
// shown.
func TestIdentityRefuses(t *testing.T) {
	s := newCertificate(t)
	tests := []struct {
		name      string
		env, args []string
		want      string
	}{
		{name: "half a pair", args: []string{"--certificate", s.certificate}, want: "--certificate and --key are of use only together"},
		{name: "no file", args: []string{"--ca", "/none"}, want: "--ca: open /none"},
		{name: "no authority", args: []string{"--ca", s.key}, want: "has no certificate in PEM form"},
		{name: "another's key", args: []string{"--certificate", s.certificate, "--key", newCertificate(t).key}, want: "private key does not match"},
		{name: "a token in the clear", env: []string{"EXPORTGATE_TOKEN=hunter2"}, want: "a token would be sent to proxy.example:1 in the clear"},
		{name: "a token of two words", env: []string{"EXPORTGATE_TOKEN=hunter2 x"}, args: []string{"--tls"}, want: "EXPORTGATE_TOKEN is not a token"},
		{name: "no token", args: []string{"--tls", "--token-file", secretFile(t, "\n")}, want: "is not a token"},
		{name: "a token's file that is not there", args: []string{"--tls", "--token-file", "/none"}, want: "--token-file: open /none"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := run(t, test.env, append([]string{"status", "--server", "proxy.example:1"}, test.args...)...)
			if got.code != exitUsage || !strings.Contains(got.stderr, test.want) || strings.Contains(got.stderr, "hunter2") {
				t.Errorf("got code %d and %s without %s", got.code, got.stderr, test.want)
			}
		})
	}
}
