package embedded

// Phase is a replica's exporter phase, in Zeebe's own words (zeebe-facts.md 3.2).
type Phase string

// The phases. A replica whose partition could not start has none.
const (
	Exporting  Phase = "EXPORTING"
	SoftPaused Phase = "SOFT_PAUSED"
	Paused     Phase = "PAUSED"
	Closed     Phase = "CLOSED"
)

// metric is the phase's number in the gauge zeebe_exporter_state (zeebe-facts.md 3.2).
func (p Phase) metric() int {
	switch p {
	case Paused:
		return 1
	case SoftPaused:
		return 2
	case Closed:
		return 3
	case Exporting:
	}
	return 0
}

// Role is what a replica is in its partition's raft group, in Zeebe's own words (zeebe-facts.md 4.1).
type Role string

// The roles. A replica whose broker is down has none.
const (
	Leader    Role = "LEADER"
	Follower  Role = "FOLLOWER"
	Candidate Role = "CANDIDATE" // there is no quorum
	Inactive  Role = "INACTIVE"
)

// Replica is the truth about one replica at one moment.
type Replica struct {
	Tenant    string // empty where the cluster has no tenants
	Partition int
	Broker    int
	Role      Role
	// Phase is what the replica really does, or if its broker is down what it would start in.
	Phase Phase
	// Exported is the stored exported position, -1 before the first.
	Exported int64
}
