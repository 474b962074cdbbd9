// Package etcd keeps the ledger in etcd, for several exportgates over one cluster, and elects the one of them that drives
// the brokers.
//
// All keys are below one prefix, so that one etcd can serve many and a role can be confined to it:
//
//	<prefix>/ledger                         the ledger, for as long as there is one
//	<prefix>/election/driver                who drives; goes with its lease
//	<prefix>/election/servers/<name>-<id>   a server that runs, with its clock; goes with its lease
package etcd

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/exportgate/exportgate/server/internal/certs"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// The defaults of [Options], and the limits.
const (
	// DefaultLeaseTTL outlasts what etcd needs to elect a leader, with room for a request to a broker.
	DefaultLeaseTTL = 15 * time.Second
	// MinLeaseTTL is where a keep-alive that is late by a second would already cost the term.
	MinLeaseTTL = 3 * time.Second
	// DefaultRequestTimeout leaves the ledger the time to look what became of a write.
	DefaultRequestTimeout = 3 * time.Second
	// DefaultDialTimeout is for the handshakes of a connection.
	DefaultDialTimeout = 3 * time.Second
	// maxName bounds what others read of a name.
	maxName = 200
)

// Options say where etcd is and who asks. The zero value of a time is its default.
type Options struct {
	// Endpoints are the client URLs of etcd's members: https://host:2379, or http:// without TLS.
	Endpoints []string
	// Prefix of all keys; exportgates with the same one share a ledger.
	Prefix string
	// TLS is used with https endpoints; nil trusts the system's authorities, and shows no certificate.
	TLS *certs.Source
	// Username and Password are for an etcd with authentication by password.
	Username, Password string
	// Name is this server's, for people: it need not be unique.
	Name string
	// LeaseTTL is how long the others wait for a driver that died. In whole seconds; etcd may grant more: its members do
	// not keep leases that are shorter than one and a half of their election timeouts.
	LeaseTTL time.Duration
	// RequestTimeout bounds every request.
	RequestTimeout time.Duration
	// DialTimeout bounds every attempt to connect.
	DialTimeout time.Duration
	Logger      *slog.Logger
}

func (o *Options) complete() error {
	o.LeaseTTL = cmp.Or(o.LeaseTTL, DefaultLeaseTTL)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, DefaultRequestTimeout)
	o.DialTimeout = cmp.Or(o.DialTimeout, DefaultDialTimeout)
	o.Prefix = strings.TrimRight(o.Prefix, "/")
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case len(o.Endpoints) == 0:
		return errors.New("etcd needs at least one endpoint, such as https://etcd-0.etcd:2379")
	case o.Prefix == "":
		return errors.New("etcd needs a prefix for the keys, such as /exportgate/my-cluster")
	case o.Name == "" || len(o.Name) > maxName:
		return fmt.Errorf("this server needs a name among those that share the etcd, of at most %d bytes", maxName)
	case o.Username == "" != (o.Password == ""):
		return errors.New("etcd needs a password where it has a username, and the other way round")
	case o.LeaseTTL < MinLeaseTTL || o.RequestTimeout <= 0 || o.DialTimeout <= 0:
		return fmt.Errorf("etcd's lease of %v (at least %v), request timeout of %v and dial timeout of %v make no sense",
			o.LeaseTTL, MinLeaseTTL, o.RequestTimeout, o.DialTimeout)
	}
	return o.completeEndpoints()
}

// completeEndpoints asks for one scheme: the client takes that of the first endpoint for all of them, and drops the
// certificates where that is http.
func (o *Options) completeEndpoints() error {
	scheme := ""
	for _, endpoint := range o.Endpoints {
		u, err := url.Parse(endpoint)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "":
			return fmt.Errorf("etcd endpoint %q is not a URL such as https://etcd-0.etcd:2379", endpoint)
		case u.Scheme == "http" && o.TLS != nil:
			return fmt.Errorf("etcd endpoint %s is http, and TLS is configured: make it https", endpoint)
		case scheme != "" && u.Scheme != scheme:
			return fmt.Errorf("etcd endpoint %s is %s, and others are %s: one scheme for all", endpoint, u.Scheme, scheme)
		}
		scheme = u.Scheme
	}
	return nil
}

// transport is how the members are spoken to. The client's own way would keep the authorities that it began with.
func (o *Options) transport() credentials.TransportCredentials {
	switch {
	case o.TLS != nil:
		return o.TLS.Credentials()
	case strings.HasPrefix(o.Endpoints[0], "https:"):
		return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	return insecure.NewCredentials()
}

// Store is the ledger in etcd. It implements [hold.Store].
type Store struct {
	conn     *conn
	key      string
	election *Election

	mu   sync.Mutex
	seen uint64 // the highest revision that was read or written
}

var _ hold.Store = (*Store)(nil)

// Open returns the store. It fails if the options contradict each other, not if etcd is away: then its methods do.
func Open(opts Options) (*Store, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	c, err := dial(&opts)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	return &Store{conn: c, key: opts.Prefix + "/ledger", election: newElection(c, &opts)}, nil
}

// Election is the one among the servers that share this store. It elects nobody before [Election.Run].
func (s *Store) Election() *Election { return s.election }

// Where names the place, for errors.
func (s *Store) Where() string { return where(s.key) }

func where(key string) string { return "etcd under the key " + key }

// Close ends the connections. [Election.Run] must have ended before, so that it could resign.
func (s *Store) Close() error { return s.conn.close() }
