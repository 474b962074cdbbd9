package servertest_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// proxy is a server in a process of its own.
type proxy struct {
	command *exec.Cmd
	stdin   io.Closer
	said    servertest.Said // on its standard error
	ready   chan struct{}   // closed when it has told its addresses
	exited  chan struct{}   // closed when it has ended
	err     error           // how, then

	mu        sync.Mutex
	head      []byte // of its standard output, until it is ready
	addresses map[servertest.Door]string
	routes    []servertest.Route
}

// launch starts a server and does not wait for it. It ends with the test.
func launch(t *testing.T, settings map[string]string) *proxy {
	t.Helper()
	var flags []string
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		flags = append(flags, "--"+key+"="+settings[key])
	}
	p := &proxy{
		command: exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], flags...),
		ready:   make(chan struct{}), exited: make(chan struct{}),
	}
	// The race detector would wait for a second at the end.
	p.command.Env = append(os.Environ(), servertest.ChildVariable+"=1", "GORACE=atexit_sleep_ms=0")
	p.command.Stdout, p.command.Stderr = p, io.MultiWriter(&p.said, t.Output())
	stdin, err := p.command.StdinPipe()
	if err == nil {
		err = p.command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	go func() {
		defer close(p.exited)
		p.err = p.command.Wait()
	}()
	t.Cleanup(p.end)
	return p
}

// start starts a server and waits until it serves.
func start(t *testing.T, settings map[string]string) *proxy {
	t.Helper()
	p := launch(t, settings)
	if !p.serves(t) {
		t.Fatalf("the server ended: %v\n%s", p.err, &p.said)
	}
	return p
}

// serves waits until the server serves, or has ended, and reports which.
func (p *proxy) serves(t *testing.T) bool {
	t.Helper()
	select {
	case <-p.ready:
		return true
	case <-p.exited:
	case <-time.After(time.Minute):
		t.Fatalf("the server neither serves nor ends\n%s", &p.said)
	}
	return false
}

// Write takes what the server prints: its addresses.
func (p *proxy) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.head = append(p.head, text...)
	if fields := strings.Fields(string(p.head)); p.addresses == nil && len(fields) == 2 && bytes.HasSuffix(p.head, []byte("\n")) {
		p.addresses = map[servertest.Door]string{servertest.HTTP: fields[0], servertest.GRPC: fields[1]}
		close(p.ready)
	}
	return len(text), nil
}

func (p *proxy) address(door servertest.Door) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addresses[door]
}

// route opens a route to the server, which ends with it.
func (p *proxy) route(t *testing.T, door servertest.Door) servertest.Route {
	t.Helper()
	route, err := servertest.Dial(door, p.address(door))
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.routes = append(p.routes, route)
	return route
}

// kill kills the server, if it lives still. It does not wait.
func (p *proxy) kill() { _ = p.command.Process.Kill() } // It fails if the server has ended.

// end kills the server, and waits until nothing of it is left.
func (p *proxy) end() {
	p.kill()
	<-p.exited
	_ = p.stdin.Close() // Nothing was to be written.
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, route := range p.routes {
		route.Close()
	}
	p.routes = nil
}

// startCluster starts a cluster for servers in other processes. It has no server of its own.
func startCluster(t *testing.T, o embedded.Options) *servertest.Harness {
	t.Helper()
	o.Dir, o.Logger = t.TempDir(), slog.New(slog.NewTextHandler(t.Output(), nil)).With("of", "cluster")
	if o.WriteInterval == 0 {
		o.WriteInterval = 100 * time.Millisecond
	}
	cluster, err := embedded.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Errorf("the cluster does not close: %v", err)
		}
	})
	return &servertest.Harness{Cluster: cluster}
}
