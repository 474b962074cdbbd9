package server

import (
	"errors"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/gateway"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// TestBrokersHealth proves that brokers which were never found are told apart from those that nobody looked for yet.
func TestBrokersHealth(t *testing.T) {
	silent := errors.New("connection refused")
	topology := &exporting.Topology{Brokers: []exporting.Broker{{ID: "0"}, {ID: "1"}}}
	for name, test := range map[string]struct {
		status *reconcile.Status
		want   gateway.HealthStatus
	}{
		"nobody looked":  {nil, gateway.HealthUnknown},
		"not tried":      {&reconcile.Status{View: &exporting.View{}}, gateway.HealthUnknown},
		"none was found": {&reconcile.Status{View: &exporting.View{TopologyErr: silent}}, gateway.HealthDown},
		"all answer":     {&reconcile.Status{View: &exporting.View{Topology: topology}}, gateway.HealthUp},
		"one is silent": {&reconcile.Status{View: &exporting.View{
			Topology: topology, Observations: map[exporting.BrokerID]exporting.Observation{"1": {Err: silent}},
		}}, gateway.HealthDown},
	} {
		if got := brokersHealth(test.status); got.Status != test.want || got.Name != "brokers" {
			t.Errorf("%s: got %+v, want %s", name, got, test.want)
		}
	}
}

// TestEnded proves that a certificate which is not there does not count as one whose time is over.
func TestEnded(t *testing.T) {
	now := time.Now()
	if ended(time.Time{}, now) || ended(now.Add(time.Hour), now) || !ended(now.Add(-time.Hour), now) {
		t.Error("what ends when is mistaken")
	}
}
