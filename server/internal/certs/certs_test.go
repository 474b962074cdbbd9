package certs_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/certs"
	"github.com/exportgate/exportgate/server/internal/certs/certstest"
)

// bench is a directory with files that can be used, and a source that reads them.
type bench struct {
	t      *testing.T
	ca     *certstest.Authority
	files  certs.Files
	log    bytes.Buffer
	source *certs.Source
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, ca: certstest.NewAuthority(t, "ca")}
	dir := t.TempDir()
	pair := b.ca.Issue(t, certstest.Leaf{DNS: []string{"server.test"}}).Write(t, dir)
	b.files = certs.Files{Certificate: pair.Certificate, Key: pair.Key, Trust: filepath.Join(dir, "ca.crt")}
	b.write(b.files.Trust, b.ca.PEM())
	return b
}

func (b *bench) write(path string, content []byte) {
	b.t.Helper()
	certstest.WriteFile(b.t, path, content)
}

func (b *bench) read(path string) []byte {
	b.t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	return content
}

func (b *bench) remove(path string) {
	b.t.Helper()
	if err := os.Remove(path); err != nil {
		b.t.Fatal(err)
	}
}

// renew writes a new pair of an authority.
func (b *bench) renew(ca *certstest.Authority) {
	b.t.Helper()
	ca.Issue(b.t, certstest.Leaf{DNS: []string{"server.test"}}).Write(b.t, filepath.Dir(b.files.Certificate))
}

func (b *bench) open(interval time.Duration) error {
	var err error
	b.source, err = certs.Open(b.files, certs.Options{
		Name: "server.ssl", Interval: interval, Logger: slog.New(slog.NewTextHandler(&b.log, nil)),
	})
	return err
}

// run runs the source until the test's end.
func (b *bench) run() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- b.source.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
}

// serial is the one of the certificate that a server shows now.
func (b *bench) serial() *big.Int {
	b.t.Helper()
	config, err := b.source.Server(certs.ServerOptions{}).GetConfigForClient(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return config.Certificates[0].Leaf.SerialNumber
}

// pass lets time go by in a bubble, and what it woke finish.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (b *bench) logged(text string) int { return strings.Count(b.log.String(), text) }

// TestRepair ends a problem with new files, and with the old ones.
func TestRepair(t *testing.T) {
	for name, test := range map[string]struct {
		repair func(b *bench, old []byte)
		want   string
	}{
		"new": {func(b *bench, _ []byte) { b.renew(b.ca) }, "certificates renewed"},
		"old": {func(b *bench, old []byte) { b.write(b.files.Key, old) }, "hold again what is in use"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				if err := b.open(0); err != nil {
					t.Fatal(err)
				}
				b.run()
				old := b.read(b.files.Key)
				b.write(b.files.Key, nil)
				pass(3 * time.Second)
				b.write(b.files.Key, []byte("another problem"))
				pass(3 * time.Second)
				test.repair(b, old)
				pass(3 * time.Second)
				if err := b.source.State().Err; err != nil {
					t.Error(err)
				}
				if b.logged(test.want) != 1 || b.logged("level=INFO") != 1 {
					t.Errorf("%q is not once in the log:\n%s", test.want, b.log.String())
				}
				if pair, err := certificateIn(b.files); err != nil || b.serial().Cmp(pair) != 0 {
					t.Errorf("what the files hold is not in use: %v", err)
				}
			})
		})
	}
}

func certificateIn(f certs.Files) (*big.Int, error) {
	content, err := os.ReadFile(f.Certificate)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, errors.New("no PEM")
	}
	return serialOf(block.Bytes)
}

// TestTwoFiles has a tool write certificate and key with a moment between, and a chain in two parts: neither is seen.
func TestTwoFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		if err := b.open(0); err != nil {
			t.Fatal(err)
		}
		b.run()
		pass(990 * time.Millisecond)
		pair := b.ca.Intermediate(t, "one").Intermediate(t, "two").Issue(t, certstest.Leaf{})
		cut := bytes.LastIndex(pair.Certificate, []byte("-----BEGIN"))
		b.write(b.files.Certificate, pair.Certificate[:cut])
		pass(25 * time.Millisecond) // The look of 1 s sees a chain without its key.
		b.write(b.files.Key, pair.Key)
		pass(15 * time.Millisecond) // And its second read a pair whose chain is short.
		b.write(b.files.Certificate, pair.Certificate)
		pass(100 * time.Millisecond)
		config, err := b.source.Server(certs.ServerOptions{}).GetConfigForClient(nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(config.Certificates[0].Certificate); n != 3 {
			t.Errorf("the chain has %d certificates, want 3", n)
		}
		if b.logged("renewed") != 1 || b.logged("level=ERROR") != 0 {
			t.Errorf("want one renewal and no error:\n%s", b.log.String())
		}
	})
}

