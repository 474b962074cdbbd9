package limits

import (
	"container/list"
	"context"
	"net"

	"google.golang.org/grpc/peer"
)

// conn is a connection that counts.
type conn struct {
	net.Conn

	door  *Door
	place *list.Element // among the idle; nil while it is busy, and once it is gone. Guarded, as the rest, by the door's lock.
	calls int
	gone  bool
}

// Close also makes room.
func (c *conn) Close() error {
	c.door.mu.Lock()
	c.leave()
	c.door.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite lets a server end an answer before it hangs up.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// RemoteAddr is the client's address, by which [Busy] finds the connection again: gRPC shows a call no other part of it.
func (c *conn) RemoteAddr() net.Addr { return &remote{Addr: c.Conn.RemoteAddr(), conn: c} }

// remote is an address that knows its connection.
type remote struct {
	net.Addr

	conn *conn
}

// leave is called with the door's lock, and may be called again.
func (c *conn) leave() {
	if c.gone {
		return
	}
	c.gone = true
	c.door.open--
	c.removeIdle()
}

// count counts a call that begins, or with -1 one that ends.
func (c *conn) count(calls int) {
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	c.calls += calls
	switch {
	case c.gone:
	case c.calls > 0:
		c.removeIdle()
	default:
		c.place = c.door.idle.PushBack(c)
	}
}

func (c *conn) removeIdle() {
	if c.place != nil {
		c.door.idle.Remove(c.place)
		c.place = nil
	}
}

// Busy keeps the connection of a call open, if it came through a [Door], until done is called: once, when the call has
// ended. The context is that of the call: over gRPC the peer in it leads to the connection, over HTTP [ConnContext].
func Busy(ctx context.Context) (done func()) {
	c := connOf(ctx)
	if c == nil {
		return func() {}
	}
	c.count(1)
	return func() { c.count(-1) }
}

func connOf(ctx context.Context) *conn {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		return c
	}
	if p, ok := peer.FromContext(ctx); ok {
		if addr, ok := p.Addr.(*remote); ok {
			return addr.conn
		}
	}
	return nil
}

type connKey struct{}

// ConnContext is for [net/http.Server.ConnContext]: it lets [Busy] find the connection of a request. It looks behind those
// that wrap it and have a NetConn method, as a [crypto/tls.Conn] has.
func ConnContext(ctx context.Context, wrapped net.Conn) context.Context {
	for {
		switch c := wrapped.(type) {
		case *conn:
			return context.WithValue(ctx, connKey{}, c)
		case interface{ NetConn() net.Conn }:
			wrapped = c.NetConn()
		default:
			return ctx
		}
	}
}
