// Package telemetry tells Prometheus what the holds, the brokers, the ledger, the doors and the servers that share it are
// like. What happens is counted when it happens, by hooks; what is, is asked for at a scrape, from what is known already: a
// scrape asks no broker and no store.
//
// Names follow Prometheus' conventions: base units, counters end in _total, times are timestamps in seconds since 1970, so
// that Prometheus itself says how far away they are. docs/metrics.md lists all of them.
//
// It must not know HTTP's paths, nor how anything that it tells comes about.
package telemetry

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options are what is known before anything runs. The zero value does; then every method counts as unknown.
type Options struct {
	// Methods are the operations that calls are told apart by: full gRPC methods, or a method and a path of HTTP. Others are
	// counted together as "unknown", since callers may ask for anything.
	Methods []string
	// Refusals are the reasons that calls are refused for, so that each is told as 0 before it happens first. The reasons
	// are the program's own; those that are not listed are told apart too, up to a limit.
	Refusals []string
	// Guard is what the disk guard does: "off", "warn" or "release". Empty is off.
	Guard string
	// Version and Commit are those of the program.
	Version, Commit string
	// Logger is told of what cannot be told to Prometheus; nil where nobody wants to know.
	Logger *slog.Logger
}

// Metrics are all there is to tell. Its methods return at once and may be called by many goroutines.
type Metrics struct {
	registry *prometheus.Registry
	handler  http.Handler

	methods, refusals, operations, outcomes, doors *vocabulary

	callsStarted, callsHandled *prometheus.CounterVec
	callsInFlight              *prometheus.GaugeVec
	callDuration               *prometheus.HistogramVec
	refused                    *prometheus.CounterVec
	connectionsRefused         *prometheus.CounterVec
	connectionsDisplaced       *prometheus.CounterVec
	auditFailures              prometheus.Counter
	brokerDuration             *prometheus.HistogramVec
	passDuration               prometheus.Histogram
	events, ended              *prometheus.CounterVec
	settling                   prometheus.Histogram
}

// New returns metrics that count, and tell nothing else yet: see [Metrics.Expose]. They have a registry of their own, so
// that several servers fit into one process.
func New(o Options) (*Metrics, error) {
	m := newHooks(&o)
	m.registry = prometheus.NewRegistry()
	for _, c := range append(m.hooks(), newBuildInfo(&o), newGuardInfo(&o),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})) {
		if err := m.registry.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	logger := cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: 5,
		// One series that cannot be told must not hide the others from whoever is on call.
		ErrorHandling: promhttp.ContinueOnError, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	})
	return m, nil
}

// Expose begins to tell what the sources know. It is called once, when all of them are there; a second time it fails.
func (m *Metrics) Expose(s Sources) error {
	for _, c := range []prometheus.Collector{newStatusCollector(&s), newPartsCollector(&s)} {
		if err := m.registry.Register(c); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	return nil
}

// Handler is what a Prometheus scrapes, in its text format or OpenMetrics as it asks. It serves five scrapes at a time, and
// answers 503 to more.
func (m *Metrics) Handler() http.Handler { return m.handler }

func newBuildInfo(o *Options) prometheus.Collector {
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "exportgate_build_info", Help: "1, for the version and commit that run, and the Go version that built them.",
	}, []string{"version", "commit", "go_version"})
	build.WithLabelValues(clean(o.Version), clean(o.Commit), runtime.Version()).Set(1)
	return build
}

func newGuardInfo(o *Options) prometheus.Collector {
	guard := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "exportgate_disk_guard", Help: "1 for what the disk guard does when a broker's disk runs full under a pause.",
	}, []string{"policy"})
	for _, policy := range []string{"off", "warn", "release"} {
		guard.WithLabelValues(policy).Set(0)
	}
	guard.WithLabelValues(clean(cmp.Or(o.Guard, "off"))).Set(1)
	return guard
}
