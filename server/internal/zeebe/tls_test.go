package zeebe

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/exportgate/exportgate/gen/gateway_protocol"
	"github.com/exportgate/exportgate/server/internal/certs"
	"github.com/exportgate/exportgate/server/internal/certs/certstest"
	"github.com/exportgate/exportgate/server/internal/exporting"
)

// secureBroker is a fake broker that serves TLS.
func secureBroker(t *testing.T, config *tls.Config) *fakeBroker {
	t.Helper()
	b := &fakeBroker{answers: map[string]http.HandlerFunc{}}
	b.server = httptest.NewUnstartedServer(b)
	b.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	b.server.TLS = config
	b.server.StartTLS()
	t.Cleanup(b.server.Close)
	return b.old("EXPORTING")
}

// source is what a client shows and trusts.
func source(t *testing.T, trust *certstest.Authority, own *certstest.Pair) *certs.Source {
	t.Helper()
	dir := t.TempDir()
	files := certs.Files{Trust: filepath.Join(dir, "ca.crt")}
	certstest.WriteFile(t, files.Trust, trust.PEM())
	if own != nil {
		pair := own.Write(t, dir)
		files.Certificate, files.Key = pair.Certificate, pair.Key
	}
	s, err := certs.Open(files, certs.Options{Name: "zeebe.tls", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBrokersOverTLS(t *testing.T) {
	ca, other := certstest.NewAuthority(t, "ca"), certstest.NewAuthority(t, "other")
	serving := func(leaf certstest.Leaf) *tls.Config {
		return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{ca.Issue(t, leaf).TLS}}
	}
	mutual := func() *tls.Config {
		config := serving(certstest.Leaf{IP: []string{"127.0.0.1"}})
		config.ClientCAs, config.ClientAuth = ca.Pool(), tls.RequireAndVerifyClientCert
		return config
	}
	client := ca.Issue(t, certstest.Leaf{CommonName: "exportgate"})
	for _, test := range []struct {
		name   string
		broker *tls.Config
		client *certs.Source
		says   string // empty: it answers
		unsent bool
	}{
		{"a certificate for its address", serving(certstest.Leaf{IP: []string{"127.0.0.1"}}), source(t, ca, nil), "", false},
		{"both show one", mutual(), source(t, ca, client), "", false},
		{"only one shows one", mutual(), source(t, ca, nil), "zeebe.tls.certificate", false},
		{"another authority", serving(certstest.Leaf{IP: []string{"127.0.0.1"}}), source(t, other, nil), "zeebe.tls.ca", true},
		{"the system's authorities", serving(certstest.Leaf{IP: []string{"127.0.0.1"}}), nil, "zeebe.tls.ca", true},
		{"a certificate for another", serving(certstest.Leaf{IP: []string{"127.0.0.2"}}), source(t, ca, nil), "127.0.0.2", true},
		{"one that ended", serving(certstest.Leaf{
			IP: []string{"127.0.0.1"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		}), source(t, ca, nil), "expired", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := secureBroker(t, test.broker)
			var outcome string
			c := newClient(t, func(o *Options) {
				o.TLS, o.Observe = test.client, func(_, came string, _ time.Duration) { outcome = came }
			}, b)
			_, err := c.Read(t.Context(), exporting.Broker{ID: "0", Address: b.address()})
			if test.says == "" {
				if err != nil || outcome != outcomeOK {
					t.Errorf("it does not answer: %v (%s)", err, outcome)
				}
				return
			}
			wantError(t, err, "certificate", test.says)
			if outcome != outcomeUnreachable {
				t.Errorf("the outcome is %s", outcome)
			}
			// A soft pause that never left is not on its way.
			_ = c.Write(t.Context(), exporting.Lever{ID: exporting.LeverID(b.address())}, exporting.PhaseSoftPaused)
			c.memory.with(b.address(), func(r *record) {
				if r.guard.pending == test.unsent {
					t.Errorf("whether it may be on its way: %t", r.guard.pending)
				}
			})
		})
	}
}

func TestTLSToWhereThereIsNone(t *testing.T) {
	b := newFakeBroker(t).old("EXPORTING")
	address := strings.Replace(b.address(), "http://", "https://", 1)
	c := newClient(t, func(o *Options) { o.Brokers = []string{address} })
	_, err := c.Read(t.Context(), exporting.Broker{ID: "0", Address: address})
	wantError(t, err, "does not speak TLS", "http://")
}

// The brokers of a DNS name have certificates for that name, are asked by it, and by nothing else.
func TestNamesOfAddressesOverTLS(t *testing.T) {
	ca := certstest.NewAuthority(t, "ca")
	for _, test := range []struct {
		leaf certstest.Leaf
		says string
	}{
		{certstest.Leaf{DNS: []string{"zeebe.test"}}, ""},
		{certstest.Leaf{DNS: []string{"zeebe-0.zeebe.test"}, IP: []string{"127.0.0.1"}}, "zeebe.test"},
	} {
		b := secureBroker(t, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{ca.Issue(t, test.leaf).TLS}})
		var asked []string
		b.handle("GET /cluster", func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.Host, r.TLS.ServerName)
			_, _ = w.Write([]byte(clusterOfOne))
		})
		_, port, err := net.SplitHostPort(b.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		resolver := names{"zeebe.test": {"127.0.0.1"}}
		c := newClient(t, func(o *Options) {
			o.TLS, o.Resolver, o.Brokers = source(t, ca, nil), resolver, []string{"dns+https://zeebe.test:" + port + "/actuator"}
		})
		topology, err := c.Topology(t.Context())
		if test.says != "" {
			wantError(t, err, "no broker answers", test.says, "zeebe.tls.ca")
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"zeebe.test:" + port, "zeebe.test"}, asked); diff != "" {
			t.Errorf("how it is asked differs (-want +got):\n%s", diff)
		}
		// A name that cannot be looked up for a while is still known to belong to the addresses.
		delete(resolver, "zeebe.test")
		if _, err := c.Topology(t.Context()); err == nil {
			t.Error("the name was looked up")
		}
		c.http.CloseIdleConnections()
		if _, err := c.Read(t.Context(), topology.Brokers[0]); err != nil {
			t.Error(err)
		}
	}
}