// TestRestless has files that never are the same twice: the ones before stay.
func TestRestless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		if err := b.open(0); err != nil {
			t.Fatal(err)
		}
		b.run()
		old := b.serial()
		trust := [][]byte{b.ca.PEM(), certstest.NewAuthority(t, "next").PEM()}
		pass(995 * time.Millisecond)
		for i := range 15 {
			b.write(b.files.Trust, bytes.Repeat(trust[i%2], 2+i))
			pass(10 * time.Millisecond)
		}
		if err := b.source.State().Err; err == nil || !strings.Contains(err.Error(), "change at every look") {
			t.Errorf("the state has %v", err)
		}
		if b.serial().Cmp(old) != 0 {
			t.Error("another certificate is in use")
		}
		pass(time.Second)
		if err := b.source.State().Err; err != nil {
			t.Error(err)
		}
	})
}

// TestWarnings uses what is not as it should be, and says so.
func TestWarnings(t *testing.T) {
	for name, test := range map[string]struct {
		make func(b *bench)
		want string
	}{
		"expired": {func(b *bench) {
			b.ca.Issue(b.t, certstest.Leaf{NotAfter: time.Now().Add(-time.Minute)}).Write(b.t, filepath.Dir(b.files.Key))
		}, "certificate {certificate} expired at"},
		"not yet valid": {func(b *bench) {
			b.ca.Issue(b.t, certstest.Leaf{NotBefore: time.Now().Add(time.Minute)}).Write(b.t, filepath.Dir(b.files.Key))
		}, "certificate {certificate} is not valid before"},
		"open key": {func(b *bench) {
			b.renew(b.ca)
			if err := os.Chmod(b.files.Key, 0o644); err != nil {
				b.t.Fatal(err)
			}
		}, "private key {key} can be read by everybody"},
	} {
		for _, renewed := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBench(t)
					if renewed {
						if err := b.open(0); err != nil {
							t.Fatal(err)
						}
						b.run()
					}
					test.make(b)
					if renewed {
						pass(5 * time.Second)
					} else if err := b.open(0); err != nil {
						t.Fatal(err)
					}
					if b.logged("level=WARN") != 1 || b.logged(b.named(test.want)) != 1 {
						t.Errorf("%q is not once in the log:\n%s", b.named(test.want), b.log.String())
					}
					if pair, err := certificateIn(b.files); err != nil || b.serial().Cmp(pair) != 0 {
						t.Errorf("what the files hold is not in use: %v", err)
					}
					if err := b.source.State().Err; err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// TestTrustEnded starts with authorities that have all ended, but replaces none by such.
func TestTrustEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ended := certstest.NewAuthorityUntil(t, "ended", time.Now().Add(-time.Minute))
		if err := b.open(0); err != nil {
			t.Fatal(err)
		}
		b.run()
		b.write(b.files.Trust, ended.PEM())
		pass(3 * time.Second)
		if err := b.source.State().Err; err == nil || !strings.Contains(err.Error(), b.named("trust certificate {trust}: has expired")) {
			t.Errorf("the state has %v", err)
		}
		if want := b.ca.Certificate.NotAfter; !b.source.State().TrustNotAfter.Equal(want) {
			t.Errorf("the trust ends %v, want %v", b.source.State().TrustNotAfter, want)
		}
		fresh := &bench{t: t, files: b.files}
		if err := fresh.open(0); err != nil {
			t.Fatal(err)
		}
		if fresh.logged("trust certificate") != 1 || !fresh.source.State().TrustNotAfter.Equal(ended.Certificate.NotAfter) {
			t.Errorf("no warning, or trust until %v:\n%s", fresh.source.State().TrustNotAfter, fresh.log.String())
		}
	})
}

// TestState tells the first end that is to come.
func TestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		later := certstest.NewAuthorityUntil(t, "later", time.Now().Add(99*time.Hour))
		ended := certstest.NewAuthorityUntil(t, "ended", time.Now().Add(-time.Minute))
		b.write(b.files.Trust, bytes.Join([][]byte{later.PEM(), []byte("# of old\n"), ended.PEM(), b.ca.PEM()}, nil))
		pair := b.ca.Issue(t, certstest.Leaf{NotAfter: time.Now().Add(time.Hour)})
		pair.Write(t, filepath.Dir(b.files.Key))
		if err := b.open(0); err != nil {
			t.Fatal(err)
		}
		want := certs.State{
			NotBefore: pair.Leaf.NotBefore, NotAfter: pair.Leaf.NotAfter, TrustNotAfter: b.ca.Certificate.NotAfter, Loaded: time.Now(),
		}
		got := b.source.State()
		got.Loaded, want.Loaded = got.Loaded.Truncate(time.Second), want.Loaded.Truncate(time.Second) // Two reads take a moment.
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		b.files = certs.Files{}
		if err := b.open(0); err != nil {
			t.Fatal(err)
		}
		if got := b.source.State(); !got.NotAfter.IsZero() || !got.TrustNotAfter.IsZero() || got.Err != nil {
			t.Errorf("without files the state is %+v", got)
		}
		for _, half := range []certs.Files{{Certificate: "a"}, {Key: "a"}} {
			if err := half.Check(); err == nil || !strings.Contains(err.Error(), "together") {
				t.Errorf("%+v: %v", half, err)
			}
		}
	})
}
