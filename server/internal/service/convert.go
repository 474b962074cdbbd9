package service

import (
	"cmp"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

func fromOnFailure(f exportgatev1.OnFailure) (reconcile.OnFailure, error) {
	switch f {
	case exportgatev1.OnFailure_ON_FAILURE_UNSPECIFIED:
		return reconcile.OnFailureDefault, nil
	case exportgatev1.OnFailure_ON_FAILURE_REVERT:
		return reconcile.Revert, nil
	case exportgatev1.OnFailure_ON_FAILURE_KEEP:
		return reconcile.Keep, nil
	}
	return 0, &invalidError{"on_failure", fmt.Sprintf("%d is not known", f)}
}

func toPhase(p exporting.Phase) exportgatev1.Phase {
	switch p {
	case exporting.PhaseExporting:
		return exportgatev1.Phase_PHASE_EXPORTING
	case exporting.PhaseSoftPaused:
		return exportgatev1.Phase_PHASE_SOFT_PAUSED
	case exporting.PhasePaused:
		return exportgatev1.Phase_PHASE_PAUSED
	case exporting.PhaseClosed:
		return exportgatev1.Phase_PHASE_CLOSED
	case exporting.PhaseMixed:
		return exportgatev1.Phase_PHASE_MIXED
	case exporting.PhaseUnknown:
	}
	return exportgatev1.Phase_PHASE_UNKNOWN
}

func toRole(r exporting.Role) exportgatev1.Role {
	switch r {
	case exporting.RoleLeader:
		return exportgatev1.Role_ROLE_LEADER
	case exporting.RoleFollower:
		return exportgatev1.Role_ROLE_FOLLOWER
	case exporting.RoleInactive:
		return exportgatev1.Role_ROLE_INACTIVE
	case exporting.RoleCandidate:
		return exportgatev1.Role_ROLE_CANDIDATE
	case exporting.RolePassive:
		return exportgatev1.Role_ROLE_PASSIVE
	case exporting.RolePromotable:
		return exportgatev1.Role_ROLE_PROMOTABLE
	case exporting.RoleUnknown:
	}
	return exportgatev1.Role_ROLE_UNKNOWN
}

func toHealth(h exporting.Health) exportgatev1.Health {
	switch h {
	case exporting.HealthHealthy:
		return exportgatev1.Health_HEALTH_HEALTHY
	case exporting.HealthUnhealthy:
		return exportgatev1.Health_HEALTH_UNHEALTHY
	case exporting.HealthDead:
		return exportgatev1.Health_HEALTH_DEAD
	case exporting.HealthUnknown:
	}
	return exportgatev1.Health_HEALTH_UNKNOWN
}

func toHold(h *hold.Hold) *exportgatev1.Hold {
	if h == nil {
		return nil
	}
	return &exportgatev1.Hold{
		Id: h.ID, Uid: h.UID, Phase: toPhase(h.Phase), Owner: h.Owner, CreateTime: toTime(h.Created), SettleTime: toTime(h.Settled),
	}
}

func toChanges(changes []exporting.Change) []*exportgatev1.Change {
	out := make([]*exportgatev1.Change, len(changes))
	for i, c := range changes {
		out[i] = &exportgatev1.Change{
			Partition: c.Partition.ID, Tenant: c.Partition.Tenant, Broker: string(c.Broker),
			Before: toPhase(c.Before), After: toPhase(c.After),
		}
	}
	return out
}

// toTime leaves out what has not happened.
func toTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func toPosition(p exporting.Position) *int64 {
	if !p.Known {
		return nil
	}
	return &p.Value
}

func toStatus(s *reconcile.Status) *exportgatev1.Status {
	out := &exportgatev1.Status{
		Target: toPhase(s.Target), Observed: toPhase(s.Observed), Settled: s.Settled,
		UnsettledReason: exporting.Summary(s.Unsettled), Foreign: s.Foreign,
		Partitions: toPartitions(s), Cluster: toCluster(s.View), Warnings: s.Warnings,
	}
	for i := range s.Holds {
		out.Holds = append(out.Holds, toHold(&s.Holds[i]))
	}
	for _, e := range s.Events {
		out.Events = append(out.Events, &exportgatev1.Event{Time: toTime(e.Time), Message: e.Message, Hold: e.Hold})
	}
	return out
}

// toPartitions groups the replicas, which are in order.
func toPartitions(s *reconcile.Status) []*exportgatev1.PartitionStatus {
	expected := map[exporting.PartitionID]int{}
	if s.View.Topology != nil {
		for _, p := range s.View.Topology.Expected {
			expected[p.ID] = p.Replicas
		}
	}
	reasons := map[replicaKey]string{}
	for _, f := range s.Unsettled {
		reasons[replicaKey{f.Partition, f.Broker}] = f.Reason
	}
	var partitions []*exportgatev1.PartitionStatus
	var last exporting.PartitionID
	for _, r := range s.View.Replicas() {
		if len(partitions) == 0 || r.Partition != last {
			partitions = append(partitions, &exportgatev1.PartitionStatus{
				Id: r.Partition.ID, Tenant: r.Partition.Tenant, ExpectedReplicas: int32(expected[r.Partition]), //nolint:gosec // A number of brokers.
			})
			last = r.Partition
		}
		p := partitions[len(partitions)-1]
		p.Replicas = append(p.Replicas, toReplica(s, r, reasons[replicaKey{r.Partition, r.Broker}]))
	}
	return partitions
}

type replicaKey struct {
	partition exporting.PartitionID
	broker    exporting.BrokerID
}

func toReplica(s *reconcile.Status, r exporting.Replica, reason string) *exportgatev1.Replica {
	out := &exportgatev1.Replica{
		Broker: string(r.Broker), Role: toRole(r.Role), Phase: toPhase(r.Phase), Health: toHealth(r.Health),
		ProcessedPosition: toPosition(r.Processed), ExportedPosition: toPosition(r.Exported),
		ObservedTime: toTime(r.Observed), Error: reason,
	}
	if r.Processed.Known && r.Exported.Known {
		lag := max(0, r.Processed.Value-r.Exported.Value)
		out.Lag = &lag
	}
	if broker, ok := s.Stalled[r.Partition]; ok && broker == r.Broker {
		out.Stalled = true
		out.Error = cmp.Or(reason, reconcile.StallCure)
	}
	return out
}

func toCluster(view *exporting.View) *exportgatev1.Cluster {
	t := view.Topology
	if t == nil {
		return &exportgatev1.Cluster{}
	}
	out := &exportgatev1.Cluster{
		Partitions: int32(len(t.Expected)), ReplicationFactor: int32(t.ReplicationFactor), //nolint:gosec // Small numbers.
		Versions: t.Versions(), Source: t.Source, PendingChange: t.Pending,
	}
	for _, b := range t.Brokers {
		broker := &exportgatev1.Broker{Id: string(b.ID), Address: b.Address, Version: b.Version}
		if err := view.Observations[b.ID].Err; err != nil {
			broker.Error = err.Error()
		}
		out.Brokers = append(out.Brokers, broker)
	}
	return out
}
