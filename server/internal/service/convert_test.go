package service

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// Every word of the core has one of its own in the contract, and none is taken for "never sent".
func TestWordsAreConverted(t *testing.T) {
	phases := map[exportgatev1.Phase]bool{}
	for p := exporting.PhaseUnknown; p <= exporting.PhaseMixed; p++ {
		phases[toPhase(p)] = true
		if want := "PHASE_" + p.String(); toPhase(p).String() != want {
			t.Errorf("%v became %v", p, toPhase(p))
		}
	}
	if len(phases) != len(exportgatev1.Phase_name)-1 {
		t.Errorf("phases %v", phases)
	}
	for r := exporting.RoleUnknown; r <= exporting.RolePromotable; r++ {
		if want := "ROLE_" + r.String(); toRole(r).String() != want {
			t.Errorf("%v became %v", r, toRole(r))
		}
	}
	for h := exporting.HealthUnknown; h <= exporting.HealthDead; h++ {
		if want := "HEALTH_" + h.String(); toHealth(h).String() != want {
			t.Errorf("%v became %v", h, toHealth(h))
		}
	}
	for c := hold.Pending; c <= hold.Unknown; c++ {
		if want := "CONTINUITY_" + c.String(); toContinuity(c).String() != want {
			t.Errorf("%v became %v", c, toContinuity(c))
		}
	}
	ends, kinds := map[exportgatev1.HoldEnd]bool{}, map[exportgatev1.EventKind]bool{}
	for e := hold.Released; e <= hold.Guarded; e++ {
		ends[toEnd(e)] = true
	}
	for k := reconcile.EventHoldPlaced; k <= reconcile.EventDisk; k++ {
		kinds[toKind(k)] = true
	}
	if len(ends) != len(exportgatev1.HoldEnd_name)-1 || len(kinds) != len(exportgatev1.EventKind_name)-1 || ends[0] || kinds[0] {
		t.Errorf("ends %v, kinds %v", ends, kinds)
	}
}

func TestToStatus(t *testing.T) {
	at := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	p1 := exporting.PartitionID{ID: 1}
	view := &exporting.View{
		Topology: &exporting.Topology{
			Brokers: []exporting.Broker{
				{ID: "0", Address: "http://0", Version: "8.9.3"}, {ID: "1", Address: "http://1", Version: "8.9.3"},
			},
			Expected: []exporting.ExpectedPartition{{ID: p1, Replicas: 2, Members: []exporting.BrokerID{"0", "1"}}},
			Source:   "cluster endpoint", ReplicationFactor: 2,
		},
		Observations: map[exporting.BrokerID]exporting.Observation{
			"0": {Read: at, Readings: []exporting.Reading{{
				Partition: p1, Role: exporting.RoleLeader, Phase: exporting.PhasePaused,
				Processed: exporting.At(90), Exported: exporting.At(-1), Health: exporting.HealthHealthy,
			}}},
			"1": {Err: errors.New("connection refused")},
		},
	}
	got := toStatus(&reconcile.Status{
		Target: exporting.PhasePaused, Observed: exporting.PhasePaused, View: view,
		Unsettled: []exporting.Failure{{Partition: p1, Broker: "1", Reason: "connection refused"}},
		Holds: []hold.Hold{{
			ID: "operator", UID: "u", Phase: exporting.PhasePaused, Owner: "me", Reason: "why", Created: at, Settled: at,
			Expires: at.Add(time.Hour), Record: hold.Continuous{Complete: true},
		}},
		Unseen: []string{"the leader of partition 2 cannot be read"},
		History: []hold.Ended{{
			Hold: hold.Hold{
				ID: "b", UID: "v", Phase: exporting.PhaseSoftPaused, Record: hold.Continuous{Broken: true, Evidence: []string{"x"}},
			},
			At: at, How: hold.Forced, By: "you", Continuity: hold.Broken,
		}},
		Stale: errors.New("the disk is full"), Driver: "server-1",
		Events:   []reconcile.Event{{Time: at, Kind: reconcile.EventHoldEnded, Message: "something", Hold: "operator"}},
		Stalled:  map[exporting.PartitionID]exporting.BrokerID{p1: "0"},
		Warnings: []string{"look out"},
	})
	want := &exportgatev1.Status{
		Target: exportgatev1.Phase_PHASE_PAUSED, Observed: exportgatev1.Phase_PHASE_PAUSED,
		UnsettledReason: "partition 1 on broker 1: connection refused",
		Partitions: []*exportgatev1.PartitionStatus{{Id: 1, ExpectedReplicas: 2, Replicas: []*exportgatev1.Replica{
			{
				Broker: "0", Role: exportgatev1.Role_ROLE_LEADER, Phase: exportgatev1.Phase_PHASE_PAUSED,
				ProcessedPosition: proto.Int64(90), ExportedPosition: proto.Int64(-1), Lag: proto.Int64(91),
				Health: exportgatev1.Health_HEALTH_HEALTHY, ObservedTime: timestamppb.New(at),
				Stalled: true, Error: reconcile.StallCure,
			},
			{
				Broker: "1", Role: exportgatev1.Role_ROLE_UNKNOWN, Phase: exportgatev1.Phase_PHASE_UNKNOWN,
				Health: exportgatev1.Health_HEALTH_UNKNOWN, Error: "connection refused",
			},
		}}},
		Holds: []*exportgatev1.Hold{{
			Id: "operator", Uid: "u", Phase: exportgatev1.Phase_PHASE_PAUSED, Owner: "me", Reason: "why",
			CreateTime: timestamppb.New(at), SettleTime: timestamppb.New(at), ExpireTime: timestamppb.New(at.Add(time.Hour)),
			Continuity: exportgatev1.Continuity_CONTINUITY_UNKNOWN, Evidence: []string{"the leader of partition 2 cannot be read"},
		}},
		History: []*exportgatev1.EndedHold{{
			Hold: &exportgatev1.Hold{
				Id: "b", Uid: "v", Phase: exportgatev1.Phase_PHASE_SOFT_PAUSED, Evidence: []string{"x"},
				Continuity: exportgatev1.Continuity_CONTINUITY_BROKEN,
			},
			EndTime: timestamppb.New(at), End: exportgatev1.HoldEnd_HOLD_END_FORCED, EndedBy: "you",
		}},
		Stale: "the disk is full", Driver: "server-1",
		Cluster: &exportgatev1.Cluster{
			Brokers: []*exportgatev1.Broker{
				{Id: "0", Address: "http://0", Version: "8.9.3"},
				{Id: "1", Address: "http://1", Version: "8.9.3", Error: "connection refused"},
			},
			Partitions: 1, ReplicationFactor: 2, Versions: []string{"8.9.3"}, Source: "cluster endpoint",
		},
		Events: []*exportgatev1.Event{{
			Time: timestamppb.New(at), Message: "something", Hold: "operator", Kind: exportgatev1.EventKind_EVENT_KIND_HOLD_ENDED,
		}},
		Warnings: []string{"look out"},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
