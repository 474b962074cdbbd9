package server_test

import (
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

	"github.com/exportgate/exportgate/server"
)

// TestClientTLS speaks to a member that asks for a certificate, which is renewed meanwhile.
func TestClientTLS(t *testing.T) {
	files := newPair(t, 1)
	c, err := server.Load(server.LoadOptions{Env: etcd(
		"STORE_ETCD_TLS_CA="+files.CA, "STORE_ETCD_TLS_CERTIFICATE="+files.Certificate, "STORE_ETCD_TLS_KEY="+files.Key,
	)})
	if err != nil {
		t.Fatal(err)
	}
	config, err := c.Store.Etcd.ClientTLS()
	if err != nil {
		t.Fatal(err)
	}
	config.ServerName = "etcd" // As etcd's client sets it.
	member, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, serial := range []int64{1, 2} {
		if serial == 2 {
			writePair(t, server.TLSFiles{CA: files.CA + ".new", Certificate: files.Certificate, Key: files.Key}, serial)
		}
		if got := handshake(t, config, member); got != serial {
			t.Errorf("the member saw certificate %d, want %d", got, serial)
		}
	}

	plain := server.EtcdConfig{Endpoints: []string{"http://a:2379"}}
	if config, err := plain.ClientTLS(); config != nil || err != nil {
		t.Errorf("got %v and %v for http, want neither", config, err)
	}
	none := server.EtcdConfig{Endpoints: []string{"https://a:2379"}}
	config, err = none.ClientTLS()
	if err != nil {
		t.Fatal(err)
	}
	if config.RootCAs != nil {
		t.Error("without a file, authorities are others than the system's")
	}
	config.ServerName, config.RootCAs = "etcd", x509.NewCertPool()
	config.RootCAs.AddCert(member.Leaf)
	if got := handshake(t, config, member); got != 0 {
		t.Errorf("the member saw certificate %d, want none", got)
	}
	if err := os.Remove(files.CA); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Store.Etcd.ClientTLS(); err == nil || !strings.Contains(err.Error(), "store.etcd.tls.ca "+files.CA) {
		t.Errorf("got error %v, want one that names the key and the file", err)
	}
}

// handshake is the serial number of the certificate that a client shows to a member; 0 if it shows none.
func handshake(t *testing.T, client *tls.Config, member tls.Certificate) int64 {
	t.Helper()
	near, far := net.Pipe()
	conn := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{member}, ClientAuth: tls.RequestClientCert})
	done := make(chan error, 1)
	go func() { done <- conn.HandshakeContext(t.Context()) }()
	if err := tls.Client(near, client).HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	shown := conn.ConnectionState().PeerCertificates
	if len(shown) == 0 {
		return 0
	}
	return shown[0].SerialNumber.Int64()
}

// newPair makes a certificate for etcd, which is its own authority, and its key.
func newPair(t *testing.T, serial int64) server.TLSFiles {
	t.Helper()
	dir := t.TempDir()
	files := server.TLSFiles{
		CA: filepath.Join(dir, "ca.pem"), Certificate: filepath.Join(dir, "tls.pem"), Key: filepath.Join(dir, "tls.key"),
	}
	writePair(t, files, serial)
	return files
}

func writePair(t *testing.T, files server.TLSFiles, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{"etcd"}, NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		files.CA: {Type: "CERTIFICATE", Bytes: certificate}, files.Certificate: {Type: "CERTIFICATE", Bytes: certificate},
		files.Key: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
