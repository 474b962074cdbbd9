package server_test

import (
	"path/filepath"
	"testing"

	"github.com/exportgate/exportgate/server"
	"github.com/exportgate/exportgate/server/internal/certs/certstest"
)

// newPair makes the files of a certificate, its key and its authority.
func newPair(t *testing.T) server.TLSFiles {
	t.Helper()
	dir := t.TempDir()
	authority := certstest.NewAuthority(t, "authority")
	pair := authority.Issue(t, certstest.Leaf{DNS: []string{"etcd"}}).Write(t, dir)
	files := server.TLSFiles{CA: filepath.Join(dir, "ca.pem"), Certificate: pair.Certificate, Key: pair.Key}
	certstest.WriteFile(t, files.CA, authority.PEM())
	return files
}
