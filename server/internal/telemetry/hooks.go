package telemetry

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"

	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// maxWords is how many values a label has that are words of the program's own.
const maxWords = 32

var _ reconcile.Observer = (*Metrics)(nil)

func newHooks(o *Options) *Metrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "exportgate_" + name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets ...float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: "exportgate_" + name, Help: help, Buckets: buckets}
	}
	m := &Metrics{
		methods:    newVocabulary("unknown", len(o.Methods), o.Methods...),
		refusals:   newVocabulary("other", maxWords, o.Refusals...),
		operations: newVocabulary("other", maxWords), outcomes: newVocabulary("other", maxWords), doors: newVocabulary("other", maxWords),

		callsStarted: counters("rpc_started_total", "Calls that began, by whichever door.", "method"),
		callsHandled: counters("rpc_handled_total", "Calls that ended, refused ones too.", "method", "code"),
		callsInFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "exportgate_rpc_in_flight", Help: "Calls under way; for WatchStatus those who watch.",
		}, []string{"method"}),
		callDuration: prometheus.NewHistogramVec(histogram("rpc_duration_seconds",
			"How long calls took; a pause and a resume wait until every replica has followed, a watch lasts as long as it is watched.",
			.005, .025, .1, .25, .5, 1, 2.5, 5, 10, 30, 60), []string{"method"}),
		refused: counters("refused_total", "Calls and requests that were turned away before they did anything.", "reason"),
		connectionsRefused: counters("connections_refused_total",
			"Connections that were closed at once, because there were too many and every one was in use.", "door"),
		connectionsDisplaced: counters("connections_displaced_total", "Idle connections that were closed to make room for new ones.", "door"),
		auditFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "exportgate_audit_failures_total", Help: "Lines of the audit log that could not be written to it.",
		}),
		brokerDuration: prometheus.NewHistogramVec(histogram("broker_request_duration_seconds",
			"How long requests to the brokers and the gateway took.", .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10),
			[]string{"operation", "outcome"}),
		passDuration: prometheus.NewHistogram(histogram("reconcile_pass_duration_seconds",
			"How long the passes of the loop took: one that drives lasts until every replica has followed, or there is something else to do.",
			.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60)),
		events: counters("events_total", "What happened to the holds and the cluster. Of several servers over one ledger each counts "+
			"the same events.", "kind"),
		ended: counters("holds_ended_total", "Holds that have ended. Of several servers over one ledger each counts the same ones.", "how"),
		settling: prometheus.NewHistogram(histogram("hold_settle_duration_seconds",
			"How long after a hold was placed every replica was confirmed to follow it.", .5, 1, 1.5, 2, 3, 5, 10, 20, 30, 60, 300, 1800)),
	}
	m.begin(o)
	return m
}

// begin tells 0 of what has not happened yet: Prometheus does not see the first of a counter that begins with it.
func (m *Metrics) begin(o *Options) {
	for _, method := range append([]string{"unknown"}, o.Methods...) {
		m.callsStarted.WithLabelValues(method)
		m.callsInFlight.WithLabelValues(method)
		// Alerts are about those that are this server's fault; with all seventeen nobody could read the page.
		for _, code := range []codes.Code{codes.OK, codes.Unknown, codes.Internal, codes.DataLoss} {
			m.callsHandled.WithLabelValues(method, code.String())
		}
	}
	for _, reason := range o.Refusals {
		m.refused.WithLabelValues(m.refusals.word(reason))
	}
	for _, door := range []string{"http", "grpc"} {
		m.connectionsRefused.WithLabelValues(m.doors.word(door))
		m.connectionsDisplaced.WithLabelValues(m.doors.word(door))
	}
	for kind := reconcile.EventHoldPlaced; kind <= reconcile.EventDisk; kind++ {
		m.events.WithLabelValues(kind.String())
	}
	for how := hold.Released; how <= hold.Guarded; how++ {
		m.ended.WithLabelValues(howOf(how))
	}
}

func (m *Metrics) hooks() []prometheus.Collector {
	return []prometheus.Collector{
		m.callsStarted, m.callsHandled, m.callsInFlight, m.callDuration, m.refused, m.connectionsRefused, m.connectionsDisplaced,
		m.auditFailures, m.brokerDuration, m.passDuration, m.events, m.ended, m.settling,
	}
}

// Started counts a call that begins. Each is followed by [Metrics.Call].
func (m *Metrics) Started(method string) {
	method = m.methods.word(method)
	m.callsStarted.WithLabelValues(method).Inc()
	m.callsInFlight.WithLabelValues(method).Inc()
}

// Call counts a call that has ended. The code is the name of a gRPC code, as [codes.Code] spells it.
func (m *Metrics) Call(method, code string, took time.Duration) {
	method = m.methods.word(method)
	m.callsInFlight.WithLabelValues(method).Dec()
	m.callsHandled.WithLabelValues(method, codeOf(code)).Inc()
	m.callDuration.WithLabelValues(method).Observe(took.Seconds())
}

// codeOf is the name of a code, and Unknown for what is none.
func codeOf(name string) string {
	for code := codes.OK; code <= codes.Unauthenticated; code++ {
		if code.String() == name {
			return name
		}
	}
	return codes.Unknown.String()
}

// Refused counts a call that was turned away.
func (m *Metrics) Refused(reason string) { m.refused.WithLabelValues(m.refusals.word(reason)).Inc() }

// ConnectionRefused counts a connection that was turned away at a door.
func (m *Metrics) ConnectionRefused(door string) {
	m.connectionsRefused.WithLabelValues(m.doors.word(door)).Inc()
}

// ConnectionDisplaced counts an idle connection that was closed for a new one.
func (m *Metrics) ConnectionDisplaced(door string) {
	m.connectionsDisplaced.WithLabelValues(m.doors.word(door)).Inc()
}

// AuditFailed counts a line that the audit log could not take.
func (m *Metrics) AuditFailed() { m.auditFailures.Inc() }

// BrokerRequest counts a request to a broker or the gateway.
func (m *Metrics) BrokerRequest(operation, outcome string, took time.Duration) {
	m.brokerDuration.WithLabelValues(m.operations.word(operation), m.outcomes.word(outcome)).Observe(took.Seconds())
}

// Passed implements [reconcile.Observer].
func (m *Metrics) Passed(took time.Duration) { m.passDuration.Observe(took.Seconds()) }

// Event implements [reconcile.Observer].
func (m *Metrics) Event(e reconcile.Event) {
	m.events.WithLabelValues(e.Kind.String()).Inc()
	if e.Kind == reconcile.EventHoldEnded {
		m.ended.WithLabelValues(howOf(e.End)).Inc()
	}
	// A foreign pause that becomes a hold is settled when it is found; where the clock of who placed a hold is ahead of that
	// of who saw it settle, nobody knows how long it took.
	if e.Kind == reconcile.EventHoldSettled && e.Took > 0 {
		m.settling.Observe(e.Took.Seconds())
	}
}

// howOf is a word for how a hold ended, in one piece.
func howOf(e hold.End) string { return strings.ReplaceAll(e.String(), " ", "-") }
