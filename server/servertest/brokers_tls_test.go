package servertest_test

import (
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/certs/certstest"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// secure are brokers and a gateway that speak TLS and want to know who calls, and the files by which the server knows them.
type secure struct {
	t     *testing.T
	files certstest.Files // of the server
	trust string          // whom it believes that it speaks to a broker
	now   atomic.Pointer[faces]
}

// faces are what brokers show and ask for, by host; the empty host is all others.
type faces map[string]*tls.Config

func newSecure(t *testing.T, ca *certstest.Authority) *secure {
	t.Helper()
	dir := t.TempDir()
	s := &secure{t: t, trust: filepath.Join(dir, "ca.crt")}
	s.files = s.proof(ca).Write(t, dir)
	certstest.WriteFile(t, s.trust, ca.PEM())
	s.show(faces{"": s.broker(ca, ca)})
	return s
}

// proof is a certificate with which the server proves to brokers who it is.
func (s *secure) proof(ca *certstest.Authority) *certstest.Pair {
	s.t.Helper()
	return ca.Issue(s.t, certstest.Leaf{DNS: []string{"exportgate.test"}, NotAfter: ca.Certificate.NotAfter.Add(-time.Minute)})
}

// broker is a broker's end: a certificate for the addresses of all of them, and the authorities of those who may call.
func (s *secure) broker(own *certstest.Authority, clients ...*certstest.Authority) *tls.Config {
	s.t.Helper()
	pair := own.Issue(s.t, certstest.Leaf{IP: []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}})
	return end(pair, clients...)
}

func end(pair *certstest.Pair, clients ...*certstest.Authority) *tls.Config {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair.TLS}, NextProtos: []string{"h2", "http/1.1"},
	}
	if len(clients) > 0 {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, clients[0].Pool()
		for _, ca := range clients[1:] {
			config.ClientCAs.AddCert(ca.Certificate)
		}
	}
	return config
}

// show has brokers show something else from now on, on connections that begin.
func (s *secure) show(what faces) { s.now.Store(&what) }

// options are those of the cluster.
func (s *secure) options(version string) embedded.Options {
	return embedded.Options{
		Version: version, DistinctHosts: true, WriteInterval: 100 * time.Millisecond,
		TLS: &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			now := *s.now.Load()
			host, _, _ := net.SplitHostPort(hello.Conn.LocalAddr().String())
			if config, ok := now[host]; ok {
				return config, nil
			}
			return now[""], nil
		}},
	}
}

// settings are those of the server, with others.
func (s *secure) settings(more map[string]string) map[string]string {
	settings := map[string]string{
		"zeebe.tls.ca": s.trust, "zeebe.tls.certificate": s.files.Certificate, "zeebe.tls.key": s.files.Key,
	}
	maps.Copy(settings, more)
	return settings
}

