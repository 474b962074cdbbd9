package limits

import (
	"container/list"
	"net"
	"sync"
)

// ListenerOptions are what [NewDoor] needs.
type ListenerOptions struct {
	// Max is how many connections there may be at a time; 0 for as many as come.
	Max int
	// Refused is told of every new connection that was closed because all the others were busy, and Displaced of every idle
	// one that was closed for a new one. Both must be quick; either may be nil.
	Refused, Displaced func()
}

// Door is a listener that bounds its connections. When it is full, the one that has been idle for the longest is closed for
// the new one: many idle connections, whoever opened them, lock nobody out. If all are busy, it is the new one.
//
// A connection is busy while a call on it is [Busy], and never closed then. That is for calls that were let in, and not
// from their first byte on: who is not known yet could make connections busy with half a TLS handshake, half a header, or
// a gRPC call whose message does not come. So a call that arrives in the very moment in which its connection is closed,
// after it was idle for longer than all the others, meets the end of it, as with any server that closes idle connections.
//
// It has no goroutine: what there is to do is done by those that accept, serve and close connections.
type Door struct {
	net.Listener

	options ListenerOptions
	mu      sync.Mutex
	open    int
	idle    list.List // of *conn, the longest idle first
}

// NewDoor returns a door whose connections come from a listener.
func NewDoor(l net.Listener, o ListenerOptions) *Door { return &Door{Listener: l, options: o} }

// Open is how many connections are open.
func (l *Door) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// Accept waits for the next connection for which there is room.
func (l *Door) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: accepted, door: l}
		displaced, ok := l.enter(c)
		if displaced != nil {
			_ = displaced.Conn.Close() // Its server finds out, and ends it as one that the client closed.
			tell(l.options.Displaced)
		}
		if ok {
			return c, nil
		}
		_ = accepted.Close()
		tell(l.options.Refused)
	}
}

// enter makes room for a connection. It reports which one must be closed for it, and whether there is room at all.
func (l *Door) enter(c *conn) (displaced *conn, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.options.Max > 0 && l.open >= l.options.Max {
		oldest := l.idle.Front()
		if oldest == nil {
			return nil, false
		}
		displaced, _ = oldest.Value.(*conn)
		displaced.leave()
	}
	l.open++
	c.place = l.idle.PushBack(c)
	return displaced, true
}

func tell(of func()) {
	if of != nil {
		of()
	}
}
