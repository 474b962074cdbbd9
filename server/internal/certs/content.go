package certs

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

const (
	// looks is how often the files are read until two reads in a row give the same.
	looks = 5
	// settling is the part of the interval that lies between these reads: 20 ms of a second.
	settling = 50
)

// content is what the files held at one moment. It does not change.
type content struct {
	sum    [sha256.Size]byte // of all files, by which content is told apart
	loaded time.Time

	certificate *tls.Certificate // nil where none is given
	readable    bool             // the key's file, by everybody

	roots         *x509.CertPool // nil where no file of them is given
	trustNotAfter time.Time
}

// settled reads the files until two reads give the same content, and it can be used. Who renews them writes one after the
// other, and some write into the file that is read: a chain may end early and still be a chain.
func (s *Source) settled(ctx context.Context) (*content, error) {
	known := s.active.Load()
	var (
		last *content
		err  error
	)
	for range looks {
		var next *content
		next, err = s.files.load(known)
		if err == nil && (s.files == Files{} || next == known || last != nil && next.sum == last.sum) {
			return next, nil
		}
		last = next
		select {
		case <-time.After(s.interval / settling):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err == nil {
		err = errors.New("the files change at every look: have them replaced at once, by renaming")
	}
	return nil, err
}

// Check says what is wrong with the files, each named, without keeping them: nothing where they can be used.
func (f Files) Check() error {
	_, err := f.load(nil)
	return err
}

// load reads the files once. It returns known where they hold what is known.
func (f Files) load(known *content) (*content, error) {
	if (f.Certificate == "") != (f.Key == "") {
		return nil, errors.New("a certificate and its private key are of use only together: give both or neither")
	}
	var certificate, key, trust file
	for _, part := range []struct {
		into *file
		path string
		what string
	}{
		{&certificate, f.Certificate, "certificate"}, {&key, f.Key, "private key"}, {&trust, f.Trust, "trust certificate"},
	} {
		if err := part.into.read(part.path); err != nil {
			return nil, fmt.Errorf("%s %s: %w", part.what, part.path, err)
		}
	}
	sum := fingerprint(certificate, key, trust)
	if known != nil && known.sum == sum {
		return known, nil
	}
	c := &content{sum: sum, loaded: time.Now(), readable: key.mode&everybody != 0}
	return c, errors.Join(c.takePair(f, certificate, key), c.takeTrust(f, trust))
}

func (c *content) takePair(f Files, certificate, key file) error {
	if f.Certificate == "" {
		return nil
	}
	if _, err := certificates(certificate.content); err != nil {
		return fmt.Errorf("certificate %s: %w", f.Certificate, err)
	}
	if isEncrypted(key.content) {
		return fmt.Errorf("private key %s: is encrypted: write it without a passphrase (openssl pkey -in ... -out ...), readable "+
			"for this server alone", f.Key)
	}
	pair, err := tls.X509KeyPair(certificate.content, key.content)
	if err != nil {
		return fmt.Errorf("certificate %s and private key %s: %w", f.Certificate, f.Key, err)
	}
	c.certificate = &pair
	return nil
}

func (c *content) takeTrust(f Files, trust file) error {
	if f.Trust == "" {
		return nil
	}
	authorities, err := certificates(trust.content)
	if err != nil {
		return fmt.Errorf("trust certificate %s: %w", f.Trust, err)
	}
	c.roots = x509.NewCertPool()
	for _, authority := range authorities {
		c.roots.AddCert(authority)
	}
	c.trustNotAfter = firstEnd(authorities, c.loaded)
	return nil
}

// firstEnd is when the first of those that last ends; where none does, when the last of them ended.
func firstEnd(certificates []*x509.Certificate, now time.Time) time.Time {
	var first, last time.Time
	for _, c := range certificates {
		if now.Before(c.NotAfter) && (first.IsZero() || c.NotAfter.Before(first)) {
			first = c.NotAfter
		}
		if c.NotAfter.After(last) {
			last = c.NotAfter
		}
	}
	if first.IsZero() {
		return last
	}
	return first
}

// trustEnded reports that there are trusted authorities, and that they had all expired when they were loaded: nobody's
// certificate is valid then. It is no reason not to start, but one not to replace any that are.
func (c *content) trustEnded() bool { return c.roots != nil && !c.loaded.Before(c.trustNotAfter) }

func errTrustEnded(path string) error {
	return fmt.Errorf("trust certificate %s: has expired, every one in it: nobody's certificate is valid with it", path)
}

// warnings are what does not keep the files from being used.
func (c *content) warnings(f Files, now time.Time) []string {
	var found []string
	warn := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if c.certificate != nil {
		switch leaf := c.certificate.Leaf; {
		case now.After(leaf.NotAfter):
			warn("certificate %s expired at %s: others will refuse it, renew it", f.Certificate, leaf.NotAfter.Format(time.RFC3339))
		case now.Before(leaf.NotBefore):
			warn("certificate %s is not valid before %s: others will refuse it, look at the clock", f.Certificate,
				leaf.NotBefore.Format(time.RFC3339))
		}
	}
	if c.readable {
		warn("private key %s can be read by everybody on this machine: take that right away (chmod o-rwx)", f.Key)
	}
	if c.trustEnded() {
		warn("%v: renew it", errTrustEnded(f.Trust))
	}
	return found
}

// everybody is the right of all users to read a file.
const everybody fs.FileMode = 0o004
