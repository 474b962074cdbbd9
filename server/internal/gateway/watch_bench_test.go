package gateway

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/fullstorydev/grpchan/inprocgrpc"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// BenchmarkWatchOverHTTP measures the memory of open streams of events, each on a connection of its own, and beside it
// that of the least that net/http can do: a handler that has sent as many bytes and waits for its client to leave. Both
// have their clients in the process, a socket and nothing more each.
func BenchmarkWatchOverHTTP(b *testing.B) {
	const watchers = 1000
	channel := new(inprocgrpc.Channel)
	exportgatev1.RegisterExportingServiceServer(channel, &fake{stream: func(stream watchStream) error {
		<-stream.Context().Done()
		return nil
	}})
	watch := openDoor(b, nil, Options{Conn: channel}).addr
	bare := serveBare(b)
	var watchBytes, bareBytes float64
	for b.Loop() {
		bareBytes += memoryOf(b, bare, watchers)
		watchBytes += memoryOf(b, watch, watchers)
	}
	b.ReportMetric(watchBytes/float64(b.N), "watch-B/stream")
	b.ReportMetric(bareBytes/float64(b.N), "bare-B/stream")
	b.ReportMetric(watchBytes/bareBytes, "watch/bare")
}

// serveBare runs a server whose handler sends an event and then only waits.
func serveBare(tb testing.TB) string {
	tb.Helper()
	message, err := newMessages().parts(statusAt("first"))
	if err != nil {
		tb.Fatal(err)
	}
	event := slices.Concat(events{}.response("first", message...)...)
	server := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", mediaEvents)
		if _, err := w.Write(event); err != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		<-r.Context().Done()
	}), ServerOptions{Timeout: time.Minute, Logger: discard()})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	tb.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return listener.Addr().String()
}

// memoryOf opens streams until each has sent its first event, and returns the bytes that one of them takes.
func memoryOf(tb testing.TB, addr string, streams int) float64 {
	tb.Helper()
	goroutines, before := runtime.NumGoroutine(), inUse()
	conns := make([]net.Conn, streams)
	for i := range conns {
		conns[i] = openStream(tb, addr)
	}
	after := inUse()
	for _, c := range conns {
		_ = c.Close()
	}
	deadline := time.Now().Add(time.Minute)
	for runtime.NumGoroutine() > goroutines { // what still ends would be in the next measurement
		if time.Now().After(deadline) {
			tb.Fatalf("%d goroutines are left of %d streams", runtime.NumGoroutine()-goroutines, streams)
		}
		<-time.After(time.Millisecond)
	}
	return float64(after-before) / float64(streams)
}

// openStream asks for events and reads the first.
func openStream(tb testing.TB, addr string) net.Conn {
	tb.Helper()
	c, err := new(net.Dialer).DialContext(tb.Context(), "tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	_, err = io.WriteString(c, "GET "+pathWatch+" HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
	var read []byte
	for part := make([]byte, 4096); err == nil && !bytes.Contains(read, []byte("\n\n")); {
		var n int
		n, err = c.Read(part)
		read = append(read, part[:n]...)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// inUse is what the heap and the stacks take after everything that can be freed is.
func inUse() int64 {
	var m runtime.MemStats
	for range 3 { // what the first frees, pools and finalizers hold on to for another round or two
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
