package certs

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/certs/certstest"
)

// FuzzContent has files of any content either refused, or used: then there is an authority, and a pair that crypto/tls takes.
func FuzzContent(f *testing.F) {
	ca := certstest.NewAuthorityUntil(f, "ca", time.Now().Add(time.Hour))
	pair := ca.Intermediate(f, "i").Issue(f, certstest.Leaf{})
	f.Add(pair.Certificate, pair.Key, ca.PEM())
	f.Add(append(pair.Key, pair.Certificate...), pair.Key, append(ca.PEM(), ca.PEM()[:200]...))
	f.Add([]byte{}, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\neA==\n-----END ENCRYPTED PRIVATE KEY-----\n"), []byte("-----BEGIN "))
	paths := Files{Certificate: "certificate", Key: "key", Trust: "trust"}
	f.Fuzz(func(t *testing.T, certificate, key, trust []byte) {
		c := &content{loaded: time.Now()}
		if err := c.takePair(paths, file{content: certificate}, file{content: key}); (err == nil) != (c.certificate != nil) {
			t.Errorf("a pair is there: %t, and the error is %v", c.certificate != nil, err)
		}
		if c.certificate != nil {
			if _, err := tls.X509KeyPair(certificate, key); err != nil || isEncrypted(key) || c.certificate.Leaf == nil {
				t.Errorf("a pair was taken that is none: %v", err)
			}
		}
		err := c.takeTrust(paths, file{content: trust})
		if (err == nil) != (c.roots != nil) {
			t.Errorf("authorities are there: %t, and the error is %v", c.roots != nil, err)
		}
		if c.roots != nil && c.roots.Equal(x509.NewCertPool()) {
			t.Error("an empty bundle was taken")
		}
		_ = c.warnings(paths, time.Now())
	})
}
