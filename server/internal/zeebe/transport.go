package zeebe

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/exportgate/exportgate/server/internal/certs"
)

const (
	// maxHeader bounds an answer's header.
	maxHeader = 64 << 10
	// idleTimeout is shorter than the 20 s after which a broker's own server closes an idle connection, so that a POST
	// does not meet one that is just closing.
	idleTimeout = 15 * time.Second
	// idlePerBroker is how many connections to a broker are kept: a read and a write may be under way at once.
	idlePerBroker = 4
)

// newTransport returns a transport for hundreds of brokers in one network: connections are kept for every one of them,
// and the environment's proxy, which is for the world outside, is not heeded.
func newTransport(dialTimeout time.Duration, secure *certs.Source, names *serverNames) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		DialTLSContext:         dialTLS(dialer, secure, names),
		MaxIdleConnsPerHost:    idlePerBroker,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
	}
}

// dialTLS makes connections with the certificates of the moment. It is HTTP/1.1 that is spoken: management ports speak
// little else, and one connection a request is what the timeouts are made for.
func dialTLS(dialer *net.Dialer, secure *certs.Source, names *serverNames) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialer.Timeout) // for the handshake too
		defer cancel()
		config := secure.Client()
		config.NextProtos = []string{"http/1.1"}
		config.ServerName = names.of(address) // empty: the address' host
		return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, network, address)
	}
}

// serverNames are whom the brokers' certificates have to name that are reached by the addresses of a DNS name
// (dns+https): that name. It is the one that was configured, and so the only one that may be trusted; who can forge an
// answer of the DNS must not choose by whom the brokers are played.
type serverNames struct {
	mu     sync.Mutex
	byHost map[string]string // by host:port
}

// of is the name for a host:port; empty where the certificate has to name the host itself.
func (n *serverNames) of(hostPort string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.byHost[hostPort]
}

// learn replaces the names by others, but keeps those whose addresses could not be looked up this time.
func (n *serverNames) learn(byHost map[string]string, unresolved map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for host, name := range n.byHost {
		if _, known := byHost[host]; !known && unresolved[name] {
			byHost[host] = name
		}
	}
	n.byHost = maps.Clone(byHost)
}
