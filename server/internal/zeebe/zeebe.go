// Package zeebe is the brokers' management API behind the core's [exporting.Cluster] port: it finds the brokers, reads
// what they are configured to be and what their replicas do, and asks them for a phase, each generation in its own way
// (zeebe-facts.md 1, 2.5, 4 and 5).
//
// One call is one attempt, done properly: tries again, backoff, parallelism over brokers and the caller's deadline are
// the core's. The package must not know about holds, about what was asked before by whom, nor about Exportgate's own
// API. What it remembers of a broker is only what keeps the next request right: which generation it is, and whether a
// soft pause may be on its way to it.
package zeebe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/exportgate/exportgate/server/internal/certs"
	"github.com/exportgate/exportgate/server/internal/exporting"
)

// defaultRequestTimeout is longer than the 5 s that a broker may take to say "{}" (zeebe-facts.md 4.1).
const defaultRequestTimeout = 8 * time.Second

// defaultManagementURL is where a broker's management API is when nobody configured anything (zeebe-facts.md 1.6).
const defaultManagementURL = "http://{host}:9600/actuator"

// Resolver looks up the addresses of a host name; [net.Resolver] is one.
type Resolver interface {
	LookupHost(ctx context.Context, host string) ([]string, error)
}

// Options say where the brokers are and how to speak to them. Exactly one of Brokers and Gateway is needed; every other
// zero value is a safe default. Errors of [New] name the configuration key of design.md 7 (zeebe.brokers, ...).
type Options struct {
	// Brokers are management base URLs, one a broker: "http://zeebe-0.zeebe:9600/actuator", with the broker's id in front
	// where the name does not end in it ("0=http://10.0.0.7:9600/actuator"), or "dns+http://headless:9600/actuator", which
	// stands for one broker at each address of the name. With https a broker's certificate must be for the host of its URL,
	// with dns+https for that name: every broker's has to name the headless service.
	Brokers []string
	// Gateway is the host:port of a gateway whose gRPC Topology tells the brokers: in plaintext, or over TLS where https://
	// or grpcs:// is written before it.
	Gateway string
	// ManagementURL makes a broker's base URL of the host that the gateway tells; "http://{host}:9600/actuator" if empty.
	ManagementURL string
	// Version of the brokers, "8.9" or "8.9.3", where the gateway does not tell it; detected if empty.
	Version string
	// ClusterSize, Partitions and ReplicationFactor are what the cluster is configured to be. They are asked only where
	// neither brokers nor gateway tell.
	ClusterSize, Partitions, ReplicationFactor int
	// ClusterID is the cluster's id, where the gateway does not tell it.
	ClusterID string
	// RequestTimeout bounds each request; 8s if zero. A change of 8.10 goes on when its request is given up.
	RequestTimeout time.Duration
	// AllowSoftToHard lets PAUSED be written over SOFT_PAUSED below 8.10 too, for brokers that are known to have the fix
	// (zeebe-facts.md 3.5 f).
	AllowSoftToHard bool
	// DiskPath is the volume that [Client.Disk] measures, as the brokers' metrics label it; without it none can be.
	DiskPath string
	// Transport carries the HTTP requests; if nil, one that keeps connections and heeds no proxy of the environment.
	Transport http.RoundTripper
	// TLS is how brokers that are written with https, and the gateway, are spoken to. If nil, whom the system trusts is
	// trusted, and no certificate shown.
	TLS *certs.Source
	// OAuth is how the gateway is told who calls. The zero value tells nothing. Its tokens do not travel in the clear, but to
	// a gateway on this machine.
	OAuth OAuth
	// Observe is told of each request to a broker or the gateway when it has ended: what was asked and what came of it, in a
	// word each, of which there are few (docs/metrics.md). It must return at once. May be nil.
	Observe func(operation, outcome string, took time.Duration)
	// Tracing takes a span a request, of those that are a part of something that has a span. May be nil.
	Tracing trace.TracerProvider
	// Resolver resolves dns+http entries; [net.DefaultResolver] if nil.
	Resolver Resolver
	// Logger gets what was learnt of the brokers, once each; nothing is logged if nil.
	Logger *slog.Logger
}

// Client drives the brokers of one cluster. It is safe for use by many goroutines at once.
type Client struct {
	http    *http.Client
	close   func() error
	timeout time.Duration
	finder  finder
	counts  counts
	allow   bool   // AllowSoftToHard
	cluster string // ClusterID
	volume  string // DiskPath
	memory  *memory
	logger  *slog.Logger

	names    *serverNames
	observer *observer
}

var _ exporting.Cluster = (*Client)(nil)

