package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// dialRaw opens a connection on which a test writes what it likes.
func dialRaw(t *testing.T, d *door) net.Conn {
	t.Helper()
	var dialer net.Dialer
	c, err := dialer.DialContext(t.Context(), "tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil { // so that a hang fails the test
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

// readAnswer reads one answer, and whether the connection ends after it.
func readAnswer(t *testing.T, c net.Conn) (reply, bool) {
	t.Helper()
	buffered := bufio.NewReader(c)
	response, err := http.ReadResponse(buffered, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(body)}, response.Close
}

const pauseHeader = "POST /exporting/pause HTTP/1.1\r\nHost: x\r\n"

func TestBodies(t *testing.T) {
	tests := []struct {
		name string
		body io.Reader // of unknown length where it is no *strings.Reader
		code int
	}{
		{"none", nil, 200},
		{"an empty one", strings.NewReader(""), 200},
		{"an empty one of unknown length", struct{ io.Reader }{strings.NewReader("")}, 200},
		{"JSON", strings.NewReader(`{"soft":true}`), 400},
		{"JSON of unknown length", struct{ io.Reader }{strings.NewReader(`{"soft":true}`)}, 400},
		{"10 MB", strings.NewReader(strings.Repeat("x", 10<<20)), 400},
		{"10 MB of unknown length", struct{ io.Reader }{strings.NewReader(strings.Repeat("x", 10<<20))}, 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			service := &fake{}
			d := openDoor(t, service, Options{})
			got := send(t, http.MethodPost, d.url+"/exporting/pause", test.body, "Content-Type", mediaJSON)
			if got.code != test.code {
				t.Errorf("answer is %d %s, want %d", got.code, got.body, test.code)
			}
			if asked := len(service.requests()) == 1; asked != (test.code == http.StatusOK) {
				t.Errorf("the service was asked: %t", asked)
			}
			if test.code == http.StatusBadRequest && !strings.Contains(got.body, "no body is taken") {
				t.Errorf("answer is %s, want one that says what is wrong", got.body)
			}
		})
	}
}

// TestUnsentBodies proves that an announced body which does not come holds nothing up: not the answer, whatever it is,
// and not the connection.
func TestUnsentBodies(t *testing.T) {
	const never, soon = time.Hour, 20 * time.Millisecond
	tests := []struct {
		name, request string
		readTimeout   time.Duration // never where the answer must not wait for it
		code          int
	}{
		{"a short one", pauseHeader + "Content-Length: 10\r\n\r\n", never, 400},
		{"a long one", pauseHeader + "Content-Length: 10000000\r\n\r\n", never, 400},
		{"one that waits for leave", pauseHeader + "Content-Length: 10\r\nExpect: 100-continue\r\n\r\n", never, 400},
		{"a chunk", pauseHeader + "Transfer-Encoding: chunked\r\n\r\n5\r\nab", never, 400},
		{"one of unknown length", pauseHeader + "Transfer-Encoding: chunked\r\n\r\n", soon, 400},
		{"to nowhere", "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n", never, 404},
		{"with a wrong method", "PUT /exporting HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", never, 405},
		{"to a page", "GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n", never, 400},
		{"that then ends the connection", pauseHeader + "Content-Length: 10\r\n\r\n", soon, 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			service := &fake{}
			d := openDoor(t, service, Options{}, func(s *Server) { s.ReadTimeout = test.readTimeout })
			c := dialRaw(t, d)
			write(t, c, test.request)
			got, closes := readAnswer(t, c)
			if got.code != test.code || !closes {
				t.Errorf("answer is %d %s (closing: %t), want %d and the end", got.code, got.body, closes, test.code)
			}
			if test.readTimeout == soon {
				if _, err := io.Copy(io.Discard, c); err != nil {
					t.Errorf("the connection did not end: %v", err)
				}
			}
			if n := len(service.requests()); n > 0 {
				t.Error("the service was asked")
			}
		})
	}
}

// TestAnswerIsReadable proves that a client which sends all of a large body before it reads anything gets its answer.
func TestAnswerIsReadable(t *testing.T) {
	for _, header := range []string{"", "Connection: close\r\n"} {
		d := openDoor(t, &fake{}, Options{})
		c := dialRaw(t, d)
		write(t, c, pauseHeader+header+"Content-Length: 10485760\r\n\r\n")
		write(t, c, strings.Repeat("x", 10<<20))
		if got, _ := readAnswer(t, c); got.code != http.StatusBadRequest {
			t.Errorf("with %q: answer is %d %s, want 400", header, got.code, got.body)
		}
	}
}

