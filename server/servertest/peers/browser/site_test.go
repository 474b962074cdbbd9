package browser_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// site is the attacker's: a page that does nothing by itself, and one that has whatever it does reported to where it likes.
func site(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if target := r.URL.Query().Get("report"); target != "" {
			w.Header().Set("Content-Security-Policy", "img-src 'none'; report-uri "+target)
			_, _ = fmt.Fprint(w, `<!doctype html><title>cats</title><img src="/cat.png">`)
			return
		}
		_, _ = fmt.Fprint(w, `<!doctype html><title>cats</title>`)
	}))
	t.Cleanup(s.Close)
	return s
}

// pointer is what a name points to. Whoever owns the name may let it point to something else at any time, and a browser
// follows with its next connection: to the browser it stays the same site.
type pointer struct {
	listener net.Listener
	pumps    sync.WaitGroup

	mu    sync.Mutex
	to    string
	conns map[net.Conn]bool
}

// point makes a pointer to an address, which ends with the test.
func point(t *testing.T, to string) *pointer {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pointer{listener: l, to: to, conns: map[net.Conn]bool{}}
	p.pumps.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close() // It only listens.
		p.rebind("")
		p.pumps.Wait()
	})
	return p
}

// port is where it is reached.
func (p *pointer) port() int {
	address, _ := p.listener.Addr().(*net.TCPAddr)
	return address.Port
}

// rebind lets it point to another address, and ends the connections to the old one.
func (p *pointer) rebind(to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
	for c := range p.conns {
		_ = c.Close() // Its pumps end.
	}
	clear(p.conns)
}

func (p *pointer) accept() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		to, err := p.dial()
		if err != nil {
			_ = from.Close() // There is nothing behind it.
			continue
		}
		p.keep(from, to)
		p.pumps.Go(func() { pump(from, to) })
		p.pumps.Go(func() { pump(to, from) })
	}
}

func (p *pointer) dial() (net.Conn, error) {
	p.mu.Lock()
	to := p.to
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return new(net.Dialer).DialContext(ctx, "tcp", to)
}

func (p *pointer) keep(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = true
	}
}

// pump copies until one side ends, and then ends both.
func pump(to, from net.Conn) {
	_, _ = io.Copy(to, from) // However it ends, it ends.
	_ = to.Close()
	_ = from.Close()
}
