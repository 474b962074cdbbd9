package certs_test

import (
	"bytes"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/certs/certstest"
)

// broken are files that cannot be used, each made of ones that can.
func broken() map[string]struct {
	damage func(b *bench)
	want   string
} {
	return map[string]struct {
		damage func(b *bench)
		want   string
	}{
		"no certificate file": {func(b *bench) { b.remove(b.files.Certificate) }, "certificate {certificate}: no such file"},
		"no key file":         {func(b *bench) { b.remove(b.files.Key) }, "private key {key}: no such file"},
		"no trust file":       {func(b *bench) { b.remove(b.files.Trust) }, "trust certificate {trust}: no such file"},
		"empty certificate":   {func(b *bench) { b.write(b.files.Certificate, nil) }, "certificate {certificate}: has no certificate in PEM"},
		"empty key":           {func(b *bench) { b.write(b.files.Key, nil) }, "private key {key}: "},
		"empty trust":         {func(b *bench) { b.write(b.files.Trust, nil) }, "trust certificate {trust}: has no certificate in PEM"},
		"key of another": {func(b *bench) {
			b.write(b.files.Key, b.ca.Issue(b.t, certstest.Leaf{}).Key)
		}, "private key {key}: tls: private key does not match public key"},
		"half a chain": {func(b *bench) {
			chain := b.ca.Intermediate(b.t, "one").Issue(b.t, certstest.Leaf{})
			chain.Write(b.t, filepath.Dir(b.files.Key))
			b.write(b.files.Certificate, chain.Certificate[:len(chain.Certificate)-100])
		}, "certificate {certificate}: 1 of its 2 PEM blocks cannot be read"},
		"half a key": {func(b *bench) {
			b.write(b.files.Key, b.read(b.files.Key)[:100])
		}, "private key {key}: "},
		"half a bundle": {func(b *bench) {
			bundle := append(b.ca.PEM(), certstest.NewAuthority(b.t, "next").PEM()...)
			b.write(b.files.Trust, bundle[:len(bundle)-100])
		}, "trust certificate {trust}: 1 of its 2 PEM blocks cannot be read"},
		"a bundle damaged within": {func(b *bench) {
			first := bytes.Replace(b.ca.PEM(), []byte("\nMII"), []byte("\n!II"), 1)
			b.write(b.files.Trust, append(first, certstest.NewAuthority(b.t, "next").PEM()...))
		}, "trust certificate {trust}: 1 of its 2 PEM blocks cannot be read"},
		"what is no certificate": {func(b *bench) {
			b.write(b.files.Trust, append(b.ca.PEM(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})...))
		}, "trust certificate {trust}: certificate 2 in it: x509"},
		"DER": {func(b *bench) {
			b.write(b.files.Trust, b.ca.Certificate.Raw)
		}, "trust certificate {trust}: has no certificate in PEM"},
		"encrypted key": {func(b *bench) {
			b.write(b.files.Key, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))
		}, "private key {key}: is encrypted: write it without a passphrase"},
		"key encrypted in the old way": {func(b *bench) {
			b.write(b.files.Key, pem.EncodeToMemory(&pem.Block{
				Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte("x"),
			}))
		}, "private key {key}: is encrypted: write it without a passphrase"},
		"certificate for a key": {func(b *bench) {
			b.write(b.files.Key, b.read(b.files.Certificate))
		}, "private key {key}: tls: found a certificate rather than a key"},
		"too large": {func(b *bench) {
			b.write(b.files.Trust, bytes.Repeat(b.ca.PEM(), 1<<20/len(b.ca.PEM())+1))
		}, "trust certificate {trust}: is larger than 1048576 bytes"},
		"a directory": {func(b *bench) {
			b.remove(b.files.Key)
			if err := os.Mkdir(b.files.Key, 0o700); err != nil {
				b.t.Fatal(err)
			}
		}, "private key {key}: is not a file"},
	}
}

func (b *bench) named(text string) string {
	return strings.NewReplacer("{certificate}", b.files.Certificate, "{key}", b.files.Key, "{trust}", b.files.Trust).Replace(text)
}

// TestBroken has each broken file keep the one before, told once, until it is repaired; and keep a server from starting.
func TestBroken(t *testing.T) {
	for name, test := range broken() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				if err := b.open(0); err != nil {
					t.Fatal(err)
				}
				b.run()
				old, loaded := b.serial(), b.source.State().Loaded
				key := b.read(b.files.Key)
				test.damage(b)
				pass(10 * time.Second)

				state := b.source.State()
				if state.Err == nil || !strings.Contains(state.Err.Error(), b.named(test.want)) {
					t.Fatalf("the state has %v, want %q", state.Err, b.named(test.want))
				}
				if b.serial().Cmp(old) != 0 || !state.Loaded.Equal(loaded) {
					t.Error("what was loaded before is not in use any more")
				}
				if n := b.logged("level=ERROR"); n != 1 {
					t.Errorf("the log has %d errors, want 1:\n%s", n, b.log.String())
				}
				for what, err := range map[string]error{"Check": b.files.Check(), "Open": b.open(0)} {
					if err == nil || !strings.Contains(err.Error(), b.named(test.want)) {
						t.Errorf("%s returned %v, want %q", what, err, b.named(test.want))
					}
				}
				if lines := bytes.Split(key, []byte("\n")); strings.Contains(b.log.String()+state.Err.Error(), string(lines[1][:40])) {
					t.Error("the key was told")
				}
			})
		})
	}
}
