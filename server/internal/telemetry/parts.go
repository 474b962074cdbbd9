package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
)

// partsCollector tells what is beside the holds: who drives, disks, certificates, doors.
type partsCollector struct {
	gauges
	Sources

	drives, term, clock                                *prometheus.Desc
	free, total, measured, measurable, low             *prometheus.Desc
	notBefore, notAfter, trustNotAfter, reload, tokens *prometheus.Desc
	provider, keys, audit, connections                 *prometheus.Desc
}

func newPartsCollector(s *Sources) *partsCollector {
	c := &partsCollector{Sources: *s}
	c.drives = c.add("drives", "1 if this server drives the brokers, 0 if another does, or nobody knows who.")
	c.term = c.add("term", "The term that this server drives in, or last did; absent where it is the only one.")
	c.clock = c.add("server_clock_ahead_seconds", "How far the clock of another server over the same ledger is ahead of this one's.",
		"server")

	c.free = c.add("broker_disk_free_bytes", "Free space of a broker's disk when it was measured last, which is only while exporting is "+
		"paused and the disk guard is on.", "broker")
	c.total = c.add("broker_disk_total_bytes", "Size of a broker's disk.", "broker")
	c.measured = c.add("broker_disk_measured_timestamp_seconds", "When a broker's disk was measured last.", "broker")
	c.measurable = c.add("broker_disk_measured", "0 for a broker whose disk ought to be measured and could not be the last time.", "broker")
	c.low = c.add("broker_disk_low", "1 for a broker on whose disk less is free than the disk guard wants.", "broker")

	c.notBefore = c.add("certificate_not_before_timestamp_seconds", "From when on a certificate that is in use is valid.", "use")
	c.notAfter = c.add("certificate_not_after_timestamp_seconds", "Until when a certificate that is in use is valid.", "use")
	c.trustNotAfter = c.add("trust_not_after_timestamp_seconds", "When the first expires of the authorities that others' certificates are "+
		"checked with.", "use")
	c.reload = c.add("certificate_reload_failed", "1 if the files of certificates cannot be read again, and the old ones are still in use.",
		"use")
	c.tokens = c.add("tokens_reload_failed", "1 if the file of tokens cannot be read again, and the old tokens are still in use.")
	c.provider = c.add("identity_provider_up", "1 if the keys of an identity provider could be fetched the last time.", "issuer")
	c.keys = c.add("identity_provider_keys", "Keys of an identity provider that are known; with none, none of its tokens can be checked.",
		"issuer")
	c.audit = c.add("audit_up", "1 if the audit log could be written the last time; absent where there is none.")
	c.connections = c.add("connections", "Open connections.", "door")
	return c
}

// Collect implements [prometheus.Collector].
func (c *partsCollector) Collect(out chan<- prometheus.Metric) {
	to := scrape(out)
	c.servers(to)
	c.disks(to)
	c.files(to)
	if c.Identity != nil {
		provider := c.Identity()
		to.is(c.provider, provider.Err == nil, provider.Issuer)
		to.gauge(c.keys, float64(provider.Keys), provider.Issuer)
	}
	if c.Audit != nil {
		to.is(c.audit, c.Audit() == nil)
	}
	if c.Connections != nil {
		for door, open := range c.Connections() {
			to.gauge(c.connections, float64(open), door)
		}
	}
}

func (c *partsCollector) servers(to scrape) {
	if c.Term == nil {
		to.is(c.drives, true)
	} else {
		term, drives := c.Term()
		to.is(c.drives, drives)
		to.gauge(c.term, float64(term))
	}
	if c.Clocks != nil {
		for name, ahead := range c.Clocks() {
			to.gauge(c.clock, ahead.Seconds(), name)
		}
	}
}

func (c *partsCollector) disks(to scrape) {
	if c.Disks == nil {
		return
	}
	for _, d := range c.Disks() {
		broker := string(d.Broker)
		to.is(c.measurable, d.Err == nil, broker)
		if d.Err != nil {
			continue
		}
		to.gauge(c.free, float64(d.Disk.Free), broker)
		to.gauge(c.total, float64(d.Disk.Total), broker)
		to.moment(c.measured, d.At, broker)
		to.is(c.low, d.Low, broker)
	}
}

func (c *partsCollector) files(to scrape) {
	if c.Certificates != nil {
		for _, used := range c.Certificates() {
			to.moment(c.notBefore, used.NotBefore, used.Use)
			to.moment(c.notAfter, used.NotAfter, used.Use)
			to.moment(c.trustNotAfter, used.TrustNotAfter, used.Use)
			to.is(c.reload, used.Err != nil, used.Use)
		}
	}
	if c.Tokens != nil {
		to.is(c.tokens, c.Tokens() != nil)
	}
}
