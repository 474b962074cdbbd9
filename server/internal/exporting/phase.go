package exporting

import "fmt"

// Phase is whether and how a replica exports (zeebe-facts.md 3.2).
type Phase uint8

// The phases. The zero value is what an unread replica has.
const (
	// PhaseUnknown: not read, or a word that is not known.
	PhaseUnknown Phase = iota
	// PhaseExporting: records are exported and positions stored.
	PhaseExporting
	// PhaseSoftPaused: records are exported, the stored position stands still.
	PhaseSoftPaused
	// PhasePaused: nothing is exported.
	PhasePaused
	// PhaseClosed: the exporter director is closed; passing during a change of role, or for good.
	PhaseClosed
	// PhaseMixed: replicas differ; only of many replicas together.
	PhaseMixed
)

// String returns Zeebe's own word for the phase.
func (p Phase) String() string {
	switch p {
	case PhaseExporting:
		return "EXPORTING"
	case PhaseSoftPaused:
		return "SOFT_PAUSED"
	case PhasePaused:
		return "PAUSED"
	case PhaseClosed:
		return "CLOSED"
	case PhaseMixed:
		return "MIXED"
	case PhaseUnknown:
	}
	return "UNKNOWN"
}

// MarshalText writes Zeebe's own word.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the word of a phase that brokers can be asked for; others are an error.
func (p *Phase) UnmarshalText(text []byte) error {
	for known := PhaseExporting; known.Settable(); known++ {
		if known.String() == string(text) {
			*p = known
			return nil
		}
	}
	return fmt.Errorf("%q is not a phase that brokers can be asked for", text)
}

// Settable reports whether brokers can be asked for the phase.
func (p Phase) Settable() bool {
	return p == PhaseExporting || p.Paused()
}

// Paused reports whether it is one of the two pauses, which is what a hold can ask for.
func (p Phase) Paused() bool { return p == PhaseSoftPaused || p == PhasePaused }

// Weaker reports whether a replica in this phase exports more than another lets it. CLOSED exports nothing, and what is not
// known says nothing.
func (p Phase) Weaker(than Phase) bool { return p.Settable() && p < than }

// Role is what a replica is in its partition's raft group (zeebe-facts.md 4.1).
type Role uint8

// The roles. The zero value is what an unread replica has.
const (
	RoleUnknown Role = iota
	RoleLeader
	RoleFollower
	RoleInactive
	RoleCandidate
	RolePassive
	RolePromotable
)

// String returns Zeebe's own word for the role.
func (r Role) String() string {
	switch r {
	case RoleLeader:
		return "LEADER"
	case RoleFollower:
		return "FOLLOWER"
	case RoleInactive:
		return "INACTIVE"
	case RoleCandidate:
		return "CANDIDATE"
	case RolePassive:
		return "PASSIVE"
	case RolePromotable:
		return "PROMOTABLE"
	case RoleUnknown:
	}
	return "UNKNOWN"
}

// Health is what a broker says of a replica; brokers before 8.6 say nothing.
type Health uint8

// The healths. The zero value is a broker that does not say.
const (
	HealthUnknown Health = iota
	HealthHealthy
	HealthUnhealthy
	HealthDead
)

// String returns Zeebe's own word for the health.
func (h Health) String() string {
	switch h {
	case HealthHealthy:
		return "HEALTHY"
	case HealthUnhealthy:
		return "UNHEALTHY"
	case HealthDead:
		return "DEAD"
	case HealthUnknown:
	}
	return "UNKNOWN"
}
