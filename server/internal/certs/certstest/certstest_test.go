package certstest_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/certs/certstest"
)

func TestIssue(t *testing.T) {
	ca := certstest.NewAuthority(t, "root")
	old := certstest.NewAuthorityUntil(t, "old", time.Now().Add(-time.Minute))
	for name, test := range map[string]struct {
		issuer *certstest.Authority
		leaf   certstest.Leaf
		host   string
		usage  x509.ExtKeyUsage
		valid  bool
	}{
		"ecdsa, dns":         {ca, certstest.Leaf{DNS: []string{"a.test"}}, "a.test", x509.ExtKeyUsageServerAuth, true},
		"rsa, ip":            {ca, certstest.Leaf{IP: []string{"::1"}, Key: certstest.RSA}, "::1", x509.ExtKeyUsageClientAuth, true},
		"ed25519, spiffe":    {ca, certstest.Leaf{URI: []string{"spiffe://a/b"}, Key: certstest.Ed25519}, "", x509.ExtKeyUsageClientAuth, true},
		"other host":         {ca, certstest.Leaf{DNS: []string{"a.test"}}, "b.test", x509.ExtKeyUsageServerAuth, false},
		"other usage":        {ca, certstest.Leaf{Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, "", x509.ExtKeyUsageServerAuth, false},
		"expired":            {ca, certstest.Leaf{NotAfter: time.Now().Add(-time.Minute)}, "", x509.ExtKeyUsageServerAuth, false},
		"not yet":            {ca, certstest.Leaf{NotBefore: time.Now().Add(time.Minute)}, "", x509.ExtKeyUsageServerAuth, false},
		"intermediate":       {ca.Intermediate(t, "one").Intermediate(t, "two"), certstest.Leaf{}, "", x509.ExtKeyUsageServerAuth, true},
		"other authority":    {certstest.NewAuthority(t, "root"), certstest.Leaf{}, "", x509.ExtKeyUsageServerAuth, false},
		"expired authority":  {old, certstest.Leaf{}, "", x509.ExtKeyUsageServerAuth, false},
		"e-mail, no purpose": {ca, certstest.Leaf{Email: []string{"a@b.test"}, CommonName: "a", Organization: "b"}, "", x509.ExtKeyUsageAny, true},
	} {
		t.Run(name, func(t *testing.T) {
			pair := test.issuer.Issue(t, test.leaf)
			files := pair.Write(t, t.TempDir())
			loaded, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
			if err != nil {
				t.Fatal(err)
			}
			intermediates := x509.NewCertPool()
			for _, raw := range loaded.Certificate[1:] {
				certificate, err := x509.ParseCertificate(raw)
				if err != nil {
					t.Fatal(err)
				}
				intermediates.AddCert(certificate)
			}
			trusted := ca.Pool()
			trusted.AddCert(old.Certificate)
			_, err = loaded.Leaf.Verify(x509.VerifyOptions{
				Roots: trusted, Intermediates: intermediates, DNSName: test.host, KeyUsages: []x509.ExtKeyUsage{test.usage},
			})
			if (err == nil) != test.valid {
				t.Errorf("verified with %v, want valid %t", err, test.valid)
			}
		})
	}
}
