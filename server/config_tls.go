package server

import (
	"errors"
	"fmt"
	"strings"

	"github.com/exportgate/exportgate/server/internal/certs"
)

// TLSFiles are the PEM files of one end of a connection. Each is empty where it is not given.
type TLSFiles struct {
	// CA is the authorities that the other end's certificate is checked with: those that the system trusts where empty.
	CA string
	// Certificate and Key are this end's own, and given together.
	Certificate, Key string
}

// files are the same in the words of the package that reads them.
func (f TLSFiles) files() certs.Files {
	return certs.Files{Certificate: f.Certificate, Key: f.Key, Trust: f.CA}
}

// checkFiles reads what TLS needs, as far as it is given, so that what cannot be used is a mistake of the configuration. The
// keys are named that say where it is.
func (c *Config) checkFiles(files TLSFiles, keys ...string) error {
	err := files.files().Check()
	if err == nil {
		return nil
	}
	var written []string
	for _, key := range keys {
		if c.isWritten(key) {
			written = append(written, c.tell(key))
		}
	}
	return fmt.Errorf("%s: %w", strings.Join(written, ", "), err)
}

// checkClientTLS checks the files of a connection that this server makes, whose keys begin with a prefix. Where it speaks no
// TLS, plain says so.
func (c *Config) checkClientTLS(prefix string, files TLSFiles, plain string) error {
	ca, certificate, key := prefix+"ca", prefix+"certificate", prefix+"key"
	var mistakes []error
	for _, name := range []string{ca, certificate, key} {
		if plain != "" && c.isWritten(name) {
			mistakes = append(mistakes, fmt.Errorf("%s is for TLS, and %s: write https://, or remove it", c.tell(name), plain))
		}
	}
	if (files.Certificate == "") != (files.Key == "") {
		mistakes = append(mistakes, fmt.Errorf("%s and %s are of use only together: set both or neither", certificate, key))
	}
	if len(mistakes) > 0 {
		return errors.Join(mistakes...)
	}
	return c.checkFiles(files, ca, certificate, key)
}
