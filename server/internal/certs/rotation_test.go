package certs_test

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/exportgate/exportgate/server/internal/certs"
	"github.com/exportgate/exportgate/server/internal/certs/certstest"
)

// rotation renews the files of both ends. The trust is always in the authority before, the present and the next one, as
// who changes authorities under running servers has to arrange it.
type rotation struct {
	t                   *testing.T
	ends                []*bench
	before, present, to *certstest.Authority
}

func newRotation(t *testing.T) *rotation {
	t.Helper()
	r := &rotation{t: t, present: certstest.NewAuthority(t, "0"), to: certstest.NewAuthority(t, "1")}
	r.before = r.present
	for range 2 {
		b := newBench(t)
		r.ends = append(r.ends, b)
	}
	r.write()
	for _, b := range r.ends {
		if err := b.open(soon); err != nil {
			t.Fatal(err)
		}
		b.run()
	}
	return r
}

// write writes the trust, then new certificates, each into two files, one after the other, in one order or the other.
func (r *rotation) write() {
	for _, b := range r.ends {
		b.write(b.files.Trust, append(append(r.before.PEM(), r.present.PEM()...), r.to.PEM()...))
		pair := r.present.Issue(r.t, certstest.Leaf{IP: []string{"127.0.0.1"}, Key: certstest.KeyType(rand.IntN(2)) * certstest.Ed25519})
		if rand.IntN(2) == 0 {
			b.write(b.files.Key, pair.Key)
		}
		pair.Write(r.t, filepath.Dir(b.files.Key))
	}
}

// step renews the certificates, and every third time the authority too.
func (r *rotation) step(n int) {
	if n%3 == 0 {
		r.before, r.present, r.to = r.present, r.to, certstest.NewAuthority(r.t, "next")
	}
	written := time.Now()
	r.write()
	for _, b := range r.ends {
		taken(r.t, b.source, written)
		// The first of several looks may have found the new trust alone.
		for shown := certificateOf(r.t, b); b.serial().String() != shown; {
			<-time.After(time.Millisecond)
		}
	}
}

func certificateOf(t *testing.T, b *bench) string {
	t.Helper()
	serial, err := certificateIn(b.files)
	if err != nil {
		t.Fatal(err)
	}
	return serial.String()
}

// TestRotation renews certificates and authorities of both ends every few milliseconds under calls of every kind, over
// connections that stay and new ones: none may fail, and none that stays may be dropped.
func TestRotation(t *testing.T) {
	const rotations, calls, workers = 20, 1000, 3
	r := newRotation(t)
	client := r.ends[1].source
	server := newPeers(t, r.ends[0].source.Server(certs.ServerOptions{ClientAuth: certs.Need}))

	dial := client.DialTLS(&net.Dialer{Timeout: patience})
	h2 := func() *http.Transport {
		return &http.Transport{TLSClientConfig: client.Client(), ForceAttemptHTTP2: true}
	}
	conn := func() *grpc.ClientConn {
		c, err := grpc.NewClient("passthrough:///"+server.grpc, grpc.WithTransportCredentials(client.Credentials()))
		if err != nil {
			t.Error(err)
		}
		return c
	}
	// each has what makes a call, by worker, and the serial number that the server showed; empty where it is not known.
	each := map[string]func(stays bool) (call func(context.Context) (string, error), end func()){
		"HTTP/1": func(stays bool) (func(context.Context) (string, error), func()) {
			transport := &http.Transport{DialTLSContext: dial, DisableKeepAlives: !stays}
			return func(ctx context.Context) (string, error) {
				serial, _, err := get(ctx, &http.Client{Transport: transport}, server.http)
				return serial, err
			}, transport.CloseIdleConnections
		},
		"HTTP/2": func(stays bool) (func(context.Context) (string, error), func()) {
			transport := h2()
			return func(ctx context.Context) (string, error) {
				if !stays {
					transport.CloseIdleConnections()
					transport = h2()
				}
				serial, _, err := get(ctx, &http.Client{Transport: transport}, server.http)
				return serial, err
			}, func() { transport.CloseIdleConnections() }
		},
		"gRPC": func(stays bool) (func(context.Context) (string, error), func()) {
			c := conn()
			return func(ctx context.Context) (string, error) {
				if !stays {
					_ = c.Close()
					c = conn()
				}
				return "", check(ctx, c)
			}, func() { _ = c.Close() }
		},
	}
	stop, total := make(chan struct{}), new(atomic.Int64)
	var running sync.WaitGroup
	for kind, start := range each {
		for _, stays := range []bool{true, false} {
			for range workers {
				running.Go(func() {
					call, end := start(stays)
					defer end()
					serials := map[string]bool{}
					for n := 0; ; n++ {
						serial, err := call(t.Context())
						if err != nil {
							t.Errorf("%s, call %d, stays %t: %v", kind, n, stays, err)
							return
						}
						serials[serial] = true
						total.Add(1)
						select {
						case <-stop:
							if one := len(serials) == 1; kind != "gRPC" && one != stays {
								t.Errorf("%s, stays %t: the server showed %d certificates in %d calls", kind, stays, len(serials), n)
							}
							return
						case <-time.After(time.Millisecond):
						}
					}
				})
			}
		}
	}
	began := time.Now()
	n := 0
	for ; (n < rotations || total.Load() < calls) && time.Since(began) < 5*patience && !t.Failed(); n++ {
		r.step(n)
		<-time.After(time.Duration(10+rand.IntN(40)) * time.Millisecond)
	}
	close(stop)
	running.Wait()
	t.Logf("%d calls, %d rotations", total.Load(), n)
	if n < rotations || total.Load() < calls {
		t.Errorf("too few to tell: want %d and %d", calls, rotations)
	}
}
