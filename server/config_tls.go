package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// TLSFiles are the PEM files of one end of a connection. Each is empty where it is not given.
type TLSFiles struct {
	// CA is the authorities that the other end's certificate is checked with: those that the system trusts where empty.
	CA string
	// Certificate and Key are this end's own, and given together.
	Certificate, Key string
}

// maxPEM in bytes is above the bundle of all authorities that systems trust.
const maxPEM = 1 << 20

// ClientTLS says how to speak TLS to the endpoints; it is nil where they are http. This server's certificate is read anew
// for each connection, so that one that was renewed needs no restart.
func (e EtcdConfig) ClientTLS() (*tls.Config, error) {
	if !e.secure() {
		return nil, nil
	}
	roots, err := e.TLS.roots()
	if err != nil {
		return nil, fmt.Errorf("store.etcd.tls.ca %s: %w", e.TLS.CA, err)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return e.TLS.certificate() },
	}, nil
}

// checkFiles reads what TLS needs, as far as it is given, and names the keys of what cannot be used.
func (c *Config) checkFiles(files TLSFiles, ca, certificate, key string) error {
	var mistakes []error
	if _, err := files.roots(); err != nil {
		mistakes = append(mistakes, fmt.Errorf("%s: %w", c.tell(ca), err))
	}
	if _, err := files.certificate(); err != nil {
		mistakes = append(mistakes, fmt.Errorf("%s and %s: %w", c.tell(certificate), c.tell(key), err))
	}
	return errors.Join(mistakes...)
}

// roots is nil for those that the system trusts.
func (f TLSFiles) roots() (*x509.CertPool, error) {
	if f.CA == "" {
		return nil, nil
	}
	content, err := readSmall(f.CA, maxPEM)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, errors.New("has no certificate in PEM form")
	}
	return roots, nil
}

// certificate is an empty one, which a client may send, where none is given.
func (f TLSFiles) certificate() (*tls.Certificate, error) {
	if f.Certificate == "" {
		return new(tls.Certificate), nil
	}
	certificate, err := readSmall(f.Certificate, maxPEM)
	if err != nil {
		return nil, err
	}
	key, err := readSmall(f.Key, maxPEM)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	return &pair, err
}
