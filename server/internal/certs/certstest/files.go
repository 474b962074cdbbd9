package certstest

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
)

// Pair is a certificate with the intermediates that it is sent with, and its key.
type Pair struct {
	// Leaf is the certificate, parsed.
	Leaf *x509.Certificate
	// TLS is the pair as crypto/tls takes it.
	TLS tls.Certificate
	// Certificate and Key are the pair in PEM form: the leaf first, the key as PKCS #8.
	Certificate, Key []byte
}

// Files are where a pair was written.
type Files struct{ Certificate, Key string }

// Write writes the pair to tls.crt and tls.key of a directory, as a secret of Kubernetes has them. Each file is replaced
// at once, one after the other.
func (p *Pair) Write(tb testing.TB, dir string) Files {
	tb.Helper()
	f := Files{Certificate: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	WriteFile(tb, f.Certificate, p.Certificate)
	WriteFile(tb, f.Key, p.Key)
	return f
}

// WriteFile replaces a file at once: whoever reads it sees the old content or the new. Only its owner may read it.
func WriteFile(tb testing.TB, path string, content []byte) {
	tb.Helper()
	fresh := path + ".new"
	if err := os.WriteFile(fresh, content, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(fresh, path); err != nil {
		tb.Fatal(err)
	}
}
