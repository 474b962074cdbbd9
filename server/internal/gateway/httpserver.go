package gateway

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// ServerOptions are what [NewServer] needs.
type ServerOptions struct {
	// Timeout is the one of [Options]: how long an answer may take.
	Timeout time.Duration
	// Logger takes, at debug level, what net/http has to say of connections: anybody who reaches the port can make it
	// say things.
	Logger *slog.Logger
	// TLS is how the server speaks TLS, in HTTP/2 where its NextProtos have "h2". Nil for none.
	TLS *tls.Config
}

// Server is an [http.Server] that also answers clients whose header does not come. Use Serve; the other ways to start
// an [http.Server] work, without that answer.
type Server struct {
	http.Server
}

// writing is how long a client may take to read an answer, or a message of a stream.
const writing = 10 * time.Second

// NewServer bounds everything that a client can send and keep waiting.
//
// ReadTimeout ends with the body of a request, which must be empty: it does not touch a pause that waits for its
// brokers. WriteTimeout does not: it begins with the header of a request, and so leaves room for the call. A stream moves
// its end with every message, and so lasts.
func NewServer(handler http.Handler, o ServerOptions) *Server {
	return &Server{http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      o.Timeout + writing,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		TLSConfig:         o.TLS,
		ConnState:         trackConn,
	}}
}

// Serve answers requests on a listener until [http.Server.Shutdown] or [http.Server.Close], and closes the listener.
func (s *Server) Serve(l net.Listener) error {
	if s.TLSConfig != nil {
		return s.Server.Serve(tls.NewListener(l, s.TLSConfig))
	}
	return s.Server.Serve(listener{l})
}

// listener makes its connections say that a header came too slowly, where net/http just hangs up: a client behind a
// broken network then knows what happened. It is for connections without TLS, where that can be said to anybody.
type listener struct{ net.Listener }

// Accept waits for the next connection.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}

// conn knows whether the header of a request is being read.
type conn struct {
	net.Conn
	serving atomic.Bool // a whole header was read, and its request is not answered yet
	begun   atomic.Bool // a part of a header was read
}

func trackConn(c net.Conn, state http.ConnState) {
	tracked, ok := c.(*conn)
	if !ok {
		return
	}
	switch state {
	case http.StateActive:
		tracked.serving.Store(true)
	case http.StateIdle:
		tracked.begun.Store(false)
		tracked.serving.Store(false)
	case http.StateNew, http.StateHijacked, http.StateClosed:
	}
}

// Read answers 408 when it ends because ReadHeaderTimeout passed in the middle of a header.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	switch {
	case c.serving.Load():
	case n > 0:
		c.begun.Store(true)
	case c.begun.Load() && errors.Is(err, os.ErrDeadlineExceeded):
		c.answerTimeout()
	}
	return n, err
}

// answerTimeout is the last that is written to the connection: net/http closes it when the read has failed.
func (c *conn) answerTimeout() {
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return
	}
	_, _ = io.WriteString(c.Conn, "HTTP/1.1 408 Request Timeout\r\nContent-Type: text/plain; charset=utf-8\r\n"+
		"Connection: close\r\n\r\n408 Request Timeout: the header of the request did not come in time\n")
}

// NetConn is the connection behind, for those who look for theirs.
func (c *conn) NetConn() net.Conn { return c.Conn }

// CloseWrite lets net/http end an answer before it hangs up, so that a client that still sends its body can read it.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
