package zeebe

import (
	"context"
	"fmt"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// clusterLever moves all brokers from 8.10 on. The lever of an older broker has its address for an id.
const clusterLever exporting.LeverID = "cluster"

// Write asks a lever for a phase; see [exporting.Cluster].
func (c *Client) Write(ctx context.Context, lever exporting.Lever, phase exporting.Phase) error {
	switch {
	case !phase.Settable():
		return fmt.Errorf("brokers cannot be asked for the phase %s", phase)
	case lever.Planned:
		return c.writeCluster(ctx, phase)
	}
	return c.writeBroker(ctx, string(lever.ID), phase)
}
