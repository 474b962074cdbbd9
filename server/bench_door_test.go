package server

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
	"github.com/exportgate/exportgate/server/internal/service"
)

// BenchmarkDoor pauses a cluster in memory that is paused already, so that what is measured is the way in and out: by gRPC
// and by HTTP through the whole server, beside a bare net/http handler around the same core.
func BenchmarkDoor(b *testing.B) {
	bare := bareDoor(b)
	grpcDoor, httpDoor := wholeServer(b)
	doors := map[string]func(){"bare": bare, "grpc": grpcDoor, "http": httpDoor}
	for range 20 {
		for _, pause := range doors {
			pause()
		}
	}
	walls := map[string][]time.Duration{}
	for b.Loop() { // Side by side, so that what else the machine does hits all alike.
		for range 50 {
			for name, pause := range doors {
				began := time.Now()
				pause()
				walls[name] = append(walls[name], time.Since(began))
			}
		}
	}
	medians := map[string]float64{}
	for name, w := range walls {
		slices.Sort(w)
		medians[name] = float64(w[len(w)/2].Nanoseconds()) / 1000
		b.ReportMetric(medians[name], "us-"+name)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(medians["grpc"]/medians["bare"], "x-bare-grpc")
	b.ReportMetric(medians["http"]/medians["bare"], "x-bare-http")
}

// benchCluster is a cluster in memory that needs no closing.
type benchCluster struct{ *exportingtest.Cluster }

// Close does nothing.
func (benchCluster) Close() error { return nil }

func benchCore(b *testing.B) *service.Service {
	b.Helper()
	fanout, err := exporting.NewFanout(exportingtest.New(3, 3), exporting.Options{
		Concurrency: benchConcurrency, RequestTimeout: time.Second, PlanTimeout: time.Second, RetryInterval: time.Second,
	})
	if err != nil {
		b.Fatal(err)
	}
	ledger, err := hold.Open(b.Context(), hold.NewMemory(), "memory")
	if err != nil {
		b.Fatal(err)
	}
	reconciler, err := reconcile.New(reconcile.Options{
		Fanout: fanout, Ledger: ledger, Witness: reconcile.NewWitness(time.Second), Interval: time.Hour, Timeout: 30 * time.Second,
		OnFailure: reconcile.Revert, DefaultTTL: time.Hour, MaxTTL: time.Hour, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	var l lifecycle
	s := &Server{failed: make(chan error, 1)}
	s.start("reconciler", reconciler.Run)
	l.onStop("fan-out", func(context.Context) error { fanout.Close(); return nil })
	b.Cleanup(func() { _ = s.lifecycle.close(time.Second); _ = l.close(time.Second) })
	return service.New(reconciler, slog.New(slog.DiscardHandler))
}

// bareDoor is the limit: a handler that calls the core and writes the same answer, which is protobuf's JSON.
func bareDoor(b *testing.B) func() {
	b.Helper()
	core := benchCore(b)
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := core.Pause(r.Context(), &exportgatev1.PauseRequest{Soft: r.URL.Query().Get("soft") == "true"})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		body, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(answer)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}))
	b.Cleanup(bare.Close)
	return poster(b, bare.URL+"/pause?soft=true")
}

// poster sends the same POST again and again over one connection.
func poster(b *testing.B, url string) func() {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	b.Cleanup(client.CloseIdleConnections)
	return func() {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, nil)
		if err != nil {
			b.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatalf("%s: %v %s", resp.Status, err, body)
		}
	}
}

// benchConfig has any free ports, and a loop that does not disturb.
func benchConfig(tb testing.TB) *Config {
	tb.Helper()
	cfg, err := Load(LoadOptions{EmbeddedCluster: true, Env: []string{
		"SERVER_PORT=0", "GRPC_PORT=0", "EXPORTING_RECONCILE_INTERVAL=1h", "LIMITS_CALLS_PER_SECOND=0", "LIMITS_WATCHERS=0",
	}})
	if err != nil {
		tb.Fatal(err)
	}
	cfg.Exporting.ConfirmInterval = 0
	return cfg
}

// serverOver is the product over a cluster in memory.
func serverOver(tb testing.TB, brokers *exportingtest.Cluster) *Server {
	tb.Helper()
	s, err := newServer(tb.Context(), benchConfig(tb), slog.New(slog.DiscardHandler),
		func(*surroundings) (cluster, error) { return benchCluster{brokers}, nil },
		func(*Config, *surroundings) (ledgerStore, error) {
			return ledgerStore{Store: hold.NewMemory(), where: "memory", clocks: noClocks}, nil
		})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// wholeServer is the product over a cluster in memory, and a call through each of its doors.
func wholeServer(b *testing.B) (grpcDoor, httpDoor func()) {
	b.Helper()
	s := serverOver(b, exportingtest.New(3, 3))
	conn, err := grpc.NewClient(s.GRPCAddr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	client := exportgatev1.NewExportingServiceClient(conn)
	grpcDoor = func() {
		if _, err := client.Pause(b.Context(), &exportgatev1.PauseRequest{Soft: true}); err != nil {
			b.Fatal(err)
		}
	}
	return grpcDoor, poster(b, "http://"+s.HTTPAddr().String()+"/actuator/exporting/pause?soft=true")
}
