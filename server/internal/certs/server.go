package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// ClientAuth is whether clients show a certificate, in Spring's words.
type ClientAuth string

// The answers. Anything else is need, but for an empty one, which is none.
const (
	// None asks for no certificate.
	None ClientAuth = "none"
	// Want lets in who shows none, and refuses one that is not valid.
	Want ClientAuth = "want"
	// Need refuses who shows none.
	Need ClientAuth = "need"
)

// ServerOptions are how a server speaks TLS.
type ServerOptions struct {
	ClientAuth ClientAuth
	// MinVersion is the least version, as crypto/tls numbers them; TLS 1.3 where 0.
	MinVersion uint16
}

// Server is for any number of servers of HTTP and gRPC. Each connection gets the files of the moment when it begins, and
// keeps what it got. Where none are given, it fails. Where no authorities are given, no client's certificate is valid: it
// is not the system's that say who may call.
func (s *Source) Server(o ServerOptions) *tls.Config {
	config := newServer(o)
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := s.active.Load()
		if now.certificate == nil {
			return nil, errors.New("there is no certificate to serve with")
		}
		config := newServer(o)
		config.Certificates = []tls.Certificate{*now.certificate}
		if now.roots != nil {
			config.ClientCAs = now.roots
		}
		return config, nil
	}
	return config
}

func newServer(o ServerOptions) *tls.Config {
	version := o.MinVersion
	if version == 0 {
		version = tls.VersionTLS13
	}
	return &tls.Config{
		MinVersion: version,
		// Clients of gRPC refuse a server that does not agree on h2, also one whose configuration for a client forgot it.
		NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: o.ClientAuth.mode(),
		ClientCAs:  x509.NewCertPool(),
		// A ticket would say for days who a client is, whatever became of its certificate and its authority since then. It saves
		// about a millisecond on connections that live for minutes, and would not outlive a restart.
		SessionTicketsDisabled: true,
	}
}

func (a ClientAuth) mode() tls.ClientAuthType {
	switch a {
	case None, "":
		return tls.NoClientCert
	case Want:
		return tls.VerifyClientCertIfGiven
	case Need:
	}
	return tls.RequireAndVerifyClientCert
}
