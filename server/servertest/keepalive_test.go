package servertest_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/servertest"
)

// A client that pings all the time is sent away with the reason, so that it can be put right.
func TestTooManyPings(t *testing.T) {
	t.Parallel()
	h := servertest.Start(t, servertest.Options{})
	var dialer net.Dialer
	c, err := dialer.DialContext(t.Context(), "tcp", h.Server.GRPCAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	// No client that keeps the rules can be made to do this: it is HTTP/2 by hand. A frame is a length of three bytes, a
	// type, flags, a stream and the payload (RFC 9113, section 4.1).
	settings := []byte{0, 0, 0, 4, 0, 0, 0, 0, 0}
	ping := append([]byte{0, 0, 8, 6, 0, 0, 0, 0, 0}, "exporter"...)
	pings := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), settings...)
	if _, err := c.Write(append(pings, bytes.Repeat(ping, 10)...)); err != nil {
		t.Fatal(err)
	}
	if reason, err := goAway(c); err != nil || reason != "too_many_pings" {
		t.Errorf("the client is sent away with %q, %v", reason, err)
	}
}

// goAway reads frames up to the one that ends the connection, and returns its reason.
func goAway(r io.Reader) (string, error) {
	const kindGoAway, most = 7, 1 << 14
	for {
		var header [9]byte
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return "", err
		}
		length := binary.BigEndian.Uint32(append([]byte{0}, header[:3]...))
		if length > most {
			return "", errors.New("a frame is too large")
		}
		payload := make([]byte, length)
		if _, err := io.ReadFull(r, payload); err != nil {
			return "", err
		}
		if header[3] == kindGoAway && length >= 8 { // the last stream and the code
			return string(payload[8:]), nil
		}
	}
}
