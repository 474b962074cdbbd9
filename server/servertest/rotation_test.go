package servertest_test

import (
	"crypto/tls"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/certs/certstest"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// Certificates rotate about every second under calls through both doors: the server's own, the authorities of its clients, and
// now and then files that are broken at first. No call fails, on connections that stay and on new ones, and no watch ends.
func TestCertificatesRotate(t *testing.T) {
	t.Parallel()
	const callers = 6 // of each kind
	const calls = 1000
	rotations := 7
	if *soak {
		rotations = 30
	}
	r := newRotation(t)
	stop, made := make(chan struct{}), new(atomic.Int64)
	var running sync.WaitGroup
	for _, kind := range []rotating{
		{"HTTP/1.1", servertest.HTTP, true}, {"HTTP/2", servertest.HTTP, false}, {"gRPC", servertest.GRPC, false},
	} {
		for i := range callers {
			running.Go(func() { r.call(kind, i%2 == 0, stop, made) })
		}
		who := r.identity()
		who.HTTP1 = kind.http1
		route := r.h.As(t, kind.door, who)
		running.Go(func() { r.pauseAndResume(kind, route, stop, made) })
	}
	var watches []<-chan error
	for _, form := range servertest.Forms() {
		watches = append(watches, r.watch(form))
	}
	n := 0
	for ; (n < rotations || made.Load() < calls) && !t.Failed() && t.Context().Err() == nil; n++ {
		r.step(n)
	}
	close(stop)
	running.Wait()
	last := r.h.As(t, servertest.HTTP, r.identity())
	if o := last.Pause(t.Context(), named(lastHold)); !o.OK() {
		t.Errorf("the last pause: %v", o)
	}
	for i, ended := range watches {
		if err := <-ended; err != nil {
			t.Errorf("the watch by %s: %v", servertest.Forms()[i], err)
		}
	}
	t.Logf("%d calls, %d rotations", made.Load(), n)
}

// lastHold is the one that tells those who watch that it is over.
const lastHold = "last"

// named asks for a soft pause under a name.
func named(id string) *exportgatev1.PauseRequest {
	request := soft()
	request.Hold, request.Ttl = id, durationpb.New(time.Hour)
	return request
}

// rotation is a server whose files are renewed, and what its clients need.
type rotation struct {
	t     *testing.T
	h     *servertest.Harness
	own   *certstest.Authority // of the server's certificates, for good: who trusts it is not the server's to rotate
	files certstest.Files
	trust string

	before, present, to *certstest.Authority // of the clients' certificates
	client              atomic.Pointer[tls.Certificate]
}

func newRotation(t *testing.T) *rotation {
	t.Helper()
	r := &rotation{t: t, own: certstest.NewAuthority(t, "server"), present: certstest.NewAuthority(t, "0"), to: certstest.NewAuthority(t, "1")}
	r.before = r.present
	dir := t.TempDir()
	r.trust = filepath.Join(dir, "clients.crt")
	r.files = r.fresh(r.own).Write(t, dir)
	r.writeTrust()
	r.renewClient()
	r.h = servertest.Start(t, servertest.Options{
		Cluster: embedded.Options{WriteInterval: 100 * time.Millisecond},
		Settings: map[string]string{
			"server.address": "127.0.0.1", "server.ssl.certificate": r.files.Certificate, "server.ssl.certificate-private-key": r.files.Key,
			"server.ssl.trust-certificate": r.trust, "server.ssl.client-auth": "need", "auth.roles.operator": "dns:client.test",
			"limits.calls-per-second": "0", // All of them are one caller.
		},
	})
	return r
}

// fresh is a new certificate for the server, of one kind of key or the other.
func (r *rotation) fresh(issuer *certstest.Authority) *certstest.Pair {
	r.t.Helper()
	return issuer.Issue(r.t, certstest.Leaf{IP: []string{"127.0.0.1"}, Key: certstest.KeyType(rand.IntN(2)) * certstest.Ed25519})
}

// writeTrust writes the authorities of the clients: as who changes them under a running server has to arrange it, the ones
// before, now and to come.
func (r *rotation) writeTrust() {
	r.t.Helper()
	certstest.WriteFile(r.t, r.trust, append(append(r.before.PEM(), r.present.PEM()...), r.to.PEM()...))
}

func (r *rotation) renewClient() {
	r.t.Helper()
	pair := r.present.Issue(r.t, certstest.Leaf{DNS: []string{"client.test"}})
	r.client.Store(&pair.TLS)
}

// step renews the server's certificate, every second time under another intermediate; every third time the clients'
// authorities too; and every fourth time what is written at first cannot be used. It ends when the server shows the new one.
func (r *rotation) step(n int) {
	r.t.Helper()
	if n%4 == 1 {
		r.writeBroken(n)
	}
	issuer := r.own
	if n%2 == 1 {
		issuer = r.own.Intermediate(r.t, "between")
	}
	if n%3 == 2 {
		r.before, r.present, r.to = r.present, r.to, certstest.NewAuthority(r.t, "next")
		r.writeTrust()
	}
	pair := r.fresh(issuer)
	pair.Write(r.t, filepath.Dir(r.files.Key))
	servertest.Await(r.t, "the server shows its new certificate", func() bool { return r.shown().Cmp(pair.Leaf.SerialNumber) == 0 })
	if n%3 == 2 {
		r.renewClient()
	}
}

// writeBroken writes files that cannot be used, of one kind or another, and waits until the server says so.
func (r *rotation) writeBroken(n int) {
	r.t.Helper()
	switch n / 4 % 3 {
	case 0:
		certstest.WriteFile(r.t, r.files.Key, r.fresh(r.own).Key)
	case 1:
		certstest.WriteFile(r.t, r.files.Certificate, []byte("-----BEGIN CERTIFICATE-----\nhalf"))
	case 2:
		certstest.WriteFile(r.t, r.trust, nil)
	}
	client, base := clientOf(r.t, r.h, r.identity())
	servertest.Await(r.t, "the broken files are told of", func() bool {
		return scrape(r.t, client, base)[`exportgate_certificate_reload_failed{use="server"}`] == 1
	})
	if health := ask(r.t, client, "GET", base, "/health"); !strings.Contains(health.body, `"certificates":{"status":"DOWN"`) {
		r.t.Errorf("health does not tell of broken files: %s", health.body)
	}
	r.writeTrust()
}

// identity is a client's that shows the certificate of the moment.
func (r *rotation) identity() servertest.Identity {
	return servertest.Identity{TLS: r.config(nil)}
}

func (r *rotation) config(handshakes *atomic.Int64) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: r.own.Pool(),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return r.client.Load(), nil },
		VerifyConnection: func(tls.ConnectionState) error {
			if handshakes != nil {
				handshakes.Add(1)
			}
			return nil
		},
	}
}