// New checks the options and returns a client. It speaks to nobody yet.
func New(o Options) (*Client, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		names: new(serverNames), observer: newObserver(&o),
		close:   func() error { return nil },
		timeout: o.RequestTimeout,
		allow:   o.AllowSoftToHard,
		cluster: o.ClusterID,
		volume:  o.DiskPath,
		logger:  o.Logger,
		counts:  counts{brokers: o.ClusterSize, partitions: o.Partitions, replicationFactor: o.ReplicationFactor},
	}
	switch {
	case o.RequestTimeout < 0:
		return nil, fmt.Errorf("zeebe.request-timeout: %s is negative", o.RequestTimeout)
	case o.RequestTimeout == 0:
		c.timeout = defaultRequestTimeout
	}
	if err := c.counts.check(); err != nil {
		return nil, err
	}
	configured, ok := parseVersion(o.Version)
	if !ok && o.Version != "" {
		return nil, fmt.Errorf("zeebe.version: %q is not a version like 8.9 or 8.9.3", o.Version)
	}
	c.memory = newMemory(configured)
	secure, err := orSystem(o.TLS)
	if err != nil {
		return nil, err
	}
	if err := c.findBy(o, secure); err != nil {
		return nil, err
	}
	transport := o.Transport
	if transport == nil {
		transport = newTransport(c.timeout, secure, c.names)
	}
	c.http = &http.Client{
		Transport: transport,
		// A redirected POST would become a GET somewhere else; a management port never redirects the paths used here.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// findBy chooses how the brokers are found.
func (c *Client) findBy(o Options, secure *certs.Source) error {
	switch {
	case o.OAuth.TokenURL != "" && o.Gateway == "":
		return errors.New("zeebe.oauth.token-url goes with zeebe.gateway: brokers do not ask who calls their management port")
	case len(o.Brokers) > 0 && o.Gateway != "":
		return errors.New("zeebe.brokers and zeebe.gateway exclude one another: configure one")
	case len(o.Brokers) > 0 && o.ManagementURL != "":
		return errors.New("zeebe.management-url goes with zeebe.gateway; zeebe.brokers lists whole URLs")
	case len(o.Brokers) > 0:
		entries, err := parseBrokers(o.Brokers)
		if err != nil {
			return err
		}
		if err := c.counts.checkBrokers(entries); err != nil {
			return err
		}
		list := &listFinder{entries: entries, resolver: o.Resolver, timeout: c.timeout, names: c.names}
		if list.resolver == nil {
			list.resolver = net.DefaultResolver
		}
		c.finder = list
		return nil
	case o.Gateway != "":
		gateway, err := c.newGatewayFinder(&o, secure)
		if err != nil {
			return err
		}
		c.finder, c.close = gateway, gateway.close
		return nil
	}
	return errors.New("neither zeebe.brokers nor zeebe.gateway is configured: one must tell where the brokers are")
}

// Close ends the connection to the gateway and the idle ones to the brokers. Requests under way are not waited for.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return c.close()
}

// counts are how many brokers, partitions and replicas of each a cluster is configured to have; 0 is not known.
type counts struct {
	brokers, partitions, replicationFactor int
}

// known reports whether the counts tell which replicas to expect.
func (n counts) known() bool { return n.partitions > 0 && n.replicationFactor > 0 }

// check refuses configured counts that cannot be those of a cluster.
func (n counts) check() error {
	for _, count := range []struct {
		key   string
		value int
	}{
		{"zeebe.cluster-size", n.brokers},
		{"zeebe.partitions", n.partitions},
		{"zeebe.replication-factor", n.replicationFactor},
	} {
		if count.value < 0 || count.value > maxCount {
			return fmt.Errorf("%s: %d is not between 1 and %d", count.key, count.value, maxCount)
		}
	}
	switch {
	case (n.partitions > 0) != (n.replicationFactor > 0):
		return errors.New("zeebe.partitions and zeebe.replication-factor tell the expected replicas only together: " +
			"configure both or neither")
	case n.brokers > 0 && n.replicationFactor > n.brokers:
		return fmt.Errorf("zeebe.replication-factor: %d replicas need as many brokers, but zeebe.cluster-size is %d",
			n.replicationFactor, n.brokers)
	}
	return nil
}

// checkBrokers refuses a list of more brokers than the configured cluster has. A DNS name may stand for any number.
func (n counts) checkBrokers(entries []entry) error {
	if n.brokers == 0 || len(entries) <= n.brokers {
		return nil
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.base.String()
	}
	return fmt.Errorf("zeebe.brokers lists %d brokers (%s), but zeebe.cluster-size is %d",
		len(entries), excerpt(strings.Join(names, ", "), longExcerpt), n.brokers)
}
