//go:build unix

package server

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/gateway"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// message is something that is sent to all who watch, and the event that a handler without a service writes for it.
type message struct {
	response *exportgatev1.WatchStatusResponse
	event    []byte
}

// newMessage has a status of 9 or 9,000 replicas, as a cluster that is paused shows them.
func newMessage(tb testing.TB, replicas, number int) message {
	tb.Helper()
	status := &exportgatev1.Status{
		Target: exportgatev1.Phase_PHASE_PAUSED, Observed: exportgatev1.Phase_PHASE_PAUSED, Settled: true,
		Cluster: &exportgatev1.Cluster{Partitions: int32(replicas / 3), ReplicationFactor: 3},
	}
	at := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	for p := range replicas / 3 {
		partition := &exportgatev1.PartitionStatus{Id: int32(p + 1)}
		for r := range 3 {
			processed, exported, lag := int64(14553+p), int64(14500+p), int64(53)
			replica := &exportgatev1.Replica{
				Broker: strconv.Itoa((p + r) % 100), Role: exportgatev1.Role_ROLE_FOLLOWER, Phase: exportgatev1.Phase_PHASE_PAUSED,
				ProcessedPosition: &processed, ExportedPosition: &exported, Lag: &lag,
				Health: exportgatev1.Health_HEALTH_HEALTHY, ObservedTime: timestamppb.New(at.Add(time.Duration(p) * time.Microsecond)),
			}
			if r == 0 {
				replica.Role = exportgatev1.Role_ROLE_LEADER
			}
			partition.Replicas = append(partition.Replicas, replica)
		}
		status.Partitions = append(status.Partitions, partition)
	}
	m := message{response: &exportgatev1.WatchStatusResponse{
		Status: status, Cursor: cursorOf(number),
		Events: []*exportgatev1.Event{{Time: timestamppb.New(at), Message: "hold backup-1 (PAUSED) is settled", Hold: "backup-1"}},
	}}
	body, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(m.response)
	if err != nil {
		tb.Fatal(err)
	}
	m.event = bytes.Join([][]byte{[]byte("id: " + m.response.GetCursor() + "\nevent: status\ndata: "), body, []byte("\n\n")}, nil)
	return m
}

func cursorOf(number int) string { return "bench." + strconv.Itoa(number) }

// newsroom is a service with nothing behind it, and a handler with nothing before it. Both send what the benchmark
// publishes, each time to all who watch.
type newsroom struct {
	exportgatev1.UnimplementedExportingServiceServer

	mu   sync.Mutex
	last message
	next chan struct{} // closed when there is another one
}

func (n *newsroom) publish(m message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.next)
	n.last, n.next = m, make(chan struct{})
}

func (n *newsroom) now() (message, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last, n.next
}

// each sends every message for as long as the client stays.
func (n *newsroom) each(ctx context.Context, send func(message) error) error {
	for {
		m, next := n.now()
		if err := send(m); err != nil {
			return err
		}
		select {
		case <-next:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// WatchStatus implements ExportingService.
func (n *newsroom) WatchStatus(_ *exportgatev1.WatchStatusRequest,
	stream grpc.ServerStreamingServer[exportgatev1.WatchStatusResponse],
) error {
	return n.each(stream.Context(), func(m message) error { return stream.Send(m.response) })
}

// ServeHTTP is the least that net/http can do.
func (n *newsroom) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	_ = n.each(r.Context(), func(m message) error {
		if _, err := w.Write(m.event); err != nil {
			return err
		}
		return control.Flush()
	})
}

// open serves it at a door of the server, or by the bare handler, and returns where.
func (n *newsroom) open(tb testing.TB, door string) string {
	tb.Helper()
	if door == "bare" {
		bare := httptest.NewServer(n)
		tb.Cleanup(func() {
			bare.CloseClientConnections()
			bare.Close()
		})
		return bare.Listener.Addr().String()
	}
	cfg := benchConfig(tb)
	s := &Server{shutdown: time.Second, failed: make(chan error, 5), known: func() *reconcile.Status { return nil }, open: map[string]func() int{}}
	s.draining, s.drain = context.WithCancelCause(tb.Context())
	tb.Cleanup(func() { _ = s.Close() })
	if err := s.surround(tb.Context(), cfg, slog.New(slog.DiscardHandler)); err != nil {
		tb.Fatal(err)
	}
	access, err := s.openAccess(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	s.lifecycle.onStop("doors", s.closeDoors)
	if door == "grpc" {
		if err := s.openGRPC(tb.Context(), cfg, n, access.chain); err != nil {
			tb.Fatal(err)
		}
		return s.GRPCAddr().String()
	}
	if err := s.openHTTP(tb.Context(), cfg, n, access.chain, func() gateway.Info { return gateway.Info{} }); err != nil {
		tb.Fatal(err)
	}
	return s.HTTPAddr().String()
}

// cost is what something cost this process.
type cost struct {
	cpu   time.Duration
	bytes uint64 // that were allocated, whether they were freed since or not
}

// costOf does something, from a clean heap.
func costOf(tb testing.TB, do func()) cost {
	tb.Helper()
	runtime.GC()
	bytes, cpu := allocated(), cpuTime(tb)
	do()
	return cost{cpuTime(tb) - cpu, allocated() - bytes}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// cpuTime is the processor time of this process, the kernel's for it included.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