// shown is the number of the certificate that the HTTP door shows; 0 where there is no connection.
func (r *rotation) shown() *big.Int {
	conn, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: time.Minute}, Config: r.config(nil)}).
		DialContext(r.t.Context(), "tcp", r.h.Server.HTTPAddr().String())
	if err != nil {
		r.t.Errorf("a handshake: %v", err)
		return new(big.Int)
	}
	defer func() { _ = conn.Close() }()
	secure, _ := conn.(*tls.Conn)
	return secure.ConnectionState().PeerCertificates[0].SerialNumber
}

// rotating is a way to call.
type rotating struct {
	name  string
	door  servertest.Door
	http1 bool
}

// call calls until it is to stop, over a connection that stays or a new one for each call.
func (r *rotation) call(kind rotating, stays bool, stop <-chan struct{}, made *atomic.Int64) {
	handshakes := new(atomic.Int64)
	who := servertest.Identity{TLS: r.config(handshakes), HTTP1: kind.http1}
	address := map[servertest.Door]net.Addr{servertest.HTTP: r.h.Server.HTTPAddr(), servertest.GRPC: r.h.Server.GRPCAddr()}[kind.door].String()
	var route servertest.Route
	for n := int64(1); ; n++ {
		if route == nil {
			var err error
			if route, err = servertest.DialAs(kind.door, address, who); err != nil {
				r.t.Error(err)
				return
			}
		}
		o := route.GetStatus(r.t.Context())
		made.Add(1)
		if !stays {
			route.Close()
			route = nil
		}
		if !o.OK() {
			r.t.Errorf("%s, call %d, stays %t: %v", kind.name, n, stays, o)
		}
		select {
		case <-stop:
			if stays {
				route.Close()
			}
			if got := handshakes.Load(); stays && got != 1 || !stays && got != n {
				r.t.Errorf("%s, stays %t: %d connections for %d calls", kind.name, stays, got, n)
			}
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// pauseAndResume pauses and resumes until it is to stop, over a connection that stays, with a hold of its own.
func (r *rotation) pauseAndResume(kind rotating, route servertest.Route, stop <-chan struct{}, made *atomic.Int64) {
	id := "hold-" + strings.NewReplacer("/", "-", ".", "-").Replace(kind.name)
	for {
		if o := route.Pause(r.t.Context(), named(id)); !o.OK() {
			r.t.Errorf("%s: a pause: %v", kind.name, o)
		}
		if o := route.Resume(r.t.Context(), &exportgatev1.ResumeRequest{Hold: id}); !o.OK() {
			r.t.Errorf("%s: a resume: %v", kind.name, o)
		}
		made.Add(2)
		select {
		case <-stop:
			return
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// watch watches until it is told of the last hold.
func (r *rotation) watch(form servertest.Form) <-chan error {
	w := r.h.WatchAs(r.t, form, "", r.identity())
	ended := make(chan error, 1)
	go func() { ended <- awaitLastHold(w) }()
	return ended
}

// awaitLastHold reads until the last hold is told of, and breaks the stream off.
func awaitLastHold(w *servertest.Watch) error {
	defer w.Stop()
	for {
		message, o := w.Next()
		if message == nil {
			return fmt.Errorf("it ended before its time: %v", o)
		}
		if slices.ContainsFunc(message.GetStatus().GetHolds(), func(h *exportgatev1.Hold) bool { return h.GetId() == lastHold }) {
			return nil
		}
	}
}
