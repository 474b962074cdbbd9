package zeebe

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// Read reads every replica on a broker from GET partitions; see [exporting.Cluster].
//
// A replica that is closed and never exported is looked into once more (GET exporters), and a broker that answers again
// after a silence is asked for its generation, for the next [Client.Topology] to tell; neither can fail the read.
func (c *Client) Read(ctx context.Context, broker exporting.Broker) ([]exporting.Reading, error) {
	if broker.Address == "" {
		return nil, errors.New("its address is not known: is it down, or missing in zeebe.brokers?")
	}
	readings, err := c.read(ctx, broker.Address)
	if err != nil {
		return nil, located(broker.ID, broker.Address, err)
	}
	c.probe(ctx, broker.Address)
	return readings, nil
}

// read reads a broker and lets the guard know what it showed.
func (c *Client) read(ctx context.Context, address string) ([]exporting.Reading, error) {
	began := time.Now()
	readings, err := c.readPartitions(ctx, address)
	if err != nil {
		c.memory.with(address, func(r *record) { r.guard.unread() })
		return nil, err
	}
	if slices.ContainsFunc(readings, mayHaveNoExporters) && c.hasNoExporters(ctx, address) {
		for i, r := range readings {
			readings[i].NoExporters = mayHaveNoExporters(r)
		}
	}
	c.memory.with(address, func(r *record) { r.guard.showed(readings, began, time.Now()) })
	if readings[len(readings)-1].Partition.Tenant != "" {
		c.memory.sawTenants()
	}
	return readings, nil
}

func (c *Client) readPartitions(ctx context.Context, address string) ([]exporting.Reading, error) {
	return call(ctx, c, get(operationPartitions, address, "/partitions"), func(a answer) ([]exporting.Reading, error) {
		switch a.status {
		case http.StatusOK:
			return decodePartitions(a.body)
		case http.StatusNotFound:
			return nil, errNoPartitions
		}
		return nil, refusal(a)
	})
}

// hasNoExporters reports whether a broker proves that none of its exporters works. Brokers before 8.6 cannot.
func (c *Client) hasNoExporters(ctx context.Context, address string) bool {
	none, err := ask(ctx, c, get(operationExporters, address, "/exporters"), decodeExporters)
	return err == nil && none
}
