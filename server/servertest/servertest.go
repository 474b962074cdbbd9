// Package servertest runs a whole Exportgate over an embedded cluster, for tests and benchmarks that come through the
// doors as callers do. The configuration is loaded as the program loads it, the doors are real sockets, and what a
// caller was told can be compared with what the replicas truly do.
//
// It must not know how the server is built: it has the configuration, the two doors and the cluster's brokers.
package servertest

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/exportgate/exportgate/server"
	"github.com/exportgate/exportgate/server/internal/embedded"
)

// Discovery is how the server finds the brokers.
type Discovery uint8

// The ways to find brokers.
const (
	// ByID lists them in zeebe.brokers with their ids. It is the zero value.
	ByID Discovery = iota
	// ByURL lists them in zeebe.brokers without ids, so that each goes by its address.
	ByURL
	// ByGateway asks the cluster's gateway, and needs [embedded.Options.DistinctHosts].
	ByGateway
)

// Options are what a harness runs. The zero value is three brokers of version 8.9 with three partitions of three
// replicas, found by id.
type Options struct {
	// Cluster is the embedded cluster. Dir is a temporary directory if empty.
	Cluster embedded.Options
	// Discovery is how the server finds it.
	Discovery Discovery
	// Settings by key, instead of those of the harness: any free ports, and intervals that are short enough for a test. An
	// empty value takes a setting back to the server's default.
	Settings map[string]string
}

// Harness is a running server, and the cluster that it drives.
type Harness struct {
	Cluster *embedded.Cluster
	Server  *server.Server

	log      *slog.Logger
	settings map[string]string
	cancel   context.CancelFunc
	ended    chan struct{} // closed when Run has returned err
	err      error
	close    func()

	mu     sync.Mutex
	routes map[Door]Route
}

// Start starts a cluster and a server over it. Both end with the test, or at [Harness.Close].
func Start(tb testing.TB, o Options) *Harness {
	tb.Helper()
	log := slog.New(slog.NewTextHandler(tb.Output(), nil))
	if o.Cluster.Dir == "" {
		o.Cluster.Dir = tb.TempDir()
	}
	o.Cluster.Logger = log.With("of", "cluster")
	cluster, err := embedded.Start(tb.Context(), o.Cluster)
	if err != nil {
		tb.Fatal(err)
	}
	closeCluster := sync.OnceFunc(func() {
		if err := cluster.Close(); err != nil {
			tb.Errorf("the cluster does not close: %v", err)
		}
	})
	tb.Cleanup(closeCluster)
	h := &Harness{Cluster: cluster, log: log.With("of", "server"), settings: Settings(tb, cluster, o)}
	h.serve(tb)
	h.close = sync.OnceFunc(func() {
		h.hangUp()
		if err := h.Stop(); err != nil {
			tb.Errorf("the server does not end well: %v", err)
		}
		closeCluster()
	})
	tb.Cleanup(h.close)
	return h
}

// serve starts a server.
func (h *Harness) serve(tb testing.TB) {
	tb.Helper()
	s, err := server.New(tb.Context(), Load(tb, h.settings), h.log)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	ended := make(chan struct{})
	h.Server, h.cancel, h.ended, h.routes = s, cancel, ended, map[Door]Route{}
	go func() {
		defer close(ended)
		h.err = s.Run(ctx)
	}()
}

// Restart ends the server, if it has not ended, and starts another one over the same cluster, with the same settings and so
// with the same ledger. Ports are new, and so are the routes. Nobody may call meanwhile.
func (h *Harness) Restart(tb testing.TB) {
	tb.Helper()
	h.hangUp()
	if err := h.Stop(); err != nil {
		tb.Fatalf("the server does not end well: %v", err)
	}
	h.serve(tb)
}

// hangUp closes the routes.
func (h *Harness) hangUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, route := range h.routes {
		route.Close()
	}
}

