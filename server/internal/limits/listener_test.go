package limits

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc/peer"
)

// knocks is a listener on which a test is everybody.
type knocks chan net.Conn

// Accept takes what the test put there, and fails if there is nothing.
func (k knocks) Accept() (net.Conn, error) {
	select {
	case c := <-k:
		return c, nil
	default:
		return nil, net.ErrClosed
	}
}

// Close does nothing.
func (knocks) Close() error { return nil }

// Addr is nowhere.
func (knocks) Addr() net.Addr { return &net.UnixAddr{Name: "knocks"} }

// room plays connections through a listener by name.
type room struct {
	t                  *testing.T
	knocks             knocks
	listener           net.Listener
	refused, displaced int
	server, client     map[string]net.Conn
	done               map[string]func()
}

func newRoom(t *testing.T, most int) *room {
	t.Helper()
	r := &room{
		t: t, knocks: make(knocks, 10), server: map[string]net.Conn{}, client: map[string]net.Conn{}, done: map[string]func(){},
	}
	r.listener = NewDoor(r.knocks, ListenerOptions{
		Max: most, Refused: func() { r.refused++ }, Displaced: func() { r.displaced++ },
	})
	return r
}

// play does what the words say: "+a" connects, "a!" begins a call, "a." ends it, "-a" hangs up.
func (r *room) play(words string) {
	r.t.Helper()
	for word := range strings.FieldsSeq(words) {
		name := strings.Trim(word, "+-!.")
		ctx := ConnContext(r.t.Context(), r.server[name])
		switch {
		case word[0] == '+':
			server, client := net.Pipe()
			r.client[name] = client
			r.knocks <- server
			accepted, err := r.listener.Accept()
			if err == nil {
				r.server[name] = accepted
			} else if !errors.Is(err, net.ErrClosed) { // It looked for another one, and there was none.
				r.t.Fatal(err)
			}
		case word[0] == '-':
			if err := r.server[name].Close(); err != nil {
				r.t.Fatal(err)
			}
		case strings.HasSuffix(word, "!"):
			r.done[name] = Busy(ctx)
		case strings.HasSuffix(word, "."):
			r.done[name]()
		}
	}
}

// closed are the names of the connections that their clients find closed.
func (r *room) closed() string {
	var names []string
	for name := range strings.SplitSeq("a b c d e f", " ") {
		c := r.client[name]
		if c == nil {
			continue
		}
		read := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			read <- err
		}()
		if server := r.server[name]; server != nil {
			_, _ = server.Write([]byte("x")) // fails where it is closed
		}
		if err := <-read; errors.Is(err, io.EOF) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func TestListener(t *testing.T) {
	tests := []struct {
		name, play, closed string
		refused, displaced int
	}{
		{"there is room", "+a +b", "", 0, 0},
		{"the oldest goes", "+a +b +c", "a", 0, 1},
		{"one after the other", "+a +b +c +d", "a b", 0, 2},
		{"a busy one stays", "+a +b a! +c", "b", 0, 1},
		{"all are busy", "+a +b a! b! +c", "c", 1, 0},
		{"one was busy", "+a +b a! a. +c", "b", 0, 1},
		{"several calls on one", "+a +b a! a! a. +c +d", "b c", 0, 2},
		{"room was made", "+a +b -a +c", "a", 0, 0},
		{"room was made by a busy one", "+a +b a! -a a. +c", "a", 0, 0},
		{"hanging up twice makes room once", "+a +b -a +c +d", "a b", 0, 1},
		{"the one that went may end its call", "+a +b +c a! a. +d", "a b", 0, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRoom(t, 2)
			r.play(test.play)
			if got := r.closed(); got != test.closed {
				t.Errorf("closed are %q, want %q", got, test.closed)
			}
			if r.refused != test.refused || r.displaced != test.displaced {
				t.Errorf("%d refused and %d displaced, want %d and %d", r.refused, r.displaced, test.refused, test.displaced)
			}
		})
	}
}

func TestListenerWithoutLimit(t *testing.T) {
	r := newRoom(t, 0)
	r.play("+a +b +c a! a.")
	if got := r.closed(); got != "" {
		t.Errorf("closed are %q", got)
	}
}

// TestConnectionIsFound proves that a call leads to its connection through both doors, and other calls to none.
func TestConnectionIsFound(t *testing.T) {
	r := newRoom(t, 2)
	r.play("+a")
	a := r.server["a"]
	wrapped := &wrapper{&wrapper{a}}
	tests := []struct {
		name string
		ctx  context.Context
		want bool
	}{
		{"HTTP", ConnContext(t.Context(), a), true},
		{"HTTP through wrappers, as TLS is one", ConnContext(t.Context(), wrapped), true},
		{"gRPC", peer.NewContext(t.Context(), &peer.Peer{Addr: a.RemoteAddr()}), true},
		{"a listener without limits", ConnContext(t.Context(), r.client["a"]), false},
		{"a peer without address", peer.NewContext(t.Context(), &peer.Peer{}), false},
		{"no peer", t.Context(), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			done := Busy(test.ctx)
			defer done()
			l, ok := r.listener.(*Door)
			if busy := l.idle.Len() == 0; !ok || busy != test.want {
				t.Errorf("the connection is busy: %t, want %t", busy, test.want)
			}
		})
	}
	if got, want := a.RemoteAddr().String(), r.client["a"].LocalAddr().String(); got != want {
		t.Errorf("the address reads %q, want %q", got, want)
	}
}

// wrapper is a connection around another.
type wrapper struct{ net.Conn }

// NetConn is the other.
func (w *wrapper) NetConn() net.Conn { return w.Conn }

func TestCloseWrite(t *testing.T) {
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := NewDoor(listening, ListenerOptions{Max: 1})
	defer func() { _ = l.Close() }()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	half, ok := server.(interface{ CloseWrite() error })
	if !ok {
		t.Fatal("the connection cannot close its half")
	}
	if err := half.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); err != nil || len(got) > 0 {
		t.Errorf("the client read %q, %v, want the end", got, err)
	}
	if _, err := client.Write([]byte("still")); err != nil {
		t.Fatal(err)
	}
	if n, err := server.Read(make([]byte, 5)); err != nil || n == 0 {
		t.Errorf("the server read %d bytes, %v, want what was still sent", n, err)
	}
}
