package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxFile in bytes is above the bundle of all authorities that systems trust, which is a quarter of it.
const maxFile = 1 << 20

// file is what a file held; zero where none is given.
type file struct {
	content []byte
	mode    fs.FileMode
}

// read takes the content of a file, through links.
func (f *file) read(path string) (err error) {
	if path == "" {
		return nil
	}
	path = filepath.Clean(path)
	// A pipe would keep whoever opens it waiting.
	if info, err := os.Stat(path); err != nil {
		return plain(err)
	} else if !info.Mode().IsRegular() {
		return errors.New("is not a file")
	}
	opened, err := os.Open(path)
	if err != nil {
		return plain(err)
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	info, err := opened.Stat()
	if err != nil {
		return plain(err)
	}
	content, err := io.ReadAll(io.LimitReader(opened, maxFile+1))
	if err != nil {
		return plain(err)
	}
	if len(content) > maxFile {
		return fmt.Errorf("is larger than %d bytes: is it the right file?", maxFile)
	}
	f.content, f.mode = content, info.Mode()
	return nil
}

// plain leaves out the path, which whoever reads the error was told already.
func plain(err error) error {
	if failure, ok := errors.AsType[*fs.PathError](err); ok {
		return failure.Err
	}
	return err
}

// fingerprint tells the content of files apart without keeping a second copy of a key.
func fingerprint(files ...file) [sha256.Size]byte {
	h := sha256.New()
	for _, f := range files {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(f.content)))
		h.Write(length[:])
		h.Write(f.content)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// certificates are those of a file in PEM form, of which there is at least one. What stands between them, and keys, are
// passed over. The standard library passes over damaged ones too: here they are an error, because half a bundle, or half
// a chain, would be taken for the whole.
func certificates(content []byte) ([]*x509.Certificate, error) {
	var (
		found  []*x509.Certificate
		blocks int
	)
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		blocks++
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in it: %w", len(found)+1, err)
		}
		found = append(found, certificate)
	}
	switch begun := bytes.Count(content, []byte("-----BEGIN ")); {
	case begun > blocks:
		return nil, fmt.Errorf("%d of its %d PEM blocks cannot be read: it is damaged, or not written to its end", begun-blocks, begun)
	case len(found) == 0:
		return nil, errors.New("has no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
	}
	return found, nil
}

// isEncrypted reports that a key needs a passphrase, in either of the forms that OpenSSL writes.
func isEncrypted(content []byte) bool {
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return true
		}
	}
	return false
}
