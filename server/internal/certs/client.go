package certs

import (
	"context"
	"crypto/tls"
	"net"

	"google.golang.org/grpc/credentials"
)

// Client is for one connection, or a few that begin now: whoever keeps it shows a certificate that is renewed, but trusts for
// ever whom it trusted then. [Source.DialTLS] and [Source.Credentials] take a new one for each connection. The caller may
// change it. Without a file of authorities it trusts those of the system.
//
// That crypto/tls knows no authorities of the moment is why. Verifying in a callback instead would mean to switch its own
// verification off, and a callback is not told the address where the server's name is one: it could not tell one server
// from another.
func (s *Source) Client() *tls.Config {
	return &tls.Config{
		// Brokers and etcd members may be old, and both ends take the best that both have.
		MinVersion: tls.VersionTLS12,
		RootCAs:    s.active.Load().roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if own := s.active.Load().certificate; own != nil {
				return own, nil
			}
			return new(tls.Certificate), nil // Which says that there is none.
		},
	}
}

// DialTLS returns what [net/http.Transport] has as DialTLSContext: connections over TLS, of HTTP/1.1, to the host and port
// of an address, for which the server's certificate must be. The dialer's timeout is for the handshake too.
func (s *Source) DialTLS(d *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if d.Timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, d.Timeout)
			defer cancel()
		}
		return (&tls.Dialer{NetDialer: d, Config: s.Client()}).DialContext(ctx, network, address)
	}
}

// Credentials are for clients of gRPC.
func (s *Source) Credentials() credentials.TransportCredentials {
	return clientCredentials{credentials.NewTLS(s.Client()), s}
}

// clientCredentials are made anew for each connection; the embedded ones only say that it is TLS.
type clientCredentials struct {
	credentials.TransportCredentials

	source *Source
}

// ClientHandshake has the files of the moment.
func (c clientCredentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return credentials.NewTLS(c.source.Client()).ClientHandshake(ctx, authority, conn)
}

// Clone is a copy.
func (c clientCredentials) Clone() credentials.TransportCredentials {
	return clientCredentials{c.TransportCredentials.Clone(), c.source}
}
