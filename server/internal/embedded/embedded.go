// Package embedded is a small Zeebe cluster inside the process: brokers with a management API on real loopback ports,
// partitions with a real log on disk, an exporter that tails it into a file, and the pausing of that exporter with the
// semantics of the real brokers, which differ by version (zeebe-facts.md 2 to 5). It is what `exportgate dev` shows and
// what the tests fight, and it is no place to keep data.
//
// It stands for other people's software, so it must not know anything of Exportgate: what both sides know, they know
// from Zeebe's documented behaviour, and a misunderstanding cannot hide in code that they share.
//
// What is true to Zeebe: the answers of the management API, where pause states live and what loses them, when records
// are exported and when positions are stored, at-least-once export after a restart or a change of leader, and that
// compaction never deletes what was not exported. What is simulated: all replicas of a partition share one log
// directory, so replication is immediate; gossip and elections are immediate too; a raised position below the log's
// start stands for installing a leader's snapshot; and any living broker coordinates changes of the configuration.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Cluster is a running cluster. Its methods may be called by many goroutines at once.
type Cluster struct {
	options    Options
	log        *slog.Logger
	brokers    []*Broker
	partitions []*Partition
	gateway    *gateway

	root  *os.Root       // options.Dir
	tasks sync.WaitGroup // they end when the cluster is closing
	// closing is closed at Close.
	closing chan struct{}

	// mu guards all that the cluster is: roles, phases, positions, files, faults and the configuration. One lock for all,
	// so that every answer and every view is of one moment; nothing waits while it is held. Unexported methods need it
	// unless they say otherwise, exported ones take it.
	mu            sync.Mutex
	closed        bool
	configuration configuration
}

// Start starts a cluster in options.Dir, which may hold the state of an earlier one. The context bounds the start
// alone; the cluster runs until [Cluster.Close].
func Start(ctx context.Context, options Options) (*Cluster, error) {
	options, versions, err := options.complete()
	if err != nil {
		return nil, fmt.Errorf("embedded cluster: %w", err)
	}
	c := &Cluster{options: options, log: options.Logger, closing: make(chan struct{})}
	if err := c.start(ctx, versions); err != nil {
		return nil, fmt.Errorf("embedded cluster: %w", errors.Join(err, c.Close()))
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, versions []version) error {
	if err := os.MkdirAll(filepath.Join(c.options.Dir, "export"), 0o750); err != nil {
		return fmt.Errorf("making its directory: %w", err)
	}
	root, err := os.OpenRoot(c.options.Dir)
	if err != nil {
		return fmt.Errorf("opening its directory: %w", err)
	}
	c.root = root
	for i, v := range versions {
		c.brokers = append(c.brokers, newBroker(c, i, v))
	}
	if err := c.layOut(); err != nil {
		return err
	}
	if err := c.loadConfiguration(); err != nil {
		return err
	}
	listeners, err := listenAll(ctx, c.hosts())
	if err != nil {
		return err
	}
	for i, b := range c.brokers {
		b.address = listeners[i].Addr().String()
		b.run(ctx, listeners[i])
	}
	if c.gateway, err = startGateway(ctx, c); err != nil {
		return err
	}
	c.mu.Lock()
	c.rebalance() // the brokers that came first lead more than their share
	c.mu.Unlock()
	c.tasks.Go(c.run)
	return nil
}

// rebalance makes the active replica of the highest priority lead each partition that has a leader.
func (c *Cluster) rebalance() {
	for _, p := range c.partitions {
		p.lead(p.first())
	}
}

// layOut places the partitions' replicas on the brokers, round robin as Zeebe does: partition p begins at broker p-1,
// and its first replica has the highest priority.
func (c *Cluster) layOut() error {
	for _, tenant := range c.options.tenants() {
		for id := 1; id <= c.options.Partitions; id++ {
			p, err := openPartition(c, tenant, id)
			if err != nil {
				return err
			}
			c.partitions = append(c.partitions, p)
			for k := range c.options.ReplicationFactor {
				b := c.brokers[(id-1+k)%len(c.brokers)]
				r := newReplica(p, b, c.options.ReplicationFactor-k)
				p.replicas = append(p.replicas, r)
				b.replicas = append(b.replicas, r)
			}
		}
	}
	return nil
}

// Close stops the brokers and the gateway, ends every task and closes the files. It may be called more than once. The
// state stays in the directory.
func (c *Cluster) Close() error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.closing)
	}
	c.mu.Unlock()
	for _, b := range c.brokers {
		b.Stop()
		b.releasePort()
	}
	c.gateway.stop()
	c.tasks.Wait()

	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, p := range c.partitions {
		errs = append(errs, p.close())
	}
	if c.root != nil { // else it could not be opened
		c.saveConfiguration()
		errs = append(errs, c.root.Close())
	}
	return errors.Join(errs...)
}

