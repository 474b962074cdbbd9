package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
	"github.com/exportgate/exportgate/server/internal/telemetry"
)

// large is a cluster of 30 brokers and 300 partitions with three replicas each, and as many holds as may live.
func large() *reconcile.Status {
	s := &reconcile.Status{Target: exporting.PhasePaused, Observed: exporting.PhasePaused, Settled: true}
	for i := range hold.MaxHolds {
		s.Holds = append(s.Holds, hold.Hold{
			ID: "backup-" + strconv.Itoa(i), Phase: exporting.PhasePaused, Created: at, Asked: at, Expires: at.Add(time.Hour), Settled: at,
		})
	}
	topology, observations := &exporting.Topology{}, map[exporting.BrokerID]exporting.Observation{}
	const brokers, partitions, replicas = 30, 300, 3
	for b := range brokers {
		id := exporting.BrokerID(strconv.Itoa(b))
		topology.Brokers = append(topology.Brokers, exporting.Broker{ID: id, Address: "http://broker", Version: "8.9.3"})
		o := exporting.Observation{Read: at}
		for p := range partitions {
			if rank := (b - p%brokers + brokers) % brokers; rank < replicas {
				role := exporting.RoleFollower
				if rank == 0 {
					role = exporting.RoleLeader
				}
				o.Readings = append(o.Readings, exporting.Reading{
					Partition: exporting.PartitionID{ID: int32(p + 1)}, Role: role, Phase: exporting.PhasePaused,
					Processed: exporting.At(1e6), Exported: exporting.At(1e6 - int64(p)),
				})
			}
		}
		observations[id] = o
	}
	s.View = &exporting.View{Topology: topology, Observations: observations}
	return s
}

// A scrape of the largest cluster that is to be expected costs some milliseconds and about a thousand lines.
func BenchmarkScrape(b *testing.B) {
	m, err := telemetry.New(telemetry.Options{Methods: []string{pause}})
	if err != nil {
		b.Fatal(err)
	}
	status := large()
	if err := m.Expose(telemetry.Sources{Status: func() *reconcile.Status { return status }}); err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil)
	size := 0
	for b.Loop() {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, r)
		size = w.Body.Len()
	}
	b.ReportMetric(float64(size), "B/scrape")
}

// Every call pays for its hooks.
func BenchmarkCall(b *testing.B) {
	m, err := telemetry.New(telemetry.Options{Methods: []string{pause}})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		m.Started(pause)
		m.Call(pause, "OK", time.Millisecond)
	}
}
