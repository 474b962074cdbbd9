// Package telemetry tells Prometheus what the holds, the ledger and the servers that share it are like, from what is known
// already: a scrape asks no broker and no store.
//
// It must not know HTTP's paths, nor how anything that it tells comes about.
package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// Options are what is told. Both functions are called for every scrape and must answer at once.
type Options struct {
	// Status is as of the last reads; nil before the first.
	Status func() *reconcile.Status
	// Clocks is how far the clocks of the other servers over one ledger are ahead of this one's, by name; empty where this
	// is the only one.
	Clocks func() map[string]time.Duration
}

// New returns the handler that a Prometheus scrapes, in its text format or OpenMetrics as it asks. It has a registry of its
// own, so that several servers fit into one process.
func New(o Options) (http.Handler, error) {
	registry := prometheus.NewRegistry()
	if err := registry.Register(newCollector(o)); err != nil {
		return nil, err
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 5}), nil
}

// collector makes the metrics of a status when it is scraped.
type collector struct {
	Options

	target, observed, settled, foreign             *prometheus.Desc
	created, expires, endless, broken, holdSettled *prometheus.Desc
	stale, clock                                   *prometheus.Desc
}

func newCollector(o Options) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("exportgate_"+name, help, labels, nil)
	}
	return &collector{
		Options:  o,
		target:   desc("target_phase", "1 for the phase that the live holds add up to.", "phase"),
		observed: desc("observed_phase", "1 for the phase that the replicas showed at the last reads.", "phase"),
		settled:  desc("settled", "1 if every replica is confirmed in the target phase."),
		foreign:  desc("foreign_pause", "1 if exporting is paused although no hold asks for it."),
		created:  desc("hold_created_timestamp_seconds", "When a live hold was placed.", "hold", "phase"),
		expires:  desc("hold_expires_timestamp_seconds", "When a live hold ends by itself; absent if it never does.", "hold", "phase"),
		endless:  desc("hold_endless", "1 for a live hold that never expires.", "hold", "phase"),
		broken:   desc("hold_broken", "1 for a live hold under which exporting did not stand still.", "hold", "phase"),
		holdSettled: desc("hold_settled", "1 for a live hold that every replica was confirmed to follow.",
			"hold", "phase"),
		stale: desc("ledger_stale", "1 if the ledger of holds cannot be read or written."),
		clock: desc("server_clock_ahead_seconds", "How far the clock of another server over the same ledger is ahead of this one's.",
			"server"),
	}
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.target, c.observed, c.settled, c.foreign, c.created, c.expires, c.endless, c.broken, c.holdSettled, c.stale, c.clock,
	} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for name, ahead := range c.Clocks() {
		gauge(c.clock, ahead.Seconds(), name)
	}
	s := c.Status()
	if s == nil {
		return
	}
	for p := exporting.PhaseUnknown; p <= exporting.PhaseMixed; p++ {
		gauge(c.observed, is(s.Observed == p), p.String())
		if p.Settable() {
			gauge(c.target, is(s.Target == p), p.String())
		}
	}
	gauge(c.settled, is(s.Settled))
	gauge(c.foreign, is(s.Foreign))
	gauge(c.stale, is(s.Stale != nil))
	for i := range s.Holds {
		h := &s.Holds[i]
		labels := []string{h.ID, h.Phase.String()}
		gauge(c.created, seconds(h.Created), labels...)
		if !h.Expires.IsZero() {
			gauge(c.expires, seconds(h.Expires), labels...)
		}
		gauge(c.endless, is(h.Expires.IsZero()), labels...)
		gauge(c.broken, is(h.Record.Verdict() == hold.Broken), labels...)
		gauge(c.holdSettled, is(!h.Settled.IsZero()), labels...)
	}
}

func is(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
