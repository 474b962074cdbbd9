package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// configuration is the cluster's dynamic configuration, which all brokers share. The exporting states of 8.10 in it are
// the replicas' configured phases.
type configuration struct {
	version int64
	lastID  int64
	pending *changePlan
	done    []*changePlan // the newest last
}

// rememberedPlans bounds the history of changes.
const rememberedPlans = 100

// changePlan is a change of the configuration: operations that the members apply one after the other.
type changePlan struct {
	id         int64
	operations []operation
	next       int  // the operation that is applied next
	stalled    bool // the next operation waits for its member to be back
	started    time.Time
	completed  time.Time
	finished   chan struct{} // closed when the plan is done
}

// operation is one step of a plan, for one replica.
type operation struct {
	kind    string
	replica *replica
	phase   Phase
}

const (
	updateExporting = "PARTITION_UPDATE_EXPORTING_STATE"
	joinPartition   = "PARTITION_JOIN"
)

// errConcurrentModification is the coordinator's refusal of a second change.
const errConcurrentModification = zeebeError("CONCURRENT_MODIFICATION: another change is in progress")

// changeExporting is the coordinator's part of POST exporting from 8.10 on: plan, start, wait. Neither the end of the
// wait nor the caller's leaving cancels the plan (zeebe-facts.md 2.5).
func (c *Cluster) changeExporting(ctx context.Context, b *Broker, phase Phase, tenant string) error {
	plan, err := c.planExporting(b, phase, tenant)
	if err != nil || plan == nil {
		return err
	}
	timeout := time.NewTimer(c.options.PlanTimeout)
	defer timeout.Stop()
	select {
	case <-plan.finished:
		return nil
	case <-timeout.C:
		return zeebeError(fmt.Sprintf("Timed out waiting for exporter state change %d", plan.id))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// planExporting starts a plan with an operation for each replica that is configured otherwise. If there is none, the
// change is done already, and there is no plan.
func (c *Cluster) planExporting(b *Broker, phase Phase, tenant string) (*changePlan, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.faults.refuses(phase) {
		return nil, nil // swallowed
	}
	var operations []operation
	for _, p := range c.partitions {
		for _, r := range p.replicas {
			switch {
			case tenant != "" && p.tenant != tenant:
			case !r.broker.version.planned():
				return nil, zeebeError("INTERNAL: a member does not support the change yet: finish the rolling upgrade")
			case r.configured != phase:
				operations = append(operations, operation{kind: updateExporting, replica: r, phase: phase})
			}
		}
	}
	if len(operations) == 0 {
		return nil, nil // done already
	}
	if c.configuration.pending != nil {
		return nil, errConcurrentModification
	}
	plan := c.begin(operations)
	c.scheduleNext()
	return plan, nil
}

func (c *Cluster) begin(operations []operation) *changePlan {
	c.configuration.lastID++
	c.configuration.pending = &changePlan{
		id: c.configuration.lastID, operations: operations, started: time.Now(), finished: make(chan struct{}),
	}
	c.saveConfiguration()
	return c.configuration.pending
}

// scheduleNext lets the next operation of the pending plan be applied after its time.
func (c *Cluster) scheduleNext() {
	if c.options.ApplyDelay < 0 {
		c.applyNext()
		return
	}
	c.after(c.options.ApplyDelay, c.applyNext)
}

// applyNext applies one operation of the pending plan. A member that is down stalls it, or is passed.
func (c *Cluster) applyNext() {
	plan := c.configuration.pending
	next := plan.operations[plan.next]
	switch b := next.replica.broker; {
	case b.up:
		next.replica.configured = next.phase
		b.follow(next.replica)
	case !c.options.PlanSkipsDead:
		plan.stalled = true
		return
	}
	plan.next++
	c.configuration.version++
	if plan.next == len(plan.operations) {
		c.finish()
		return
	}
	c.scheduleNext()
}

func (c *Cluster) finish() {
	plan := c.configuration.pending
	plan.completed = time.Now()
	c.configuration.pending = nil
	c.configuration.done = append(c.configuration.done, plan)
	if n := len(c.configuration.done); n > rememberedPlans {
		c.configuration.done = c.configuration.done[n-rememberedPlans:]
	}
	c.saveConfiguration()
	close(plan.finished)
}

// advancePlan lets a stalled plan go on if the member that it waits for is back.
func (c *Cluster) advancePlan() {
	plan := c.configuration.pending
	if plan != nil && plan.stalled && plan.operations[plan.next].replica.broker.up {
		plan.stalled = false
		c.scheduleNext()
	}
}

// BeginScaling starts a change of the configuration that has nothing to do with exporting, a replica that joins, and
// returns what ends it. It fails while another change is pending.
func (c *Cluster) BeginScaling() (end func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.configuration.pending != nil {
		return nil, errConcurrentModification
	}
	plan := c.begin([]operation{{kind: joinPartition, replica: c.partitions[0].replicas[0]}})
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.configuration.pending == plan {
			plan.next++
			c.configuration.version++
			c.finish()
		}
	}, nil
}

// storedConfiguration is the configuration on the disk. It is stored between changes and at the end; a pending change
// is not in it, but ends with the process.
type storedConfiguration struct {
	Version int64            `json:"version"`
	LastID  int64            `json:"lastChange"`
	Phases  map[string]Phase `json:"exporting"`
}

// configurationFile is its name below the cluster's directory.
const configurationFile = "cluster-configuration.json"

func (r *replica) key() string {
	return fmt.Sprintf("%s on broker-%d", r.partition.name(), r.broker.id)
}

// loadConfiguration reads what an earlier cluster in the directory left.
func (c *Cluster) loadConfiguration() error {
	text, err := c.root.ReadFile(configurationFile)
	if errors.Is(err, os.ErrNotExist) {
		c.configuration.version = 1
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the cluster configuration: %w", err)
	}
	var stored storedConfiguration
	if err := json.Unmarshal(text, &stored); err != nil {
		return fmt.Errorf("reading the cluster configuration from %s: %w", configurationFile, err)
	}
	c.configuration.version, c.configuration.lastID = stored.Version, stored.LastID
	for _, p := range c.partitions {
		for _, r := range p.replicas {
			r.configured = stored.Phases[r.key()]
		}
	}
	return nil
}

// saveConfiguration stores the configuration, where there is one to store: brokers below 8.10 keep phases in files.
func (c *Cluster) saveConfiguration() {
	stored := storedConfiguration{
		Version: c.configuration.version, LastID: c.configuration.lastID, Phases: map[string]Phase{},
	}
	for _, p := range c.partitions {
		for _, r := range p.replicas {
			if r.configured != "" {
				stored.Phases[r.key()] = r.configured
			}
		}
	}
	if len(stored.Phases) == 0 && stored.LastID == 0 {
		return
	}
	text, err := json.MarshalIndent(stored, "", "  ")
	if err == nil {
		err = c.root.WriteFile(configurationFile, text, 0o600)
	}
	if err != nil {
		c.log.Error("embedded cluster cannot store its configuration", "error", err)
	}
}
