package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// identity is how a client proves who it is, and finds out that the server is the one that is meant. Files are read anew
// for each connection, and a token's for each call, so that a long watch outlives their renewal.
type identity struct {
	tls                  bool
	ca, certificate, key string
	tokenFile, token     string
}

// newIdentity takes what the environment says. A token has no flag: everybody on a machine can read those.
func newIdentity(con console) identity {
	return identity{
		ca: con.lookup("EXPORTGATE_CA"), certificate: con.lookup("EXPORTGATE_CERTIFICATE"), key: con.lookup("EXPORTGATE_KEY"),
		tokenFile: con.lookup("EXPORTGATE_TOKEN_FILE"), token: con.lookup("EXPORTGATE_TOKEN"),
	}
}

func (i *identity) register(flags *pflag.FlagSet) {
	flags.BoolVar(&i.tls, "tls", i.tls, "speak TLS to the server; --ca and --certificate say so too")
	flags.StringVar(&i.ca, "ca", i.ca, "PEM `file` of the authorities that the server's certificate is checked with (default: the system's), "+
		"also from EXPORTGATE_CA")
	flags.StringVar(&i.certificate, "certificate", i.certificate, "PEM `file` of this client's certificate, also from EXPORTGATE_CERTIFICATE")
	flags.StringVar(&i.key, "key", i.key, "PEM `file` of the certificate's private key, also from EXPORTGATE_KEY")
	flags.StringVar(&i.tokenFile, "token-file", i.tokenFile, "`file` with the token that proves who calls, also from EXPORTGATE_TOKEN_FILE; "+
		"or EXPORTGATE_TOKEN is the token itself")
}

// dialOptions are how to connect to a server. A file that cannot be used is a mistake of usage, told before anything is
// called.
func (i *identity) dialOptions(server address) ([]grpc.DialOption, error) {
	if (i.certificate == "") != (i.key == "") {
		return nil, usageError{errors.New("--certificate and --key are of use only together: give both")}
	}
	secure := i.tls || i.ca != "" || i.certificate != ""
	transport := insecure.NewCredentials()
	if secure {
		config, err := i.config()
		if err != nil {
			return nil, usageError{err}
		}
		transport = credentials.NewTLS(config)
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(transport)}
	if i.token == "" && i.tokenFile == "" {
		return options, nil
	}
	if !secure && !server.isLoopback() {
		return nil, usageError{fmt.Errorf("a token would be sent to %s in the clear: add --tls or --ca", server)}
	}
	if _, err := i.bearer(); err != nil {
		return nil, usageError{err}
	}
	return append(options, grpc.WithPerRPCCredentials(bearer{i})), nil
}

func (i *identity) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if i.ca != "" {
		content, err := readCredential(i.ca)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("--ca %s has no certificate in PEM form", i.ca)
		}
	}
	if i.certificate == "" {
		return config, nil
	}
	if _, err := i.pair(); err != nil {
		return nil, err
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return i.pair() }
	return config, nil
}

func (i *identity) pair() (*tls.Certificate, error) {
	certificate, err := readCredential(i.certificate)
	if err != nil {
		return nil, fmt.Errorf("--certificate: %w", err)
	}
	key, err := readCredential(i.key)
	if err != nil {
		return nil, fmt.Errorf("--key: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("--certificate %s and --key %s: %w", i.certificate, i.key, err)
	}
	return &pair, nil
}

// bearer is the token as it is now.
func (i *identity) bearer() (string, error) {
	token, source := i.token, "EXPORTGATE_TOKEN"
	if i.tokenFile != "" {
		content, err := readCredential(i.tokenFile)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		token, source = string(bytes.TrimSpace(content)), "--token-file "+i.tokenFile
	}
	strange := func(r rune) bool { return r <= ' ' || r > '~' }
	if token == "" || strings.ContainsFunc(token, strange) {
		return "", errors.New(source + " is not a token: one word is expected")
	}
	return token, nil
}

// bearer sends the token with each call.
type bearer struct{ identity *identity }

var _ credentials.PerRPCCredentials = bearer{}

// GetRequestMetadata reads the token.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := b.identity.bearer()
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// RequireTransportSecurity is false because dialOptions has seen to it: gRPC knows no loopback.
func (b bearer) RequireTransportSecurity() bool { return false }

// isLoopback reports that what is sent there does not leave the machine.
func (a *address) isLoopback() bool {
	host, _, _ := net.SplitHostPort(a.String())
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// maxCredential in bytes is above the bundle of all authorities that systems trust.
const maxCredential = 1 << 20

func readCredential(path string) ([]byte, error) {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, maxCredential+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	if len(content) > maxCredential {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxCredential)
	}
	return content, nil
}
