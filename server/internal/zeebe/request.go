package zeebe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

const (
	// maxAnswer bounds every answer. A broker with 90 replicas sends about 100 kB, the configuration of a cluster of 100
	// such brokers about 2 MB.
	maxAnswer = 16 << 20
	// maxHeader bounds an answer's header.
	maxHeader = 64 << 10
	// idleTimeout is shorter than the 20 s after which a broker's own server closes an idle connection, so that a POST
	// does not meet one that is just closing.
	idleTimeout = 15 * time.Second
	// idlePerBroker is how many connections to a broker are kept: a read and a write may be under way at once.
	idlePerBroker = 4

	shortExcerpt = 80  // runes of a body that is not understood, or of a name
	longExcerpt  = 240 // runes of a message that a broker wrote for people
)

// newTransport returns a transport for hundreds of brokers in one network: connections are kept for every one of them,
// and the environment's proxy, which is for the world outside, is not heeded.
func newTransport(dialTimeout time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		MaxIdleConnsPerHost:    idlePerBroker,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
	}
}

// answer is what a broker said, whole.
type answer struct {
	status   int
	location string // of a redirect
	body     []byte
}

// silentError is that nobody answered, in words that people know.
type silentError struct {
	words  string
	err    error
	unsent bool // the request never left
}

func (e *silentError) Error() string { return e.words }

func (e *silentError) Unwrap() error { return e.err }

// isSilence reports whether an error means that the broker did not answer at all.
func isSilence(err error) bool {
	var silent *silentError
	return errors.As(err, &silent)
}

// get sends a GET that is bounded by the request timeout.
func (c *Client) get(ctx context.Context, address, path string) (answer, error) {
	return c.send(ctx, http.MethodGet, address, path, c.timeout)
}

// post sends a POST that is bounded by the request timeout.
func (c *Client) post(ctx context.Context, address, path string) (answer, error) {
	return c.send(ctx, http.MethodPost, address, path, c.timeout)
}

// send sends a request without a body, reads the answer to its end, and notes whether the broker answers.
func (c *Client) send(ctx context.Context, method, address, path string, limit time.Duration) (answer, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	a, err := c.exchange(limited, method, address+path)
	switch {
	case err == nil:
		c.memory.answered(address)
		return a, nil
	case !isSilence(err):
		c.memory.answered(address)
		return answer{}, err
	case ctx.Err() != nil:
		// The caller's time ended, which says nothing about the broker.
		return answer{}, &silentError{words: "given up before it answered", err: errors.Join(ctx.Err(), err)}
	}
	c.memory.silent(address)
	return answer{}, err
}

func (c *Client) exchange(ctx context.Context, method, target string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, http.NoBody)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", "application/json, */*;q=0.5")
	// All operations used here are idempotent. An empty list tells the transport so, without sending the header: a POST
	// that meets a connection which the broker is just closing then goes out on another.
	req.Header["Idempotency-Key"] = []string{}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, c.silence(err)
	}
	body, err := readAll(resp)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return answer{}, err
	}
	return answer{status: resp.StatusCode, location: resp.Header.Get("Location"), body: body}, nil
}

// readAll reads a body to its end, so that the connection can be used again. An endless one is cut and refused.
func readAll(resp *http.Response) ([]byte, error) {
	var buf bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= maxAnswer {
		buf.Grow(int(n) + bytes.MinRead) // ReadFrom wants room for one read more, to see the end.
	}
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, &silentError{words: "the answer broke off", err: err}
	case n > maxAnswer:
		return nil, fmt.Errorf("the answer is larger than %d MiB: check that the address is the broker's management port",
			maxAnswer>>20)
	}
	return buf.Bytes(), nil
}

// silence translates why no answer came.
func (c *Client) silence(err error) error {
	s := &silentError{err: err, words: dialWords(err, c.timeout)}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		s.unsent = true
	}
	return s
}

// dialWords says in a few words why a connection or an answer did not come.
func dialWords(err error, timeout time.Duration) string {
	var (
		lookup  *net.DNSError
		network net.Error
		request *url.Error
	)
	switch {
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return "no such host"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF):
		return "it closed the connection without an answer"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to it"
	case errors.Is(err, context.Canceled):
		return "given up before it answered"
	case errors.As(err, &network) && network.Timeout():
		return fmt.Sprintf("no answer within %s", timeout)
	case lookup != nil:
		return "its name could not be resolved"
	case errors.As(err, &request):
		return excerpt(request.Err.Error(), longExcerpt)
	}
	return excerpt(err.Error(), longExcerpt)
}

// located puts a broker's address behind an error, unless it is the broker's name, which whoever asked knows.
func located(id exporting.BrokerID, address string, err error) error {
	if string(id) == address {
		return err
	}
	return fmt.Errorf("%w (%s)", err, address)
}

// excerpt is the beginning of foreign text, on one line and without anything that would disturb a terminal or a log.
func excerpt(text string, runes int) string {
	var b strings.Builder
	space, n := false, 0
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			space = n > 0
			continue
		case !unicode.IsPrint(r) || (r == utf8.RuneError && size == 1):
			r = '?'
		}
		if space {
			b.WriteByte(' ')
			n, space = n+1, false
		}
		if n >= runes {
			b.WriteString("...")
			break
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}
