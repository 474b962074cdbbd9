package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// Those who watch are in a child process, so that what clients cost is not counted as the server's. They decode nothing of
// a status, and tell when all of them have seen one.

// herdEnv makes the test binary watch a server instead of running tests.
const herdEnv = "EXPORTGATE_BENCH_HERD"

// herdConns is over how many connections a herd watches by gRPC. By HTTP each has its own.
const herdConns = 10

// herd is many who watch one server.
type herd struct {
	Door     string // "grpc"; any other is for HTTP
	Address  string
	Watchers int

	seen  *bufio.Scanner
	leave func() // ends the child, and may be called again
	kill  func()
}

// startHerd starts a herd that leaves when the test ends.
func startHerd(tb testing.TB, h herd) *herd {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	what, err := json.Marshal(h)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, kill := context.WithCancel(tb.Context())
	tb.Cleanup(kill)
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), herdEnv+"="+string(what))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // Its end is the child's.
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	h.seen, h.kill = bufio.NewScanner(stdout), kill
	h.leave = sync.OnceFunc(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	tb.Cleanup(h.leave)
	return &h
}

// patience ends a wait that would not end. It is no measure of speed.
const patience = 2 * time.Minute

// await waits until every watcher has seen a message, the same for all of them, whose cursor ends so.
func (h *herd) await(tb testing.TB, cursor string) {
	tb.Helper()
	late := time.AfterFunc(patience, h.kill)
	defer late.Stop()
	for h.seen.Scan() {
		if strings.HasSuffix(h.seen.Text(), cursor) {
			return
		}
	}
	tb.Fatalf("the herd ended before it saw %q: %v", cursor, h.seen.Err())
}

// serveHerd is the child process: it watches until its input ends.
func serveHerd(what string) error {
	var h herd
	if err := json.Unmarshal([]byte(what), &h); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() { // It ends with the process.
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		cancel(io.EOF)
	}()
	open := watchHTTP
	if h.Door == "grpc" {
		open = watchGRPC
	}
	cursors := make(chan string, h.Watchers)
	if err := open(ctx, h, func(next func() (string, error)) {
		for {
			cursor, err := next()
			if err != nil {
				cancel(fmt.Errorf("a watcher's stream ended: %w", err))
				return
			}
			cursors <- cursor
		}
	}); err != nil {
		return err
	}
	for seen := map[string]int{}; ; {
		select {
		case cursor := <-cursors:
			if seen[cursor]++; seen[cursor] == h.Watchers {
				fmt.Println(cursor)
				delete(seen, cursor)
			}
		case <-ctx.Done():
			if err := context.Cause(ctx); !errors.Is(err, io.EOF) {
				return err
			}
			return nil
		}
	}
}

// watchGRPC opens the streams of a herd, and lets each be followed.
func watchGRPC(ctx context.Context, h herd, follow func(next func() (string, error))) error {
	conns := make([]*grpc.ClientConn, herdConns)
	for i := range conns {
		var err error
		if conns[i], err = grpc.NewClient(h.Address, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(cursorCodec{encoding.GetCodecV2(grpcproto.Name)}),
				grpc.MaxCallRecvMsgSize(64<<20))); err != nil {
			return err
		}
	}
	for i := range h.Watchers {
		stream, err := exportgatev1.NewExportingServiceClient(conns[i%herdConns]).
			WatchStatus(ctx, &exportgatev1.WatchStatusRequest{})
		if err != nil {
			return err
		}
		go follow(func() (string, error) {
			response, err := stream.Recv()
			return response.GetCursor(), err
		})
	}
	return nil
}

// cursorCodec reads nothing of a response but the cursor: a thousand clients that decode a large status would be all that
// is measured.
type cursorCodec struct{ encoding.CodecV2 }

// Unmarshal walks over the fields.
func (c cursorCodec) Unmarshal(data mem.BufferSlice, v any) error {
	response, ok := v.(*exportgatev1.WatchStatusResponse)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	buffer := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buffer.Free()
	const fieldCursor = 4
	for b := buffer.ReadOnlyData(); len(b) > 0; {
		number, kind, tag := protowire.ConsumeTag(b)
		if tag < 0 {
			return protowire.ParseError(tag)
		}
		value := protowire.ConsumeFieldValue(number, kind, b[tag:])
		if value < 0 {
			return protowire.ParseError(value)
		}
		if number == fieldCursor {
			cursor, _ := protowire.ConsumeString(b[tag:])
			response.Cursor = strings.Clone(cursor)
		}
		b = b[tag+value:]
	}
	return nil
}

// watchRequest asks for events.
const watchRequest = "GET /actuator/exporting/watch HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"

// watchHTTP opens a connection for each watcher, and lets each be followed.
func watchHTTP(ctx context.Context, h herd, follow func(next func() (string, error))) error {
	for range h.Watchers {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", h.Address)
		if err != nil {
			return err
		}
		if _, err = io.WriteString(conn, watchRequest); err != nil {
			return err
		}
		events := bufio.NewReaderSize(conn, 16<<10)
		go follow(func() (string, error) { return nextEvent(events) })
	}
	return nil
}

// nextEvent reads up to the end of an event with an id, and returns the id. Chunks may divide it anywhere but in the short
// lines at its begin, which are written at once.
func nextEvent(events *bufio.Reader) (id string, err error) {
	for {
		line, err := events.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
		switch {
		case len(line) == 1 && id != "":
			return id, nil
		case strings.HasPrefix(string(line[:min(4, len(line))]), "id: "):
			id = strings.TrimSpace(string(line[4:]))
		case strings.HasPrefix(string(line[:min(5, len(line))]), "HTTP/") && !strings.Contains(string(line), "200"):
			return "", fmt.Errorf("the answer is %s", line)
		}
	}
}