// Settings are the settings of a server over a cluster, by key, as [Start] makes them of its options.
func Settings(tb testing.TB, cluster *embedded.Cluster, o Options) map[string]string {
	tb.Helper()
	settings := map[string]string{
		"server.port":                  "0",
		"grpc.port":                    "0",
		"server.shutdown-timeout":      "20s",
		"zeebe.request-timeout":        "1s",
		"exporting.timeout":            "20s",
		"exporting.confirm-interval":   "50ms",
		"exporting.reconcile-interval": "200ms",
		"exporting.drain":              "500ms",
		"store.path":                   filepath.Join(tb.TempDir(), "exportgate.db"),
	}
	switch o.Discovery {
	case ByID, ByURL:
		var brokers []string
		for id, address := range cluster.Addresses() {
			if o.Discovery == ByID {
				address = fmt.Sprintf("%d=%s", id, address)
			}
			brokers = append(brokers, address)
		}
		settings["zeebe.brokers"] = strings.Join(brokers, ",")
	case ByGateway:
		settings["zeebe.gateway"] = gateway(cluster)
		settings["zeebe.management-url"] = template(tb, cluster)
	}
	maps.Copy(settings, o.Settings)
	return settings
}

// template is zeebe.management-url for a cluster whose brokers differ in nothing but their host.
func template(tb testing.TB, cluster *embedded.Cluster) string {
	tb.Helper()
	broker, err := url.Parse(cluster.Addresses()[0])
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprintf("%s://{host}:%s%s", broker.Scheme, broker.Port(), broker.Path)
}

// gateway is zeebe.gateway for a cluster.
func gateway(cluster *embedded.Cluster) string {
	if strings.HasPrefix(cluster.Addresses()[0], "https:") {
		return "https://" + cluster.Gateway()
	}
	return cluster.Gateway()
}

// Load loads a configuration from settings, as the program does from its flags.
func Load(tb testing.TB, settings map[string]string) *server.Config {
	tb.Helper()
	flags := pflag.NewFlagSet(tb.Name(), pflag.ContinueOnError)
	server.RegisterFlags(flags)
	for key, value := range settings {
		if err := flags.Set(key, value); err != nil {
			tb.Fatalf("setting %s: %v", key, err)
		}
	}
	config, err := server.Load(server.LoadOptions{Flags: flags})
	if err != nil {
		tb.Fatal(err)
	}
	return config
}

// Stop ends the server as a signal would, waits until it has ended, and returns how. It may be called again.
func (h *Harness) Stop() error {
	h.cancel()
	<-h.ended
	return h.err
}

// Close ends the server and its cluster now, not only with the test.
func (h *Harness) Close() { h.close() }

// Route is the way to the service through a door. It is kept for the harness's life.
func (h *Harness) Route(tb testing.TB, door Door) Route {
	tb.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	route, ok := h.routes[door]
	if !ok {
		var err error
		if route, err = Dial(door, address(h.Server, door)); err != nil {
			tb.Fatal(err)
		}
		h.routes[door] = route
	}
	return route
}

// AllIn reports whether every replica truly is in a phase, whatever anybody says of it.
func (h *Harness) AllIn(phase embedded.Phase) bool { return len(h.Astray(phase)) == 0 }

// Astray lists the replicas that are truly not in a phase.
func (h *Harness) Astray(phase embedded.Phase) []embedded.Replica {
	var astray []embedded.Replica
	for _, r := range h.Cluster.Replicas() {
		if r.Phase != phase {
			astray = append(astray, r)
		}
	}
	return astray
}

// patience is how long [Await] waits. It is no measure of speed, only the end of a test that will not pass.
const patience = time.Minute

// Await waits until a condition holds. It fails the test if that takes too long.
func Await(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !condition() {
		select {
		case <-poll.C:
		case <-ctx.Done():
			tb.Fatalf("never came true: %s", what)
		}
	}
}