func TestServerNames(t *testing.T) {
	n := new(serverNames)
	n.learn(map[string]string{"a:1": "one", "b:1": "two"}, nil)
	n.learn(map[string]string{"c:1": "one"}, map[string]bool{"two": true})
	for address, want := range map[string]string{"a:1": "", "b:1": "two", "c:1": "one", "d:1": ""} {
		if got := n.of(address); got != want {
			t.Errorf("of %s it is %q, want %q", address, got, want)
		}
	}
}

func TestGatewayOverTLS(t *testing.T) {
	ca, other := certstest.NewAuthority(t, "ca"), certstest.NewAuthority(t, "other")
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
		Certificates: []tls.Certificate{ca.Issue(t, certstest.Leaf{IP: []string{"127.0.0.1"}}).TLS},
	}
	client := ca.Issue(t, certstest.Leaf{CommonName: "exportgate"})
	answer := &gateway_protocol.TopologyResponse{Brokers: []*gateway_protocol.BrokerInfo{told(0, "127.0.0.1", "8.9.3")}}
	for _, test := range []struct {
		name, scheme string
		client       *certs.Source
		says         string
	}{
		{"https", "https://", source(t, ca, client), ""},
		{"grpcs", "grpcs://", source(t, ca, client), ""},
		{"no certificate", "https://", source(t, ca, nil), "gateway"},
		{"another authority", "https://", source(t, other, client), "certificate"},
		{"in the clear", "", source(t, ca, client), "gateway"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newFakeGatewayOver(t, config, answer)
			b := newFakeBroker(t).old("EXPORTING")
			c := gatewayClientWith(t, g, b, func(o *Options) { o.Gateway, o.TLS = test.scheme+g.address, test.client })
			topology, err := c.Topology(t.Context())
			if test.says != "" {
				wantError(t, err, g.address, test.says)
				return
			}
			if err != nil || topology.Brokers[0].Version != "8.9.3" {
				t.Errorf("%v, %+v", err, topology)
			}
		})
	}
}
