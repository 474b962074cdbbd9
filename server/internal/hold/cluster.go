package hold

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// Cluster is what a ledger is bound to, so that holds of one cluster are never enforced on another.
type Cluster struct {
	// ID is the cluster's own, empty where no broker tells it.
	ID string `json:"id,omitempty"`
	// Names it is found by, in order: management addresses, or what they are resolved from; those of the first topology,
	// and all that joined later.
	Names []string `json:"names,omitempty"`
}

// ClusterOf is the cluster of a topology.
func ClusterOf(t *exporting.Topology) Cluster {
	names := slices.Sorted(slices.Values(t.Names))
	return Cluster{ID: t.ClusterID, Names: slices.Compact(names)}
}

// same reports whether two descriptions can be of one cluster: by id where both have one, else by a name in common.
func (c Cluster) same(other Cluster) bool {
	if c.ID != "" && other.ID != "" {
		return c.ID == other.ID
	}
	return slices.ContainsFunc(c.Names, func(name string) bool { return slices.Contains(other.Names, name) })
}

// join returns the cluster with what the other knows besides, and whether that is more.
func (c Cluster) join(other Cluster) (Cluster, bool) {
	names := slices.Concat(c.Names, other.Names)
	slices.Sort(names)
	joined := Cluster{ID: cmp.Or(other.ID, c.ID), Names: slices.Compact(names)}
	if len(joined.Names) > maxNames {
		joined.Names = other.Names
	}
	return joined, joined.ID != c.ID || !slices.Equal(joined.Names, c.Names)
}

// maxNames bounds what years of changing addresses add up to; then those count that it is found by now.
const maxNames = 1000

func (c Cluster) bound() bool { return c.ID != "" || len(c.Names) > 0 }

func (c Cluster) String() string {
	if c.ID != "" {
		return "cluster " + c.ID
	}
	return "the cluster of " + strings.Join(c.Names[:min(len(c.Names), 5)], ", ")
}

// OtherClusterError refuses a ledger that belongs to another cluster.
type OtherClusterError struct{ Bound, Found Cluster }

// Error names both and the way out.
func (e *OtherClusterError) Error() string {
	return fmt.Sprintf("the ledger of holds is that of %s, and the brokers are %s: give each cluster a ledger of its own "+
		"(store.path or store.etcd.prefix), or correct zeebe.brokers or zeebe.gateway", e.Bound, e.Found)
}
