package etcdtest

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/certs"
	"github.com/exportgate/exportgate/server/internal/certs/certstest"
	"github.com/exportgate/exportgate/server/internal/store/etcd"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/exportgate/exportgate/server/internal/store/etcd/etcdtest/cluster"
)

// ends are the files of both ends of a connection: etcd's, which every member reads anew for each handshake, and the store's.
type ends struct {
	t              *testing.T
	members, store certs.Files
}

func newEnds(t *testing.T, ca *certstest.Authority) *ends {
	t.Helper()
	e := &ends{t: t}
	for _, end := range []*certs.Files{&e.members, &e.store} {
		dir := t.TempDir()
		*end = certs.Files{
			Certificate: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), Trust: filepath.Join(dir, "ca.crt"),
		}
		e.prove(*end, ca)
		e.trust(*end, ca)
	}
	return e
}

// prove gives an end a certificate.
func (e *ends) prove(end certs.Files, ca *certstest.Authority) *certstest.Pair {
	e.t.Helper()
	pair := ca.Issue(e.t, certstest.Leaf{IP: []string{"127.0.0.1"}})
	pair.Write(e.t, filepath.Dir(end.Key))
	return pair
}

// trust has an end believe authorities, and no others.
func (e *ends) trust(end certs.Files, authorities ...*certstest.Authority) {
	e.t.Helper()
	var bundle []byte
	for _, ca := range authorities {
		bundle = append(bundle, ca.PEM()...)
	}
	certstest.WriteFile(e.t, end.Trust, bundle)
}

// secure has a member serve clients over TLS, and ask them for a certificate.
func (e *ends) secure(config *embed.Config) {
	for _, urls := range [][]url.URL{config.ListenClientUrls, config.AdvertiseClientUrls} {
		for i := range urls {
			urls[i].Scheme = "https"
		}
	}
	config.ClientTLSInfo.CertFile, config.ClientTLSInfo.KeyFile = e.members.Certificate, e.members.Key
	config.ClientTLSInfo.TrustedCAFile, config.ClientTLSInfo.ClientCertAuth = e.members.Trust, true
}

// open opens a store over TLS.
func (e *ends) open(endpoints []string, files certs.Files) *etcd.Store {
	e.t.Helper()
	source, err := certs.Open(files, certs.Options{Name: "store.etcd.tls", Interval: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	must(e.t, err)
	run(e.t, source.Run)
	s, err := etcd.Open(etcd.Options{
		Endpoints: endpoints, Prefix: prefix, TLS: source, Name: "a", LeaseTTL: ttl, RequestTimeout: timeout, DialTimeout: timeout,
	})
	must(e.t, err)
	e.t.Cleanup(func() { must(e.t, s.Close()) })
	return s
}

// run runs something until the test ends.
func run(t *testing.T, it func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background()) //nolint:usetesting // It is to end before what it uses is closed.
	ended := make(chan error, 1)
	go func() { ended <- it(ctx) }()
	t.Cleanup(func() {
		stop()
		must(t, <-ended)
	})
}

// drives is why a store's server does not drive.
func drives(s *etcd.Store) error {
	if _, ok, _ := s.Election().Term(); !ok {
		return errors.New("it does not drive")
	}
	return nil
}

// Certificates and authorities of both ends are changed while the store is used, one after the other as one does it, and it
// goes on: what it takes is the files' content of the moment in which it connects.
func TestTLSIsRotated(t *testing.T) {
	t.Parallel()
	old, fresh := certstest.NewAuthority(t, "old"), certstest.NewAuthority(t, "fresh")
	e := newEnds(t, old)
	c := cluster.Start(t, 3, 100*time.Millisecond, time.Second, e.secure)
	s := e.open(c.Endpoints(), e.store)
	must(t, s.Swap(t.Context(), record(1)))
	run(t, s.Election().Run)
	// again has every connection made anew, and expects that the store reads and writes.
	again := func(revision uint64) {
		t.Helper()
		for i := range 3 {
			c.Stop(i)
			c.StartMembers(i)
		}
		eventually(t, "read", func() error {
			_, err := s.Read(t.Context())
			return err
		})
		holds(t, s, revision-1)
		eventually(t, "write", func() error { return s.Swap(t.Context(), record(revision)) })
		eventually(t, "drive", func() error { return drives(s) })
	}
	eventually(t, "drive", func() error { return drives(s) })

	e.trust(e.store, old, fresh) // Who is asked is trusted first,
	e.trust(e.members, old, fresh)
	again(2)
	e.prove(e.members, fresh) // then shows another certificate,
	proof := e.prove(e.store, fresh)
	again(3)
	e.trust(e.store, fresh) // and then the old authority is nobody's.
	e.trust(e.members, fresh)
	again(4)
	if shown := shownBy(t, c.Endpoint(0), proof, fresh); shown != fresh.Certificate.Subject.CommonName {
		t.Errorf("the members show certificates of %q", shown)
	}
}

// shownBy is who issued the certificate that a member shows.
func shownBy(t *testing.T, endpoint string, proof *certstest.Pair, trusted *certstest.Authority) string {
	t.Helper()
	conn, err := (&tls.Dialer{Config: &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: trusted.Pool(), Certificates: []tls.Certificate{proof.TLS},
	}}).DialContext(t.Context(), "tcp", strings.TrimPrefix(endpoint, "https://"))
	must(t, err)
	defer func() { _ = conn.Close() }()
	secure, _ := conn.(*tls.Conn)
	return secure.ConnectionState().PeerCertificates[0].Issuer.CommonName
}

// Who cannot be trusted is told nothing, and the failure says why.
func TestTLSIsRefused(t *testing.T) {
	t.Parallel()
	ca, other := certstest.NewAuthority(t, "ca"), certstest.NewAuthority(t, "other")
	e := newEnds(t, ca)
	c := cluster.Start(t, 1, 100*time.Millisecond, time.Second, e.secure)
	stranger, unproven := newEnds(t, other).store, newEnds(t, other).store
	e.trust(unproven, ca)
	for name, test := range map[string]struct {
		files certs.Files
		why   string
	}{
		"members of an authority that is not trusted": {stranger, "unknown authority"},
		// Whether the alert comes before the end of the connection is chance.
		"a certificate that the members do not trust": {unproven, "etcd at https://"},
		"no certificate": {certs.Files{Trust: e.store.Trust}, "etcd at https://"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := e.open(c.Endpoints(), test.files).Read(t.Context()); err == nil || !strings.Contains(err.Error(), test.why) {
				t.Errorf("got %v, want it to say %q", err, test.why)
			}
		})
	}
	must(t, e.open(c.Endpoints(), e.store).Swap(t.Context(), record(1)))
}
