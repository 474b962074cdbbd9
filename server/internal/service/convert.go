package service

import (
	"cmp"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

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

// toLiveHold converts a hold that lives, with what a release would say of it now.
func toLiveHold(s *reconcile.Status, h *hold.Hold) *exportgatev1.Hold {
	if h == nil {
		return nil
	}
	out := toHold(h, s.Continuity(h))
	if out.GetContinuity() == exportgatev1.Continuity_CONTINUITY_UNKNOWN {
		out.Evidence = append(out.GetEvidence(), s.Unseen...)
	}
	return out
}

func toHold(h *hold.Hold, verdict hold.Continuity) *exportgatev1.Hold {
	if h == nil {
		return nil
	}
	return &exportgatev1.Hold{
		Id: h.ID, Uid: h.UID, Phase: toPhase(h.Phase), Owner: h.Owner, Reason: h.Reason,
		CreateTime: toTime(h.Created), SettleTime: toTime(h.Settled), ExpireTime: toTime(h.Expires),
		Continuity: toContinuity(verdict), Evidence: slices.Clone(h.Record.Evidence),
	}
}

func toContinuity(c hold.Continuity) exportgatev1.Continuity {
	switch c {
	case hold.Intact:
		return exportgatev1.Continuity_CONTINUITY_INTACT
	case hold.Broken:
		return exportgatev1.Continuity_CONTINUITY_BROKEN
	case hold.Unknown:
		return exportgatev1.Continuity_CONTINUITY_UNKNOWN
	case hold.Pending:
	}
	return exportgatev1.Continuity_CONTINUITY_PENDING
}

func toEnd(e hold.End) exportgatev1.HoldEnd {
	switch e {
	case hold.Released:
		return exportgatev1.HoldEnd_HOLD_END_RELEASED
	case hold.Expired:
		return exportgatev1.HoldEnd_HOLD_END_EXPIRED
	case hold.Forced:
		return exportgatev1.HoldEnd_HOLD_END_FORCED
	case hold.Withdrawn:
		return exportgatev1.HoldEnd_HOLD_END_WITHDRAWN
	case hold.Replaced:
		return exportgatev1.HoldEnd_HOLD_END_REPLACED
	case hold.ResumedElsewhere:
		return exportgatev1.HoldEnd_HOLD_END_RESUMED_ELSEWHERE
	case hold.Guarded:
		return exportgatev1.HoldEnd_HOLD_END_GUARD
	}
	return exportgatev1.HoldEnd_HOLD_END_UNSPECIFIED
}

func toKind(k reconcile.EventKind) exportgatev1.EventKind {
	switch k {
	case reconcile.EventHoldPlaced:
		return exportgatev1.EventKind_EVENT_KIND_HOLD_PLACED
	case reconcile.EventHoldSettled:
		return exportgatev1.EventKind_EVENT_KIND_HOLD_SETTLED
	case reconcile.EventHoldEnded:
		return exportgatev1.EventKind_EVENT_KIND_HOLD_ENDED
	case reconcile.EventHoldBroken:
		return exportgatev1.EventKind_EVENT_KIND_HOLD_BROKEN
	case reconcile.EventNotSettled:
		return exportgatev1.EventKind_EVENT_KIND_NOT_SETTLED
	case reconcile.EventResumed:
		return exportgatev1.EventKind_EVENT_KIND_RESUMED
	case reconcile.EventForeign:
		return exportgatev1.EventKind_EVENT_KIND_FOREIGN
	case reconcile.EventRepaused:
		return exportgatev1.EventKind_EVENT_KIND_REPAUSED
	case reconcile.EventReplica:
		return exportgatev1.EventKind_EVENT_KIND_REPLICA
	case reconcile.EventBroker:
		return exportgatev1.EventKind_EVENT_KIND_BROKER
	case reconcile.EventStore:
		return exportgatev1.EventKind_EVENT_KIND_STORE
	case reconcile.EventDisk:
		return exportgatev1.EventKind_EVENT_KIND_DISK
	}
	return exportgatev1.EventKind_EVENT_KIND_UNSPECIFIED
}

func toEvents(events []reconcile.Event) []*exportgatev1.Event {
	var out []*exportgatev1.Event
	for _, e := range events {
		out = append(out, &exportgatev1.Event{Time: toTime(e.Time), Message: e.Message, Hold: e.Hold, Kind: toKind(e.Kind)})
	}
	return out
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

// maxHistory is how many of the holds that have ended a status shows: what a person looks at.
const maxHistory = 50

func toStatus(s *reconcile.Status) *exportgatev1.Status {
	out := &exportgatev1.Status{
		Target: toPhase(s.Target), Observed: toPhase(s.Observed), Settled: s.Settled,
		UnsettledReason: exporting.Summary(s.Unsettled), Foreign: s.Foreign,
		Partitions: toPartitions(s), Cluster: toCluster(s.View), Warnings: s.Warnings, Driver: s.Driver,
		Events: toEvents(s.Events),
	}
	if s.Stale != nil {
		out.Stale = s.Stale.Error()
	}
	for i := range s.Holds {
		out.Holds = append(out.Holds, toLiveHold(s, &s.Holds[i]))
	}
	history := s.History[max(0, len(s.History)-maxHistory):]
	for i := range history {
		e := &history[i]
		out.History = append(out.History, &exportgatev1.EndedHold{
			Hold: toHold(&e.Hold, e.Continuity), EndTime: toTime(e.At), End: toEnd(e.How), EndedBy: e.By,
		})
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
		Versions: t.Versions(), Id: t.ClusterID, Source: t.Source, PendingChange: t.Pending,
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
