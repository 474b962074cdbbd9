package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/testing/protocmp"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
)

// TestSlowWatchers proves that clients which do not read hold up nobody, cost no more the longer it lasts, and when they
// read again get the last status and every event without all that lay between. The statuses of 1,000 replicas are soon
// more than gRPC and the kernel take in advance.
func TestSlowWatchers(t *testing.T) {
	s := serverOver(t, exportingtest.New(10, 100))
	client := dialServer(t, s)
	slow := map[string]*watcher{
		"beside others":     watchBy(t, client),
		"by its connection": watchBy(t, dialServer(t, s)),
	}
	dialWatch(t, s) // and one by HTTP, which reads nothing to its end
	quick, quickHTTP := watchBy(t, client), readEvents(dialWatch(t, s))
	change := func() {
		_, err := client.Pause(t.Context(), &exportgatev1.PauseRequest{Hold: "backup"})
		if err == nil {
			quick.readUntil(t, func(e *exportgatev1.Event) bool { return e.GetKind() == exportgatev1.EventKind_EVENT_KIND_HOLD_SETTLED })
			_, err = client.Resume(t.Context(), &exportgatev1.ResumeRequest{Hold: "backup"})
		}
		if err != nil {
			t.Fatal(err)
		}
		quick.readUntil(t, func(e *exportgatev1.Event) bool { return e.GetKind() == exportgatev1.EventKind_EVENT_KIND_HOLD_ENDED })
	}
	const warm, rounds = 4, 10
	for range warm { // until all that is kept for those who do not read is full
		change()
	}
	before := inUse()
	for range rounds {
		change()
	}
	if grown := inUse() - before; grown > 4<<20 {
		t.Errorf("memory grew by %d bytes while some did not read", grown)
	}

	_, err := client.Pause(t.Context(), &exportgatev1.PauseRequest{Hold: "last"})
	if err != nil {
		t.Fatal(err)
	}
	quick.readUntil(t, lastSettled)
	if quick.read < 2*(warm+rounds) {
		t.Errorf("the one that reads got %d messages for %d changes", quick.read, 2*(warm+rounds))
	}
	awaitEvent(t, quickHTTP, quick.last.GetCursor())
	for name, w := range slow {
		w.readUntil(t, lastSettled)
		if w.read > rounds {
			t.Errorf("%s: the one that did not read got %d messages, want what was under way and the last", name, w.read)
		}
		if diff := cmp.Diff(quick.story(), w.story(), protocmp.Transform()); diff != "" {
			t.Errorf("%s: events (-of the one that reads +got):\n%s", name, diff)
		}
		if holds := w.last.GetStatus().GetHolds(); len(holds) != 1 || holds[0].GetId() != "last" {
			t.Errorf("%s: holds at the end are %v", name, holds)
		}
	}
}

// lastSettled reports whether an event is the end of the test.
func lastSettled(e *exportgatev1.Event) bool {
	return e.GetHold() == "last" && e.GetKind() == exportgatev1.EventKind_EVENT_KIND_HOLD_SETTLED
}

// dialServer connects to the gRPC door.
func dialServer(t *testing.T, s *Server) exportgatev1.ExportingServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(s.GRPCAddr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStaticStreamWindowSize(64<<10)) // else it grows with what comes, and so does what is taken in advance
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return exportgatev1.NewExportingServiceClient(conn)
}

// watcher watches by gRPC.
type watcher struct {
	stream grpc.ServerStreamingClient[exportgatev1.WatchStatusResponse]
	read   int // messages
	last   *exportgatev1.WatchStatusResponse
	events []*exportgatev1.Event // of all messages
}

// watchBy opens a stream, and returns when the server has begun to serve it.
func watchBy(t *testing.T, client exportgatev1.ExportingServiceClient) *watcher {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	stream, err := client.WatchStatus(ctx, &exportgatev1.WatchStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Header(); err != nil {
		t.Fatal(err)
	}
	return &watcher{stream: stream}
}

// readUntil reads up to the message with an event that is waited for.
func (w *watcher) readUntil(t *testing.T, is func(*exportgatev1.Event) bool) {
	t.Helper()
	for {
		response, err := w.stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		w.read, w.last, w.events = w.read+1, response, append(w.events, response.GetEvents()...)
		if slices.ContainsFunc(response.GetEvents(), is) {
			return
		}
	}
}

// story is the events up to the end of the test: what comes after it may be read or not.
func (w *watcher) story() []*exportgatev1.Event {
	return w.events[:slices.IndexFunc(w.events, lastSettled)+1]
}

// dialWatch asks for events at the HTTP door, and reads nothing.
func dialWatch(t *testing.T, s *Server) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.HTTPAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, watchRequest); err != nil {
		t.Fatal(err)
	}
	return conn
}

// readEvents reads events until the connection ends, and tells their ids.
func readEvents(conn net.Conn) <-chan string {
	ids := make(chan string, 1000) // more than there will be: it waits for nobody
	go func() {
		defer close(ids)
		for events := bufio.NewReader(conn); ; {
			id, err := nextEvent(events)
			if err != nil {
				return
			}
			ids <- id
		}
	}()
	return ids
}

// awaitEvent waits until an event is as late as a cursor.
func awaitEvent(t *testing.T, ids <-chan string, cursor string) {
	t.Helper()
	number := func(id string) int {
		_, text, _ := strings.Cut(id, ".")
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("cursor %q has no number", id)
		}
		return n
	}
	for late := time.After(patience); ; {
		select {
		case id, ok := <-ids:
			if !ok {
				t.Fatalf("the stream by HTTP ended before %q", cursor)
			}
			if number(id) >= number(cursor) {
				return
			}
		case <-late:
			t.Fatalf("there was no event %q by HTTP", cursor)
		}
	}
}
