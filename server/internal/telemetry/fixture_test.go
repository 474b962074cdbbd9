package telemetry_test

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
	"github.com/exportgate/exportgate/server/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var at = time.UnixMilli(1_795_489_200_500)

// status is a cluster of two brokers and a partition, of which one broker does not answer, with two holds.
func status() *reconcile.Status {
	first, second := exporting.PartitionID{ID: 1}, exporting.PartitionID{Tenant: "blue", ID: 1}
	return &reconcile.Status{
		Target: exporting.PhasePaused, Observed: exporting.PhaseMixed, Foreign: true, Stale: errors.New("the disk is full"),
		Unsettled: []exporting.Failure{{Broker: "1"}},
		Stalled:   map[exporting.PartitionID]exporting.BrokerID{second: "0"},
		Holds: []hold.Hold{
			{
				ID: "backup-1", Phase: exporting.PhaseSoftPaused, Created: at, Asked: at.Add(time.Minute), Expires: at.Add(time.Hour),
				Record: hold.Continuous{Broken: true},
			},
			{ID: "operator", Phase: exporting.PhasePaused, Created: at, Asked: at, Settled: at},
		},
		View: &exporting.View{
			Topology: &exporting.Topology{
				Brokers:  []exporting.Broker{{ID: "0", Address: "http://a", Version: "8.9.3"}, {ID: "1", Address: "http://b"}},
				Expected: []exporting.ExpectedPartition{{ID: first, Replicas: 2, Members: []exporting.BrokerID{"0", "1"}}},
			},
			Observations: map[exporting.BrokerID]exporting.Observation{
				"0": {Read: at.Add(-time.Minute), Readings: []exporting.Reading{
					{Partition: first, Role: exporting.RoleLeader, Phase: exporting.PhasePaused, Processed: exporting.At(70), Exported: exporting.At(28)},
					{Partition: second, Role: exporting.RoleLeader, Phase: exporting.PhaseExporting, Processed: exporting.At(9), Exported: exporting.At(10)},
				}},
				"1": {Failed: at, Err: errors.New("connection refused")},
			},
		},
	}
}

// sources know something of everything.
func sources() telemetry.Sources {
	return telemetry.Sources{
		Status: status,
		Term:   func() (uint64, bool) { return 7, true },
		Clocks: func() map[string]time.Duration { return map[string]time.Duration{"other": -6 * time.Second} },
		Disks: func() []reconcile.DiskState {
			measured := exporting.Measurement{Disk: exporting.Disk{Free: 5e9, Total: 1e11}, At: at}
			return []reconcile.DiskState{
				{Broker: "0", Measurement: measured, Low: true},
				{Broker: "1", Measurement: exporting.Measurement{Err: errors.New("no such path"), At: at}},
			}
		},
		Certificates: func() []telemetry.Certificate {
			return []telemetry.Certificate{
				{Use: "server", NotBefore: at, NotAfter: at.Add(time.Hour), TrustNotAfter: at.Add(2 * time.Hour)},
				{Use: "etcd", TrustNotAfter: at, Err: errors.New("half written")},
			}
		},
		Tokens:      func() error { return errors.New("line 3") },
		Identity:    func() telemetry.Identity { return telemetry.Identity{Issuer: "https://issuer.example.org", Keys: 2} },
		Audit:       func() error { return nil },
		Connections: func() map[string]int { return map[string]int{"http": 3, "grpc": 1} },
	}
}

const pause = "/exportgate.v1.ExportingService/Pause"

// everything is metrics that have something to tell by every name.
func everything(t *testing.T) *telemetry.Metrics {
	t.Helper()
	m, err := telemetry.New(telemetry.Options{
		Methods: []string{pause}, Refusals: []string{"UNAUTHENTICATED"}, Guard: "warn", Version: "1.0.0", Commit: "07c8b9d",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Expose(sources()); err != nil {
		t.Fatal(err)
	}
	m.Started(pause)
	m.Call(pause, "OK", time.Second)
	m.BrokerRequest("partitions", "ok", 20*time.Millisecond)
	m.Passed(time.Second)
	m.ConnectionRefused("http")
	m.ConnectionDisplaced("http")
	return m
}
