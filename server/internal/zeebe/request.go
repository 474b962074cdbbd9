package zeebe

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
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

	shortExcerpt = 80  // runes of a body that is not understood, or of a name
	longExcerpt  = 240 // runes of a message that a broker wrote for people
)

// answer is what a broker said, whole.
type answer struct {
	status   int
	location string // of a redirect
	body     []byte
}

// silentError is that nobody answered, in words that people know.
type silentError struct {
	words string
	err   error
	// unsent says that the request never left, givenUp that it was not the broker who was late.
	unsent, givenUp bool
}

func (e *silentError) Error() string { return e.words }

func (e *silentError) Unwrap() error { return e.err }

// isSilence reports whether an error means that the broker did not answer at all.
func isSilence(err error) bool {
	var silent *silentError
	return errors.As(err, &silent)
}

// acceptJSON is what the operations answer; an error may be anything.
const acceptJSON = "application/json, */*;q=0.5"

// send sends a request, reads the answer to its end, and notes whether the broker answers.
func (c *Client) send(ctx context.Context, r request) (answer, error) {
	limited, cancel := context.WithTimeout(ctx, cmp.Or(r.limit, c.timeout))
	defer cancel()
	a, err := c.exchange(limited, r)
	switch {
	case err == nil:
		c.memory.answered(r.address)
		return a, nil
	case !isSilence(err):
		c.memory.answered(r.address)
		return answer{}, err
	case ctx.Err() != nil:
		// The caller's time ended, which says nothing about the broker.
		return answer{}, &silentError{words: "given up before it answered", err: errors.Join(ctx.Err(), err), givenUp: true}
	}
	c.memory.silent(r.address)
	return answer{}, err
}

func (c *Client) exchange(ctx context.Context, r request) (answer, error) {
	resp, err := c.do(ctx, r, acceptJSON)
	if err != nil {
		return answer{}, err
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
	var (
		op        *net.OpError
		untrusted *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &untrusted):
		s.words += " (check zeebe.tls.ca, and the name that it is reached by)"
		s.unsent = true
	case isNoTLS(err), errors.As(err, &op) && op.Op == "dial":
		s.unsent = true
	case op != nil && op.Op == opAlert:
		s.words += " (check zeebe.tls.certificate)"
	}
	return s
}

// opAlert is how crypto/tls calls it in a [net.OpError] that the other end wants no connection.
const opAlert = "remote error"

// isNoTLS reports whether the other end speaks something else than TLS.
func isNoTLS(err error) bool {
	var header tls.RecordHeaderError
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &header)
}

// dialWords says in a few words why a connection or an answer did not come.
func dialWords(err error, timeout time.Duration) string {
	var (
		lookup    *net.DNSError
		network   net.Error
		request   *url.Error
		untrusted *tls.CertificateVerificationError
		op        *net.OpError
	)
	switch {
	case errors.As(err, &untrusted):
		return excerpt(fmt.Sprintf("its certificate is not trusted: %v", untrusted.Err), longExcerpt)
	case isNoTLS(err):
		return "it does not speak TLS: write http:// if that is right"
	case errors.As(err, &op) && op.Op == opAlert:
		return excerpt(fmt.Sprintf("it refused the connection (%v): does it want a certificate?", op.Err), longExcerpt)
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