// cut breaks the connections to a broker, so that the next begins anew.
func (s *secure) cut(h *servertest.Harness, brokers ...int) {
	s.t.Helper()
	for _, id := range brokers {
		if err := h.Cluster.Broker(id).Restart(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Brokers that speak TLS, and let in nobody without a certificate, are paused and resumed; also while their authorities are
// changed, without a restart.
func TestBrokersSpeakTLS(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.9", "8.10"}, func(t try) {
		old, fresh := certstest.NewAuthority(t, "old"), certstest.NewAuthorityUntil(t, "fresh", time.Now().Add(time.Hour))
		s := newSecure(t.T, old)
		discovery := servertest.ByID
		if t.door == servertest.HTTP {
			discovery = servertest.ByGateway
		}
		h := servertest.Start(t, servertest.Options{Cluster: s.options(t.version), Discovery: discovery, Settings: s.settings(nil)})
		route := h.Route(t, t.door)
		pauseAndResume := func(when string) {
			t.Helper()
			t.Log(when)
			t.expectSuccess(h, t.untilAvailable(route, hard()), embedded.Paused)
			t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
		}
		pauseAndResume("at first")

		client, base := clientOf(t, h, servertest.Identity{})
		certstest.WriteFile(t, s.trust, append(old.PEM(), fresh.PEM()...))
		servertest.Await(t, "both authorities are trusted", func() bool {
			return scrape(t, client, base)[`exportgate_trust_not_after_timestamp_seconds{use="zeebe"}`] == float64(fresh.Certificate.NotAfter.Unix())
		})
		s.show(faces{"": s.broker(fresh, old, fresh)})
		s.cut(h, 0, 1, 2)
		pauseAndResume("brokers show certificates of another authority")

		proof := s.proof(fresh)
		proof.Write(t, filepath.Dir(s.files.Key))
		certstest.WriteFile(t, s.trust, fresh.PEM())
		servertest.Await(t, "the server has its new certificate", func() bool {
			return scrape(t, client, base)[`exportgate_certificate_not_after_timestamp_seconds{use="zeebe"}`] == float64(proof.Leaf.NotAfter.Unix())
		})
		s.show(faces{"": s.broker(fresh, fresh)})
		s.cut(h, 0, 1, 2)
		pauseAndResume("and the old authority is gone")
	})
}

// A broker whose certificate is for another name, or of an authority that nobody trusts, is not spoken to, and named. The
// others are resumed all the same.
func TestBrokersThatCannotBeTrusted(t *testing.T) {
	t.Parallel()
	ca := certstest.NewAuthority(t, "ca")
	for name, test := range map[string]struct {
		shows *tls.Config
		why   string
	}{
		"another name":      {end(ca.Issue(t, certstest.Leaf{IP: []string{"127.0.0.9"}, DNS: []string{"broker-9"}}), ca), "127.0.0.9"},
		"another authority": {end(certstest.NewAuthority(t, "ca").Issue(t, certstest.Leaf{IP: []string{"127.0.0.2"}}), ca), "unknown authority"},
		"expired":           {end(ca.Issue(t, certstest.Leaf{IP: []string{"127.0.0.2"}, NotAfter: time.Now().Add(-time.Minute)}), ca), "expired"},
		"wants another":     {end(ca.Issue(t, certstest.Leaf{IP: []string{"127.0.0.2"}}), certstest.NewAuthority(t, "other")), "does it want a certificate?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			try := try{T: t, version: "8.9", door: servertest.HTTP}
			s := newSecure(t, ca)
			h := servertest.Start(t, servertest.Options{Cluster: s.options(try.version), Settings: s.settings(within("5s"))})
			route := h.Route(t, try.door)
			try.expectSuccess(h, try.untilAvailable(route, hard()), embedded.Paused)
			s.show(faces{"127.0.0.2": test.shows, "": s.broker(ca, ca)})
			s.cut(h, 1)
			servertest.Await(t, "the broker is not spoken to", func() bool {
				return strings.Contains(errorOf(t, route, "1"), test.why)
			})
			client, base := clientOf(t, h, servertest.Identity{})
			if health := ask(t, client, http.MethodGet, base, "/health").body; !strings.Contains(health, test.why) {
				t.Errorf("health does not tell why: %s", health)
			}
			writes := len(h.Cluster.Broker(1).Writes())
			o := route.Resume(t.Context(), resume())
			try.expectNotSettled(o, "1")
			if !strings.Contains(o.Message, test.why) && !failuresSay(o, test.why) {
				t.Errorf("the failure does not say why: %v %v", o, o.Failures)
			}
			if !has(h, 0, embedded.Exporting) || !has(h, 2, embedded.Exporting) || len(h.Cluster.Broker(1).Writes()) != writes {
				t.Errorf("the others were to be resumed, and it not to be spoken to: %+v", h.Cluster.Replicas())
			}
			try.expectIncomplete(route.Pause(t.Context(), hard()), "1")
			s.show(faces{"": s.broker(ca, ca)})
			try.awaitQuiet(h, embedded.Exporting)
		})
	}
}

func failuresSay(o servertest.Outcome, why string) bool {
	for _, f := range o.Failures {
		if strings.Contains(f.GetError(), why) {
			return true
		}
	}
	return false
}

// errorOf is why a broker does not answer, as the status has it.
func errorOf(t *testing.T, route servertest.Route, broker string) string {
	t.Helper()
	for _, b := range route.GetStatus(t.Context()).Status.GetCluster().GetBrokers() {
		if b.GetId() == broker {
			return b.GetError()
		}
	}
	return ""
}
