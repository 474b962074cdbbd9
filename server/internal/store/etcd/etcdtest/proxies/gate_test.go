package proxies

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/embedded"
)

// gate stands between one server and the brokers, which cannot tell servers apart: it knows who asked for what, and can hold
// back requests that are on their way. It has the hosts of the brokers, on a port of its own.
type gate struct {
	port    string
	forward http.Handler

	mu       sync.Mutex
	held     string        // the host whose writes are held back; empty if none is
	opened   chan struct{} // closed when they may go on
	requests []request
	wrote    time.Time // the last
}

// request is a request that came to a gate.
type request struct {
	host, path string
	write      bool
	came       time.Time // before it was held back
}

// newGate opens a gate to a cluster, with [embedded.Options.DistinctHosts], that is open until the test ends.
func newGate(t *testing.T, brokers *embedded.Cluster) *gate {
	t.Helper()
	var hosts []string
	var port string
	for _, address := range brokers.Addresses() {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		hosts, port = append(hosts, u.Hostname()), u.Port()
	}
	g := &gate{opened: make(chan struct{})}
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	g.forward = &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: net.JoinHostPort(hostOf(r.In), port)})
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // Servers that die are what this is about.
	}
	server := &http.Server{Handler: g, ReadHeaderTimeout: patience}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		g.open()
		_ = server.Close() // Whoever still asks is not answered.
		serving.Wait()
		transport.CloseIdleConnections()
	})
	for _, l := range listen(t, hosts) {
		_, g.port, _ = net.SplitHostPort(l.Addr().String()) // It is well-formed, and the same for all.
		serving.Go(func() { _ = server.Serve(l) })          // It ends when it is closed.
	}
	return g
}

// listen listens on one port of several hosts, which on another of them may be taken.
func listen(t *testing.T, hosts []string) []net.Listener {
	t.Helper()
	var failure error
	for range 20 {
		var listeners []net.Listener
		port := "0"
		for _, host := range hosts {
			var l net.Listener
			if l, failure = new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(host, port)); failure != nil {
				break
			}
			listeners = append(listeners, l)
			_, port, _ = net.SplitHostPort(l.Addr().String()) // It is well-formed.
		}
		if failure == nil {
			return listeners
		}
		for _, l := range listeners {
			_ = l.Close() // It only listens.
		}
	}
	t.Fatal(failure)
	return nil
}

func hostOf(r *http.Request) string {
	host, _, _ := strings.Cut(r.Host, ":")
	return host
}

// url is the template of the brokers' addresses behind the gate.
func (g *gate) url() string { return "http://{host}:" + g.port + "/actuator" }

// ServeHTTP implements [http.Handler]. A write that has come to the gate goes on whatever becomes of who sent it, as one
// does that is on its way through a network.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	write := r.Method == http.MethodPost
	g.mu.Lock()
	g.requests = append(g.requests, request{hostOf(r), r.URL.Path, write, time.Now()})
	if write {
		g.wrote = time.Now()
	}
	held, opened := write && g.held == hostOf(r), g.opened
	g.mu.Unlock()
	if write {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), patience)
		defer cancel()
		r = r.WithContext(ctx)
	}
	if held {
		<-opened
	}
	g.forward.ServeHTTP(w, r)
}

// hold holds back from now on what is written to one host, until open.
func (g *gate) hold(host string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = host
}

// open lets go on what was held back.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = ""
	close(g.opened)
	g.opened = make(chan struct{})
}

// since are the requests that came after an instant: those that write, or those that read.
func (g *gate) since(at time.Time, write bool) []request {
	g.mu.Lock()
	defer g.mu.Unlock()
	var later []request
	for _, r := range g.requests {
		if r.write == write && r.came.After(at) {
			later = append(later, r)
		}
	}
	return later
}

// lastWrite is when the last write came; the zero time if none did.
func (g *gate) lastWrite() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wrote
}
