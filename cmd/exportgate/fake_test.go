package main

import (
	"bytes"
	"context"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain is also the commands that 'exportgate hold' runs here.
func TestMain(m *testing.M) {
	if part := os.Getenv("EXPORTGATE_TEST_COMMAND"); part != "" {
		os.Exit(command(part, os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// fake is a server whose answers the test decides. A call that is nil is not implemented.
type fake struct {
	exportgatev1.UnsafeExportingServiceServer

	pause     func(context.Context, *exportgatev1.PauseRequest) (*exportgatev1.PauseResponse, error)
	resume    func(context.Context, *exportgatev1.ResumeRequest) (*exportgatev1.ResumeResponse, error)
	getStatus func(context.Context) (*exportgatev1.GetStatusResponse, error)
	watch     func(cursor string, stream watchStream) error
}

type watchStream = grpc.ServerStreamingServer[exportgatev1.WatchStatusResponse]

var errNoAnswer = status.Error(codes.Unimplemented, "the test gives no answer")

func (f *fake) Pause(ctx context.Context, r *exportgatev1.PauseRequest) (*exportgatev1.PauseResponse, error) {
	if f.pause == nil {
		return nil, errNoAnswer
	}
	return f.pause(ctx, r)
}

func (f *fake) Resume(ctx context.Context, r *exportgatev1.ResumeRequest) (*exportgatev1.ResumeResponse, error) {
	if f.resume == nil {
		return nil, errNoAnswer
	}
	return f.resume(ctx, r)
}

func (f *fake) GetStatus(
	ctx context.Context, _ *exportgatev1.GetStatusRequest,
) (*exportgatev1.GetStatusResponse, error) {
	if f.getStatus == nil {
		return nil, errNoAnswer
	}
	return f.getStatus(ctx)
}

func (f *fake) WatchStatus(r *exportgatev1.WatchStatusRequest, stream watchStream) error {
	if f.watch == nil {
		return errNoAnswer
	}
	return f.watch(r.GetCursor(), stream)
}

// showing answers every GetStatus with one status.
func showing(s *exportgatev1.Status) *fake {
	return &fake{getStatus: func(context.Context) (*exportgatev1.GetStatusResponse, error) {
		return &exportgatev1.GetStatusResponse{Status: s}, nil
	}}
}

// serve serves the fake on a real port until the test ends, and returns its address.
func serve(t *testing.T, f *fake, options ...grpc.ServerOption) string {
	t.Helper()
	listener := listen(t)
	server := grpc.NewServer(options...)
	exportgatev1.RegisterExportingServiceServer(server, f)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// result is what a command line came to.
type result struct {
	code           int
	stdout, stderr string
}

// run runs a command line with both outputs piped.
func run(t *testing.T, env []string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	con := console{env: env, stdout: screen{Writer: &stdout}, stderr: screen{Writer: &stderr}, clock: anHourLater}
	code := execute(t.Context(), newRootCommand(con), args)
	return result{code, stdout.String(), stderr.String()}
}

// runOnTerminal runs a command line with both outputs on a terminal.
func runOnTerminal(t *testing.T, columns int, env []string, args ...string) result {
	t.Helper()
	stdout, stderr := &terminal{columns: columns}, &terminal{columns: columns}
	con := console{env: env, stdout: stdout.screen(), stderr: stderr.screen(), clock: anHourLater, interactive: true}
	code := execute(t.Context(), newRootCommand(con), args)
	return result{code, stdout.String(), stderr.String()}
}

// terminal remembers what was written to it.
type terminal struct {
	mu      sync.Mutex
	written bytes.Buffer
	columns int
	lines   int
}

func (w *terminal) screen() screen { return screen{Writer: w, columns: w.width, rows: w.height} }

func (w *terminal) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written.Write(p)
}

func (w *terminal) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written.String()
}

// take returns what was written since it was last asked, with the escape sequences as words.
func (w *terminal) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	words := strings.NewReplacer(enterScreen, "<enter>", leaveScreen, "<leave>", home, "<home>", clearLine+"\r\n", "\n",
		clearLine+clearBelow, "<clear>", "\x1b", "<escape>")
	text := words.Replace(w.written.String())
	w.written.Reset()
	return text
}

func (w *terminal) width() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.columns
}

func (w *terminal) height() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lines
}

func (w *terminal) reheight(lines int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = lines
}

func (w *terminal) resize(columns int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.columns = columns
}

// golden compares with a file in testdata, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// statusOf is a healthy cluster of three brokers and so many partitions, three replicas each, in one phase.
func statusOf(partitions int, phase exportgatev1.Phase) *exportgatev1.Status {
	s := &exportgatev1.Status{
		Target: phase, Observed: phase, Settled: true,
		Cluster: &exportgatev1.Cluster{
			Partitions: int32(partitions), ReplicationFactor: 3, Versions: []string{"8.9.3"}, Source: "cluster endpoint",
		},
	}
	for b := range 3 {
		s.Cluster.Brokers = append(s.Cluster.Brokers, &exportgatev1.Broker{Id: string(rune('0' + b)), Version: "8.9.3"})
	}
	for p := range partitions {
		partition := &exportgatev1.PartitionStatus{Id: int32(p + 1), ExpectedReplicas: 3}
		for r := range 3 {
			role := exportgatev1.Role_ROLE_FOLLOWER
			if r == 0 {
				role = exportgatev1.Role_ROLE_LEADER
			}
			partition.Replicas = append(partition.Replicas, &exportgatev1.Replica{
				Broker: s.GetCluster().GetBrokers()[(p+r)%3].GetId(), Role: role, Phase: phase,
				Health: exportgatev1.Health_HEALTH_HEALTHY,
			})
		}
		s.Partitions = append(s.Partitions, partition)
	}
	if phase != exportgatev1.Phase_PHASE_EXPORTING {
		s.Holds = []*exportgatev1.Hold{{
			Id: "operator", Uid: "5b1e", Phase: phase, Owner: "127.0.0.1:40000 grpc-go/1.85.0",
			CreateTime: noon, SettleTime: noon,
		}}
	}
	return s
}

var noon = timestamppb.New(time.Date(2026, time.November, 7, 12, 0, 0, 123_000_000, time.UTC))

// anHourLater is when the tests look.
func anHourLater() time.Time { return noon.AsTime().Add(time.Hour) }

// after is a time so long after noon.
func after(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(noon.AsTime().Add(d)) }
