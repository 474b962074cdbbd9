package embedded

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"time"
)

// Partition is a partition: a log, the replicas that can lead it, and the file that it is exported to.
type Partition struct {
	cluster  *Cluster
	tenant   string
	id       int
	log      *recordLog
	sink     *sink
	replicas []*replica // by priority
	leader   *replica   // nil without a quorum
	failing  bool       // the last heartbeat failed
}

func openPartition(c *Cluster, tenant string, id int) (*Partition, error) {
	p := &Partition{cluster: c, tenant: tenant, id: id}
	log, err := openLog(c.root, path.Join("log", p.name()), c.options.SegmentRecords)
	if err != nil {
		return nil, err
	}
	p.log = log
	p.sink = &sink{root: c.root, name: path.Join("export", p.name()+".ndjson"), partition: id}
	return p, nil
}

// name is the partition's name in paths and logs: "partition-1", "tenant-b-partition-1".
func (p *Partition) name() string {
	name := fmt.Sprintf("partition-%d", p.id)
	if p.tenant != "" {
		name = p.tenant + "-" + name
	}
	return name
}

// ID is the partition's id from 1 on, which repeats across tenants.
func (p *Partition) ID() int { return p.id }

// Tenant is empty where the cluster has no tenants.
func (p *Partition) Tenant() string { return p.tenant }

// ExportFile is the path of the file that the partition is exported to, one JSON object with a position a line. It is
// there from the first exported record on. After a restart or a change of leader positions come again: export is
// at-least-once.
func (p *Partition) ExportFile() string {
	return filepath.Join(p.cluster.options.Dir, filepath.FromSlash(p.sink.name))
}

// Last is the last position written to the partition's log, 0 if there is none.
func (p *Partition) Last() int64 {
	p.cluster.mu.Lock()
	defer p.cluster.mu.Unlock()
	return p.log.last
}

// First is the first position that compaction has left in the log.
func (p *Partition) First() int64 {
	p.cluster.mu.Lock()
	defer p.cluster.mu.Unlock()
	return p.log.first()
}

// Leader is the broker that leads the partition, -1 if none does.
func (p *Partition) Leader() int {
	p.cluster.mu.Lock()
	defer p.cluster.mu.Unlock()
	if p.leader == nil {
		return -1
	}
	return p.leader.broker.id
}

// TransferLeader makes a broker lead the partition. The broker must host it and be up. The new leader exports again
// what its predecessor had not told it to be exported.
func (p *Partition) TransferLeader(broker int) error {
	p.cluster.mu.Lock()
	defer p.cluster.mu.Unlock()
	for _, r := range p.replicas {
		if r.broker.id == broker && r.active() && p.leader != nil {
			p.lead(r)
			return nil
		}
	}
	return fmt.Errorf("broker %d cannot lead partition %d: it does not host it, is down or inactive, or has no majority",
		broker, p.id)
}

// elect keeps the leader if it can still lead, or finds the next.
func (p *Partition) elect() {
	first := p.first()
	if first == nil || p.leader == nil || !p.leader.active() {
		p.lead(first)
	}
}

// first is the active replica of the highest priority; nil without a majority of the replicas, for then none can lead.
func (p *Partition) first() *replica {
	var first *replica
	active := 0
	for _, r := range p.replicas {
		if !r.active() {
			continue
		}
		active++
		if first == nil {
			first = r
		}
	}
	if active < len(p.replicas)/2+1 {
		return nil
	}
	return first
}

func (p *Partition) lead(next *replica) {
	if p.leader == next {
		return
	}
	if p.leader != nil {
		p.leader.director = nil
	}
	p.leader = next
	if next != nil {
		next.director = newDirector(next)
	}
}

// step is the partition's part of a heartbeat: one more record, and the leader's exporter.
func (p *Partition) step() error {
	if p.leader == nil {
		return nil
	}
	now := time.Now()
	if err := p.log.append(now.UnixMilli()); err != nil {
		return err
	}
	return p.leader.export(now)
}

// distribute copies the leader's exported position to its followers, paused or not (design.md 4), and compacts the log
// up to the lowest position that a replica holds: from there on each of them might export.
func (p *Partition) distribute() error {
	if p.leader == nil {
		return nil
	}
	bound := p.leader.exported
	for _, r := range p.replicas {
		if r == p.leader || !r.active() {
			continue
		}
		if err := r.store(p.leader.exported); err != nil {
			return err
		}
	}
	if p.cluster.options.NoExporters {
		bound = p.log.last
	}
	return p.log.compact(bound)
}

func (p *Partition) close() error {
	errs := []error{p.log.close(), p.sink.close()}
	for _, r := range p.replicas {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}
