package zeebe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

const (
	// askAtOnce is how many brokers in a row may be asked for the configuration within one request timeout (one more a
	// second by default): one that hangs must not hold up every round.
	askAtOnce = 8
	// maxUseless is how many brokers may answer without telling the configuration before it is given up: brokers before
	// 8.3 cannot, none of them.
	maxUseless = 3
)

// Topology finds the brokers and asks one of them what the cluster is configured to be; see [exporting.Cluster].
//
// Expected comes from GET cluster, which knows the brokers that are down too; else from the gateway's counts; else from
// the configured counts; else nothing tells. It is one request while the brokers are the same and answer.
func (c *Client) Topology(ctx context.Context) (*exporting.Topology, error) {
	found, err := c.finder.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("the brokers cannot be found: %w", err)
	}
	c.memory.meet(found.endpoints, time.Now())
	c.memory.doubtOld()
	addresses := make([]string, len(found.endpoints))
	for i, e := range found.endpoints {
		addresses[i] = e.address
	}
	var probes sync.WaitGroup
	probes.Go(func() { c.probe(ctx, addresses...) })
	config, teller, err := c.configuration(ctx, addresses)
	probes.Wait()
	if err != nil && isSilence(err) && found.gateway == "" {
		return nil, fmt.Errorf("no broker answers: %w", err)
	}
	c.logTrouble(ctx, both(found.trouble, err))
	t := &exporting.Topology{ClusterID: cmp.Or(c.cluster, found.cluster), Names: found.names}
	switch {
	case err == nil:
		t.Expected = config.expected
		t.Source = "GET cluster of " + teller
		t.Pending, t.PendingMembers = config.describe()
		if !config.tenants && c.memory.hasTenants() {
			t.Source += ", which does not tell the tenants that GET partitions shows"
		}
	case found.counts.known():
		t.Expected = found.counts.expected()
		t.Source = "the topology of gateway " + found.gateway
	case c.counts.known():
		t.Expected = c.counts.expected()
		t.Source = "zeebe.partitions and zeebe.replication-factor"
	}
	c.identify(t, found.endpoints, config)
	t.ReplicationFactor = commonReplicas(t.Expected)
	return t, nil
}

// identify lists the brokers with their ids. Where ids lead to addresses, only brokers that are configured to host a
// replica are listed, with an address or without: one that hosts none, because it left, has not joined yet or is spare,
// answers an empty map for good. Where they do not, the members of partitions are dropped.
func (c *Client) identify(t *exporting.Topology, endpoints []endpoint, config configuration) {
	ids, certain := identities(endpoints, config.listed)
	c.memory.name(endpoints, ids)
	for i, e := range endpoints {
		if certain && len(config.hosts) > 0 && !slices.Contains(config.hosts, ids[i]) {
			continue
		}
		b, lever := c.memory.broker(e.address, c.allow)
		t.Brokers = append(t.Brokers, b)
		if lever.ID != "" && !slices.Contains(t.Levers, lever) {
			t.Levers = append(t.Levers, lever)
		}
	}
	for _, id := range config.hosts {
		if certain && !slices.Contains(ids, id) {
			t.Brokers = append(t.Brokers, exporting.Broker{ID: id, SoftPause: true})
		}
	}
	slices.SortFunc(t.Brokers, func(a, b exporting.Broker) int { return exporting.CompareBrokers(a.ID, b.ID) })
	if !certain {
		for i := range t.Expected {
			t.Expected[i].Members = nil
		}
	}
}

// configuration asks brokers, one after the other, until one tells the configuration, and returns its address too. It
// starts with the one that did last time. A broker that takes long does not keep the next from being asked. The error
// is a silence only if nobody answered anything.
func (c *Client) configuration(ctx context.Context, addresses []string) (configuration, string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	var asked sync.WaitGroup
	defer asked.Wait()
	defer cancel()

	type outcome struct {
		address string
		config  configuration
		err     error
	}
	outcomes := make(chan outcome, len(addresses))
	rest := c.memory.inOrderOfPreference(addresses)
	waiting, useless := 0, 0
	askNext := func() {
		if len(rest) == 0 || useless >= maxUseless {
			return
		}
		address := rest[0]
		rest = rest[1:]
		waiting++
		asked.Go(func() {
			config, err := c.askConfiguration(ctx, address)
			outcomes <- outcome{address, config, err}
		})
	}
	impatience := time.NewTicker(max(c.timeout/askAtOnce, 1))
	defer impatience.Stop()
	err := errors.New("there is no broker to ask")
	for askNext(); waiting > 0; {
		select {
		case o := <-outcomes:
			waiting--
			switch {
			case o.err == nil:
				c.memory.prefer(o.address)
				return o.config, o.address, nil
			case !isSilence(o.err):
				useless++
				err = o.err
			case useless == 0:
				err = o.err
			}
			askNext()
		case <-impatience.C:
			askNext()
		}
	}
	return configuration{}, "", err
}

// askConfiguration asks one broker. Where there are several tenants, GET cluster leaves out what is pending, and the
// list of changes tells it.
func (c *Client) askConfiguration(ctx context.Context, address string) (configuration, error) {
	config, err := ask(ctx, c, get(operationCluster, address, "/cluster"), decodeCluster)
	if err == nil && config.tenants {
		config.pending, err = ask(ctx, c, get(operationChanges, address, "/cluster/changes"), decodeChanges)
	}
	if err != nil {
		return configuration{}, fmt.Errorf("broker %s: %w", address, err)
	}
	return config, nil
}

// ask sends a request and decodes a successful answer.
func ask[T any](ctx context.Context, c *Client, r request, decode func([]byte) (T, error)) (T, error) {
	return call(ctx, c, r, func(a answer) (none T, _ error) {
		if a.status != http.StatusOK {
			return none, refusal(a)
		}
		return decode(a.body)
	})
}

// expected is what counts tell: partitions from 1 on, each with as many replicas.
func (n counts) expected() []exporting.ExpectedPartition {
	partitions := make([]exporting.ExpectedPartition, n.partitions)
	for i := range partitions {
		partitions[i].ID.ID = int32(i) + 1
		partitions[i].Replicas = n.replicationFactor
	}
	return partitions
}

// commonReplicas is how many replicas every partition has, or 0 where they differ.
func commonReplicas(partitions []exporting.ExpectedPartition) int {
	if len(partitions) == 0 {
		return 0
	}
	n := partitions[0].Replicas
	if slices.ContainsFunc(partitions, func(p exporting.ExpectedPartition) bool { return p.Replicas != n }) {
		return 0
	}
	return n
}

// logTrouble logs what keeps the topology from being known when it changes, not at every round.
func (c *Client) logTrouble(ctx context.Context, trouble error) {
	text := ""
	if trouble != nil {
		text = trouble.Error()
	}
	if !c.memory.isNewTrouble(text) {
		return
	}
	if text == "" {
		c.logger.LogAttrs(ctx, slog.LevelInfo, "the topology is known again")
		return
	}
	c.logger.LogAttrs(ctx, slog.LevelWarn, "the topology is not known from where it should be", slog.String("error", text))
}