// TestCallsOutliveReadTimeouts proves that the time for headers and bodies does not end a call that waits for the
// brokers.
func TestCallsOutliveReadTimeouts(t *testing.T) {
	const limit = 200 * time.Millisecond
	for name, header := range map[string]string{
		"no body": "Content-Length: 0\r\n\r\n", "an empty chunked body": "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			long := make(chan struct{}) // for the first call; the second finds it past
			time.AfterFunc(2*limit, func() { close(long) })
			service := &fake{answer: func(ctx context.Context) error {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-long:
					return nil
				}
			}}
			d := openDoor(t, service, Options{}, func(s *Server) {
				s.ReadHeaderTimeout, s.ReadTimeout, s.IdleTimeout = limit, limit, time.Minute
			})
			c := dialRaw(t, d)
			for range 2 { // the connection lives on
				write(t, c, pauseHeader+header)
				if got, closes := readAnswer(t, c); got.code != http.StatusOK || closes {
					t.Fatalf("answer is %d %s (closing: %t), want 200 and a connection that lives on", got.code, got.body, closes)
				}
			}
		})
	}
}

// TestCallEndsWithItsClient proves that a client that goes away is noticed.
func TestCallEndsWithItsClient(t *testing.T) {
	asked, ended := make(chan struct{}), make(chan error, 1)
	service := &fake{answer: func(ctx context.Context) error {
		close(asked)
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}}
	d := openDoor(t, service, Options{})
	c := dialRaw(t, d)
	write(t, c, pauseHeader+"\r\n")
	<-asked
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the call went on")
	}
}

func TestSlowHeaders(t *testing.T) {
	tests := []struct {
		name, before, slow string
		code               int // 0 where nothing is to be answered
	}{
		{"in the request line", "", "POST /exp", 408},
		{"in the middle", "", pauseHeader + "X-Slow: ", 408},
		{"after a byte", "", "P", 408},
		{"in a second request", "GET /info HTTP/1.1\r\nHost: x\r\n\r\n", pauseHeader, 408},
		{"nothing at all", "", "", 0},
		{"nothing after a request", "GET /info HTTP/1.1\r\nHost: x\r\n\r\n", "", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			service := &fake{}
			d := openDoor(t, service, Options{}, func(s *Server) {
				s.ReadHeaderTimeout, s.IdleTimeout = 200*time.Millisecond, 200*time.Millisecond
			})
			c := dialRaw(t, d)
			if test.before != "" {
				write(t, c, test.before)
				if got, _ := readAnswer(t, c); got.code != http.StatusOK {
					t.Fatalf("the first request got %d", got.code)
				}
			}
			write(t, c, test.slow)
			if test.code == 0 {
				if left, err := io.ReadAll(c); err != nil || len(left) > 0 {
					t.Errorf("the connection ended with %q, %v; want silence", left, err)
				}
				return
			}
			got, closes := readAnswer(t, c)
			if got.code != test.code || !closes || !strings.Contains(got.body, "did not come in time") {
				t.Errorf("answer is %d %q (closing: %t), want %d with a reason", got.code, got.body, closes, test.code)
			}
			if n := len(service.requests()); n > 0 {
				t.Error("the service was asked")
			}
		})
	}
}

func TestHugeHeaders(t *testing.T) {
	tests := []struct {
		name, request string
		code          int
	}{
		{"a header", pauseHeader + "X-Large: " + strings.Repeat("x", 100<<10) + "\r\n\r\n", 431},
		{"many headers", pauseHeader + strings.Repeat("X-Many: x\r\n", 10_000) + "\r\n", 431},
		{"the request line", "POST /exporting/pause?" + strings.Repeat("x", 100<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
		{"many parameters", "POST /exporting/pause?" + strings.Repeat("&a", 5000) + " HTTP/1.1\r\nHost: x\r\n\r\n", 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			service := &fake{}
			d := openDoor(t, service, Options{})
			c := dialRaw(t, d)
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, _ = io.WriteString(c, test.request) // which the server need not read to its end
			}()
			if got, _ := readAnswer(t, c); got.code != test.code {
				t.Errorf("answer is %d %q, want %d", got.code, got.body, test.code)
			}
			_ = c.Close()
			<-sent
			if n := len(service.requests()); n > 0 {
				t.Error("the service was asked")
			}
		})
	}
}

// TestGarbage proves that what is no HTTP is refused and does no harm.
func TestGarbage(t *testing.T) {
	d := openDoor(t, &fake{}, Options{})
	for _, garbage := range []string{
		"\x16\x03\x01\x02\x00\x01\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "hello\r\n\r\n", pauseHeader + "Bad Header: x\r\n\r\n",
		"POST /exporting/pause HTTP/1.1\r\n\r\n", pauseHeader + "Content-Length: -1\r\n\r\n",
		pauseHeader + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
	} {
		c := dialRaw(t, d)
		write(t, c, garbage)
		if got, _ := readAnswer(t, c); got.code/100 == 2 {
			t.Errorf("%q was answered with %d", garbage, got.code)
		}
	}
	if got := send(t, http.MethodGet, d.url+"/info", nil); got.code != http.StatusOK {
		t.Errorf("after that, GET /info answers %d", got.code)
	}
}

// TestServerLimits pins what no test can wait for.
func TestServerLimits(t *testing.T) {
	s := NewServer(http.NotFoundHandler(), ServerOptions{Timeout: 30 * time.Second, Logger: discard()})
	got := fmt.Sprint(s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout, s.MaxHeaderBytes)
	if want := "5s 10s 40s 2m0s 32768"; got != want {
		t.Errorf("limits are %s, want %s", got, want)
	}
}
