package telemetry_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
	"github.com/exportgate/exportgate/server/internal/telemetry"
)

func newMetrics(t *testing.T, o telemetry.Options) *telemetry.Metrics {
	t.Helper()
	m, err := telemetry.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestCalls(t *testing.T) {
	m := newMetrics(t, telemetry.Options{Methods: []string{pause, "GET /prometheus"}})
	m.Started(pause)
	m.Started(pause)
	m.Call(pause, "Unavailable", 3*time.Second)
	m.Started("/made.Up/Method")
	m.Call("/made.Up/Method", "made up", time.Millisecond)
	const want = `exportgate_rpc_handled_total{code="Unavailable",method="/exportgate.v1.ExportingService/Pause"} 1
exportgate_rpc_handled_total{code="Unknown",method="unknown"} 1
exportgate_rpc_in_flight{method="/exportgate.v1.ExportingService/Pause"} 1
exportgate_rpc_started_total{method="/exportgate.v1.ExportingService/Pause"} 2
exportgate_rpc_started_total{method="unknown"} 1
`
	if diff := cmp.Diff(want, series(t, m, "rpc_started", "rpc_handled", "rpc_in")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	page := scrape(t, m)
	for _, line := range []string{
		`exportgate_rpc_duration_seconds_bucket{method="/exportgate.v1.ExportingService/Pause",le="5"} 1`,
		`exportgate_rpc_duration_seconds_bucket{method="/exportgate.v1.ExportingService/Pause",le="2.5"} 0`,
		`exportgate_rpc_handled_total{code="Internal",method="GET /prometheus"} 0`, // told before it happens
	} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("%s is not in\n%s", line, page)
		}
	}
}

func TestEvents(t *testing.T) {
	m := newMetrics(t, telemetry.Options{})
	for kind := reconcile.EventHoldPlaced; kind <= reconcile.EventDisk; kind++ {
		m.Event(reconcile.Event{Kind: kind, Took: 2 * time.Second, End: hold.Guarded})
	}
	m.Event(reconcile.Event{Kind: reconcile.EventHoldSettled})                     // a foreign pause
	m.Event(reconcile.Event{Kind: reconcile.EventHoldSettled, Took: -time.Second}) // another server's clock
	m.Event(reconcile.Event{Kind: reconcile.EventDisk + 1})
	const want = `exportgate_events_total{kind="broker"} 1
exportgate_events_total{kind="disk"} 1
exportgate_events_total{kind="foreign"} 1
exportgate_events_total{kind="hold-broken"} 1
exportgate_events_total{kind="hold-ended"} 1
exportgate_events_total{kind="hold-placed"} 1
exportgate_events_total{kind="hold-settled"} 3
exportgate_events_total{kind="not-settled"} 1
exportgate_events_total{kind="other"} 1
exportgate_events_total{kind="repaused"} 1
exportgate_events_total{kind="replica"} 1
exportgate_events_total{kind="resumed"} 1
exportgate_events_total{kind="store"} 1
exportgate_hold_settle_duration_seconds_sum 2
exportgate_hold_settle_duration_seconds_count 1
exportgate_holds_ended_total{how="ended-by-the-disk-guard"} 1
`
	if diff := cmp.Diff(want, series(t, m, "events", "hold_settle_duration_seconds_sum", "hold_settle_duration_seconds_count",
		"holds_ended")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if page := scrape(t, m); strings.Count(page, "exportgate_holds_ended_total{") != 7 {
		t.Errorf("not every way to end is told as 0 before it happens:\n%s", page)
	}
}

func TestRefusals(t *testing.T) {
	m := newMetrics(t, telemetry.Options{Refusals: []string{"UNAUTHENTICATED"}})
	m.Refused("host")
	m.AuditFailed()
	m.ConnectionRefused("grpc")
	m.ConnectionDisplaced("grpc")
	const want = `exportgate_audit_failures_total 1
exportgate_connections_displaced_total{door="grpc"} 1
exportgate_connections_refused_total{door="grpc"} 1
exportgate_refused_total{reason="host"} 1
`
	if diff := cmp.Diff(want, series(t, m, "audit", "connections", "refused")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	page := scrape(t, m)
	for _, zero := range []string{
		`refused_total{reason="UNAUTHENTICATED"}`, `connections_refused_total{door="http"}`, `connections_displaced_total{door="http"}`,
	} {
		if !strings.Contains(page, "exportgate_"+zero+" 0\n") {
			t.Errorf("%s is not told as 0 before it happens", zero)
		}
	}
}

func TestPasses(t *testing.T) {
	m := newMetrics(t, telemetry.Options{})
	m.Passed(300 * time.Millisecond)
	m.BrokerRequest("partitions", "timeout", 8*time.Second)
	const want = `exportgate_broker_request_duration_seconds_count{operation="partitions",outcome="timeout"} 1
exportgate_reconcile_pass_duration_seconds_sum 0.3
`
	if diff := cmp.Diff(want, series(t, m, "broker_request_duration_seconds_count", "reconcile_pass_duration_seconds_sum")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// However many words there are, and whatever they are made of, the number of series stays small.
func TestLabelsAreBounded(t *testing.T) {
	m := newMetrics(t, telemetry.Options{Methods: []string{pause}, Refusals: []string{"UNAUTHENTICATED"}})
	var asking sync.WaitGroup
	for worker := range 4 {
		asking.Go(func() {
			for i := range 1000 {
				word := fmt.Sprintf("word-%d-\xff%d", worker, i)
				m.Started(word)
				m.Call(word, word, time.Second)
				m.Refused(word)
				m.BrokerRequest("partitions", word, time.Second)
				m.ConnectionRefused(word)
			}
		})
	}
	asking.Wait()
	page := scrape(t, m)
	for prefix, most := range map[string]int{
		"rpc_started_total{": 2, "rpc_handled_total{": 8, "rpc_in_flight{": 2, "rpc_duration_seconds_count{": 1,
		"refused_total{": 33, "broker_request_duration_seconds_count{": 33, "connections_refused_total{": 33,
	} {
		if n := strings.Count(page, "\nexportgate_"+prefix); n == 0 || n > most {
			t.Errorf("%d series of %s, at most %d are allowed", n, prefix, most)
		}
	}
}
