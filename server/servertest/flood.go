package servertest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

// FloodVariable is the environment variable with which a test starts its own program again as a client that opens connections
// and leaves them as they are: so many, to the address that is its argument.
const FloodVariable = "EXPORTGATE_TEST_FLOOD"

// RunFlood is what TestMain calls before anything else. In a process that was started with [FloodVariable] it opens up to one
// connection a millisecond, some silent, some with the beginning of what is to come, prints how many it has opened, and
// keeps them until its standard input ends. It returns the status to exit with, and true.
func RunFlood() (status int, ok bool) {
	many, err := strconv.Atoi(os.Getenv(FloodVariable))
	if err != nil {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	conns, err := flood(ctx, many, os.Args[len(os.Args)-1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	_, _ = fmt.Fprintln(os.Stdout, len(conns)) // Whoever reads it has an end of its own.
	_, _ = io.Copy(io.Discard, os.Stdin)       // However it ends, it ends.
	for _, c := range conns {
		_ = c.Close()
	}
	return 0, true
}

// flood opens connections until there are so many, or one cannot be opened.
func flood(ctx context.Context, many int, address string) ([]net.Conn, error) {
	beginnings := []string{"", "\x16", "\x16\x03\x01\x02\x00", "GET", "PRI * HTTP/2.0\r\n\r\nSM"}
	conns := make([]net.Conn, 0, many)
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for i := range many {
		<-pace.C
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return conns, fmt.Errorf("connection %d: %w", i, err)
		}
		_, _ = io.WriteString(c, beginnings[i%len(beginnings)]) // It may be hung up on already.
		conns = append(conns, c)
	}
	return conns, nil
}
