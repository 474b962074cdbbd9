package telemetry

import (
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// statusCollector tells what is held, and what the replicas showed.
type statusCollector struct {
	gauges
	status func() *reconcile.Status

	target, observed, settled, unsettled, foreign, stale                          *prometheus.Desc
	live, limit, created, renewed, expires, endless, broken, holdSettled          *prometheus.Desc
	topology, expected, replicas, brokersRead, brokerUp, brokerInfo, lag, stalled *prometheus.Desc
}

func newStatusCollector(s *Sources) *statusCollector {
	c := &statusCollector{status: s.Status}
	c.target = c.add("target_phase", "1 for the phase that the live holds add up to.", "phase")
	c.observed = c.add("observed_phase", "1 for the phase that the replicas showed at the last reads.", "phase")
	c.settled = c.add("settled", "1 if every replica is confirmed in the target phase.")
	c.unsettled = c.add("unsettled_replicas", "Replicas that are not confirmed in the target phase.")
	c.foreign = c.add("foreign_pause", "1 if exporting is paused although no hold asks for it.")
	c.stale = c.add("ledger_stale", "1 if the ledger of holds cannot be read or written.")

	c.live = c.add("holds", "Live holds.")
	c.limit = c.add("holds_limit", "Holds that may live at once; more are refused.")
	c.created = c.add("hold_created_timestamp_seconds", "When a live hold was placed.", "hold", "phase")
	c.renewed = c.add("hold_renewed_timestamp_seconds", "When a live hold was placed or renewed last.", "hold", "phase")
	c.expires = c.add("hold_expires_timestamp_seconds", "When a live hold ends by itself; absent if it never does.", "hold", "phase")
	c.endless = c.add("hold_endless", "1 for a live hold that never expires.", "hold", "phase")
	c.broken = c.add("hold_broken", "1 for a live hold under which exporting did not stand still.", "hold", "phase")
	c.holdSettled = c.add("hold_settled", "1 for a live hold that every replica was confirmed to follow.", "hold", "phase")

	c.topology = c.add("topology_up", "1 if the last try to learn what the cluster is configured to be succeeded.")
	c.expected = c.add("expected_replicas", "Replicas that the cluster is configured to have; 0 where nothing tells, and then no pause is possible.")
	c.replicas = c.add("replicas", "Replicas that ought to be there or were found, by the phase that each showed; UNKNOWN where its "+
		"broker could not be read the last time.", "phase")
	c.brokersRead = c.add("brokers_read_timestamp_seconds", "When a broker was read last, or a try to do so failed: it is never long ago "+
		"while the loop goes on.")
	c.brokerUp = c.add("broker_up", "1 if the last try to read a broker succeeded.", "broker")
	c.brokerInfo = c.add("broker_info", "1, for the version that a broker is known to have.", "broker", "version")
	c.lag = c.add("exporter_lag_records", "Records that the leader of a partition has processed and not yet stored as exported.",
		"tenant", "partition")
	c.stalled = c.add("partition_stalled", "1 for a partition whose leader ought to export while its stored position has not moved for a "+
		"minute.", "tenant", "partition")
	return c
}

// Collect implements [prometheus.Collector].
func (c *statusCollector) Collect(out chan<- prometheus.Metric) {
	status := c.status()
	if status == nil {
		return
	}
	c.cluster(scrape(out), status)
	c.holds(scrape(out), status.Holds)
	if status.View != nil {
		c.brokers(scrape(out), status.View)
		c.partitions(scrape(out), status)
	}
}

func (c *statusCollector) cluster(to scrape, s *reconcile.Status) {
	for p := exporting.PhaseUnknown; p <= exporting.PhaseMixed; p++ {
		to.is(c.observed, s.Observed == p, p.String())
		if p.Settable() {
			to.is(c.target, s.Target == p, p.String())
		}
	}
	to.is(c.settled, s.Settled)
	to.gauge(c.unsettled, float64(len(s.Unsettled)))
	to.is(c.foreign, s.Foreign)
	to.is(c.stale, s.Stale != nil)
}

func (c *statusCollector) holds(to scrape, holds []hold.Hold) {
	to.gauge(c.live, float64(len(holds)))
	to.gauge(c.limit, hold.MaxHolds)
	for i := range holds {
		h := &holds[i]
		phase := h.Phase.String()
		to.moment(c.created, h.Created, h.ID, phase)
		to.moment(c.renewed, h.Asked, h.ID, phase)
		to.moment(c.expires, h.Expires, h.ID, phase)
		to.is(c.endless, h.Expires.IsZero(), h.ID, phase)
		to.is(c.broken, h.Record.Verdict() == hold.Broken, h.ID, phase)
		to.is(c.holdSettled, !h.Settled.IsZero(), h.ID, phase)
	}
}

func (c *statusCollector) brokers(to scrape, view *exporting.View) {
	to.is(c.topology, view.Topology != nil && view.TopologyErr == nil)
	if view.Topology == nil {
		return
	}
	expected := 0
	for _, p := range view.Topology.Expected {
		expected += p.Replicas
	}
	to.gauge(c.expected, float64(expected))
	var asked time.Time
	for _, b := range view.Topology.Brokers {
		o, read := view.Observations[b.ID]
		to.is(c.brokerUp, read && o.Err == nil, string(b.ID))
		to.gauge(c.brokerInfo, 1, string(b.ID), b.Version)
		asked = slices.MaxFunc([]time.Time{asked, o.Read, o.Failed}, time.Time.Compare)
	}
	to.moment(c.brokersRead, asked)
}

func (c *statusCollector) partitions(to scrape, s *reconcile.Status) {
	phases := map[exporting.Phase]int{}
	leaders := map[exporting.PartitionID]exporting.Replica{}
	for _, r := range s.View.Replicas() {
		if r.Err != nil {
			phases[exporting.PhaseUnknown]++
			continue
		}
		phases[r.Phase]++
		// After a change two replicas may say that they lead; the one that has processed more does.
		if known, ok := leaders[r.Partition]; r.Role == exporting.RoleLeader && (!ok || r.Processed.Value > known.Processed.Value) {
			leaders[r.Partition] = r
		}
	}
	for p := range exporting.PhaseMixed {
		to.gauge(c.replicas, float64(phases[p]), p.String())
	}
	for id, leader := range leaders {
		partition := strconv.Itoa(int(id.ID))
		if leader.Processed.Known && leader.Exported.Known && !leader.NoExporters {
			to.gauge(c.lag, max(0, float64(leader.Processed.Value-leader.Exported.Value)), id.Tenant, partition)
		}
		_, stalled := s.Stalled[id]
		to.is(c.stalled, stalled, id.Tenant, partition)
	}
}
