// Package certstest issues certificates for tests: authorities, intermediates, and leafs with any name, key and term.
//
//	ca := certstest.NewAuthority(t, "ca")
//	server := ca.Issue(t, certstest.Leaf{DNS: []string{"localhost"}, IP: []string{"127.0.0.1"}})
//	files := server.Write(t, t.TempDir())
//
// It must not know what they are for. Times count from the clock of where it is called, a synctest bubble's too.
package certstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"
)

// Term is how long what is issued is valid, unless it says otherwise; it begins an hour ago.
const Term = 24 * time.Hour

// KeyType is the kind of a leaf's key.
type KeyType uint8

// The kinds of keys.
const (
	ECDSA KeyType = iota // on P-256
	RSA                  // of 2048 bits
	Ed25519
)

// Leaf says what a certificate is for. The zero value is a certificate without a name.
type Leaf struct {
	// CommonName and Organization are the subject's.
	CommonName, Organization string
	// DNS, IP, URI and Email are the names that it is for: a SPIFFE ID is a URI.
	DNS, IP, URI, Email []string
	// NotBefore is an hour ago where zero, NotAfter a [Term] from now.
	NotBefore, NotAfter time.Time
	// Usage is what it may be used for: as a server's and a client's where empty.
	Usage []x509.ExtKeyUsage
	// Key is the kind of its key.
	Key KeyType
}

// Authority issues certificates. It may be used by several goroutines.
type Authority struct {
	// Certificate is its own.
	Certificate *x509.Certificate

	key   crypto.Signer
	chain [][]byte // what a leaf is sent with: the intermediates, from this one up to below the root
}

// NewAuthority is a root that signs itself.
func NewAuthority(tb testing.TB, name string) *Authority {
	tb.Helper()
	return NewAuthorityUntil(tb, name, time.Now().Add(Term))
}

// NewAuthorityUntil is a root that is valid until then, which may be in the past.
func NewAuthorityUntil(tb testing.TB, name string, notAfter time.Time) *Authority {
	tb.Helper()
	key, template := newKey(tb, ECDSA), authority(tb, name, notAfter)
	return &Authority{Certificate: sign(tb, template, template, key.Public(), key), key: key}
}

// Intermediate is an authority below a. What it issues comes with its certificate, and is good for who trusts a.
func (a *Authority) Intermediate(tb testing.TB, name string) *Authority {
	tb.Helper()
	key := newKey(tb, ECDSA)
	certificate := sign(tb, authority(tb, name, time.Now().Add(Term)), a.Certificate, key.Public(), a.key)
	return &Authority{Certificate: certificate, key: key, chain: append([][]byte{certificate.Raw}, a.chain...)}
}

// PEM is the authority's certificate, as a file of trust certificates has it.
func (a *Authority) PEM() []byte { return encode("CERTIFICATE", a.Certificate.Raw) }

// Pool trusts this authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate)
	return pool
}

// Issue makes a new key and signs a certificate for it.
func (a *Authority) Issue(tb testing.TB, l Leaf) *Pair {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(tb), Subject: subject(l.CommonName, l.Organization), NotBefore: l.NotBefore, NotAfter: l.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: l.Usage, DNSNames: l.DNS, EmailAddresses: l.Email,
		BasicConstraintsValid: true,
	}
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(Term)
	}
	if len(l.Usage) == 0 {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	for _, text := range l.IP {
		ip := net.ParseIP(text)
		if ip == nil {
			tb.Fatalf("%q is no IP address", text)
		}
		template.IPAddresses = append(template.IPAddresses, ip)
	}
	for _, text := range l.URI {
		uri, err := url.Parse(text)
		if err != nil {
			tb.Fatal(err)
		}
		template.URIs = append(template.URIs, uri)
	}
	key := newKey(tb, l.Key)
	leaf := sign(tb, template, a.Certificate, key.Public(), a.key)
	return newPair(tb, leaf, append([][]byte{leaf.Raw}, a.chain...), key)
}

func authority(tb testing.TB, name string, notAfter time.Time) *x509.Certificate {
	tb.Helper()
	return &x509.Certificate{
		SerialNumber: serial(tb), Subject: subject(name, ""), NotBefore: time.Now().Add(-2 * Term), NotAfter: notAfter,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

func subject(name, organization string) pkix.Name {
	s := pkix.Name{CommonName: name}
	if organization != "" {
		s.Organization = []string{organization}
	}
	return s
}

func serial(tb testing.TB) *big.Int {
	tb.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		tb.Fatal(err)
	}
	return n.Add(n, big.NewInt(1))
}

func newKey(tb testing.TB, kind KeyType) crypto.Signer {
	tb.Helper()
	var (
		key crypto.Signer
		err error
	)
	switch kind {
	case ECDSA:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RSA:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func sign(tb testing.TB, template, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	tb.Helper()
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key, signer)
	if err != nil {
		tb.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		tb.Fatal(err)
	}
	return certificate
}

func encode(kind string, raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
}

// newPair puts a leaf, what it is sent with, and its key together.
func newPair(tb testing.TB, leaf *x509.Certificate, chain [][]byte, key crypto.Signer) *Pair {
	tb.Helper()
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	p := &Pair{
		Leaf: leaf, TLS: tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, Key: encode("PRIVATE KEY", private),
	}
	for _, raw := range chain {
		p.Certificate = append(p.Certificate, encode("CERTIFICATE", raw)...)
	}
	return p
}