func (c *Cluster) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Addresses are the brokers' management base URLs, by broker: "http://127.0.0.1:34567/actuator". They stay the same
// when brokers stop and start, and begin with https:// where they serve TLS.
func (c *Cluster) Addresses() []string {
	addresses := make([]string, len(c.brokers))
	for i, b := range c.brokers {
		addresses[i] = b.Address()
	}
	return addresses
}

// Gateway is the address of the gateway's gRPC API, "127.0.0.1:34570", over TLS where [Options.TLS] is set.
func (c *Cluster) Gateway() string { return c.gateway.address }

// Brokers are all brokers, by id.
func (c *Cluster) Brokers() []*Broker { return c.brokers }

// Broker is the broker with an id from 0 on. It is nil where there is no such broker.
func (c *Cluster) Broker(id int) *Broker {
	if id < 0 || id >= len(c.brokers) {
		return nil
	}
	return c.brokers[id]
}

// Partitions are all partitions, by tenant and id.
func (c *Cluster) Partitions() []*Partition { return c.partitions }

// Partition is the partition with an id from 1 on, of the first tenant where there are several. It is nil where there
// is no such partition.
func (c *Cluster) Partition(id int) *Partition {
	if id < 1 || id > c.options.Partitions {
		return nil
	}
	return c.partitions[id-1]
}

// Writes are the requests for a change that all brokers got, by broker: empty if nobody was asked to change anything.
func (c *Cluster) Writes() []Request {
	var writes []Request
	for _, b := range c.brokers {
		writes = append(writes, b.Writes()...)
	}
	return writes
}

// Replicas is the truth about every replica at one moment, by partition and priority, whatever the management API says
// of them: the oracle of the tests.
func (c *Cluster) Replicas() []Replica {
	c.mu.Lock()
	defer c.mu.Unlock()
	var replicas []Replica
	for _, p := range c.partitions {
		for _, r := range p.replicas {
			replicas = append(replicas, r.truth())
		}
	}
	return replicas
}

// run is the cluster's heartbeat: records are written and exported at one rate, and positions distributed at another.
func (c *Cluster) run() {
	var write <-chan time.Time
	if c.options.WriteInterval > 0 {
		ticker := time.NewTicker(c.options.WriteInterval)
		defer ticker.Stop()
		write = ticker.C
	}
	distribute := time.NewTicker(c.options.DistributionInterval)
	defer distribute.Stop()
	for {
		select {
		case <-c.closing:
			return
		case <-write:
			c.eachPartition((*Partition).step)
		case <-distribute.C:
			c.eachPartition((*Partition).distribute)
		}
	}
}

// eachPartition does a part of the heartbeat. A partition that fails is reported once, not at every beat: a disk that
// is full stays so for a while.
func (c *Cluster) eachPartition(do func(*Partition) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.partitions {
		err := do(p)
		if err != nil && !p.failing {
			c.log.Error("embedded partition fails", "partition", p.name(), "error", err)
		}
		p.failing = err != nil
	}
}

// after does something later, with the lock held, unless the cluster is closed before.
func (c *Cluster) after(delay time.Duration, do func()) {
	if c.closed {
		return
	}
	c.tasks.Go(func() {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-c.closing:
			return
		case <-timer.C:
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		do()
	})
}

// wait returns nil after a delay, or the context's error if that ends first.
func wait(ctx context.Context, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
