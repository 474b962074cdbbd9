package cluster

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Proxy stands between a client and an address, and can do to their connections what networks do. Its methods may be called
// by many goroutines at once.
type Proxy struct {
	scheme   string // of its URL, as of the one behind it
	target   string
	listener net.Listener
	pumps    sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	cut    bool
	delay  time.Duration
	opened chan struct{} // closed unless what comes is to hang
	closed chan struct{}
}

// NewProxy starts a proxy to an http or https URL, that ends with the test. What passes it stays as it is, TLS too.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	scheme, address, _ := strings.Cut(target, "://")
	p := &Proxy{
		scheme: scheme, target: address, listener: l, conns: map[net.Conn]bool{},
		opened: make(chan struct{}), closed: make(chan struct{}),
	}
	close(p.opened)
	p.pumps.Go(p.accept)
	tb.Cleanup(func() {
		close(p.closed)
		p.Cut()
		_ = l.Close() // It only listens.
		p.pumps.Wait()
	})
	return p
}

// Proxies are one for each of several URLs, and their own URLs.
func Proxies(tb testing.TB, targets []string) (proxies []*Proxy, urls []string) {
	tb.Helper()
	for _, target := range targets {
		p := NewProxy(tb, target)
		proxies, urls = append(proxies, p), append(urls, p.URL())
	}
	return proxies, urls
}

// URL is what clients connect to.
func (p *Proxy) URL() string { return p.scheme + "://" + p.listener.Addr().String() }

// Cut breaks all connections and refuses new ones until [Proxy.Heal].
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.conns {
		_ = c.Close() // Its pumps end.
	}
}

// Hang holds back, until [Proxy.Heal], all that comes from either side; connections stay, and new ones are taken.
func (p *Proxy) Hang() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.opened:
		p.opened = make(chan struct{})
	default:
	}
}

// Delay delays all that comes from either side from now on.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Heal ends whatever was done: what was held back goes on its way.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.delay = false, 0
	select {
	case <-p.opened:
	default:
		close(p.opened)
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.pumps.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	if !p.add(client) {
		return
	}
	defer p.remove(client)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	server, err := new(net.Dialer).DialContext(ctx, "tcp", p.target)
	cancel()
	if err != nil || !p.add(server) {
		return
	}
	defer p.remove(server)
	var back sync.WaitGroup
	back.Go(func() { p.pump(client, server) })
	p.pump(server, client)
	back.Wait()
}

// add takes note of a connection, unless it is to be refused.
func (p *Proxy) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		_ = c.Close() // Refused.
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Proxy) remove(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close() // Both directions are done.
}

// pump carries what comes from one side to the other. When either ends, so do both.
func (p *Proxy) pump(to, from net.Conn) {
	defer func() {
		_ = errors.Join(to.Close(), from.Close()) // Either may be closed already.
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !p.pass() {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits until something may go on, and reports whether it ever may.
func (p *Proxy) pass() bool {
	p.mu.Lock()
	opened, delay := p.opened, p.delay
	p.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-p.closed:
			return false
		}
	}
	select {
	case <-opened:
		return true
	case <-p.closed:
		return false
	}
}
