// Package exportingtest has a Zeebe cluster in memory, for tests of the core in synctest bubbles: it does no input or
// output, and its time is the bubble's. The embedded cluster (package embedded) is its big sister on real sockets.
package exportingtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// Fault is how a broker misbehaves.
type Fault uint8

// The faults.
const (
	Healthy  Fault = iota
	Down           // refuses every request
	Hanging        // never answers
	Mute           // answers reads with an error, takes writes
	Swallow        // takes writes and does nothing
	Refusing       // fails every write
	Inactive       // its first replica is INACTIVE
	Closed         // its first replica is CLOSED
	OneRead        // shows the phase that was asked for once, and then what it was before
)

// Cluster is a cluster in memory, in which every broker hosts a replica of every partition. Its fields are set before use;
// its methods may be called by many goroutines at once.
type Cluster struct {
	// Planned makes one lever of all brokers, as from 8.10 on.
	Planned bool
	// SkipDead lets a plan pass dead members; otherwise it stalls at the first.
	SkipDead bool
	// Delay is how long a change takes to be applied.
	Delay time.Duration
	// FailureRate is the part of all requests that fail, by Rand.
	FailureRate float64
	Rand        *rand.Rand
	// Rate is how many records a second each partition gets; none if zero.
	Rate float64

	mu         sync.Mutex
	began      time.Time
	readDelay  time.Duration
	brokers    []*broker
	partitions []*partition
	pending    exporting.Phase // of a plan; PhaseUnknown if there is none
	writes     int
	measured   int // disks
}

type broker struct {
	fault  Fault
	phase  exporting.Phase
	shown  exporting.Phase // by OneRead; PhaseUnknown when done
	queued []queued
	disk   disk
}

type queued struct {
	phase exporting.Phase
	due   time.Time
}

// New returns a healthy cluster that exports.
func New(brokers, partitions int) *Cluster {
	c := &Cluster{began: time.Now(), Rand: rand.New(rand.NewPCG(1, 2))} //nolint:gosec // The same at each run.
	for range brokers {
		c.brokers = append(c.brokers, &broker{phase: exporting.PhaseExporting, disk: newDisk()})
	}
	for i := range partitions {
		c.partitions = append(c.partitions, newPartition(i%brokers, brokers))
	}
	return c
}

// SetFault makes a broker misbehave, or well again.
func (c *Cluster) SetFault(i int, f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.brokers[i].fault = f
}

// SetPhase changes what a broker does behind everybody's back: a foreign change, or a lost disk. What was still to be
// applied is not any more: a broker applies changes in the order in which they came, so it would have come before the
// foreign one; and it forgets them when it restarts, without which no disk is lost.
func (c *Cluster) SetPhase(i int, p exporting.Phase) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(i)
	c.brokers[i].queued = nil
	c.turn(i, p, time.Now())
}

// SetLeader makes another broker lead a partition, by index.
func (c *Cluster) SetLeader(partition, broker int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.brokers {
		c.settle(i)
	}
	c.partitions[partition].leader = broker
}

// Quieten ends the random failures.
func (c *Cluster) Quieten() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.FailureRate = 0
}

// SetReadDelay makes brokers take that long to answer a read, with what they showed when they were asked.
func (c *Cluster) SetReadDelay(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readDelay = d
}

// Phases is what the brokers truly do.
func (c *Cluster) Phases() []exporting.Phase {
	c.mu.Lock()
	defer c.mu.Unlock()
	var phases []exporting.Phase
	for i, b := range c.brokers {
		c.settle(i)
		phases = append(phases, b.phase)
	}
	return phases
}

// Writes counts the writes that were asked for.
func (c *Cluster) Writes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes
}

// settle applies the changes that are due.
func (c *Cluster) settle(i int) {
	b := c.brokers[i]
	for len(b.queued) > 0 && !time.Now().Before(b.queued[0].due) {
		c.turn(i, b.queued[0].phase, b.queued[0].due)
		b.queued = b.queued[1:]
	}
	c.export(i, time.Now())
}

// advance lets a plan go as far as it gets.
func (c *Cluster) advance() {
	if c.pending == exporting.PhaseUnknown {
		return
	}
	for i, b := range c.brokers {
		c.settle(i)
		switch {
		case b.phase == c.pending:
		case b.fault == Down && c.SkipDead:
		case b.fault == Down, len(b.queued) > 0:
			return
		case b.fault == Swallow:
		default:
			b.queued = append(b.queued, queued{c.pending, time.Now().Add(c.Delay)})
			if c.settle(i); b.phase != c.pending {
				return
			}
		}
	}
	c.pending = exporting.PhaseUnknown
}

// Topology implements exporting.Cluster: it fails when every broker is down.
func (c *Cluster) Topology(context.Context) (*exporting.Topology, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.ContainsFunc(c.brokers, func(b *broker) bool { return b.fault != Down }) {
		return nil, errors.New("nobody answers")
	}
	c.advance()
	t := &exporting.Topology{ReplicationFactor: len(c.brokers), Source: "memory"}
	for i := range c.brokers {
		id := strconv.Itoa(i)
		lever := exporting.Lever{ID: exporting.LeverID(id)}
		if c.Planned {
			lever = exporting.Lever{ID: "cluster", Planned: true, SoftToHard: true}
		}
		t.Brokers = append(t.Brokers, exporting.Broker{
			ID: exporting.BrokerID(id), Address: "memory:" + id, Lever: lever.ID, SoftPause: true,
		})
		if i == 0 || !c.Planned {
			t.Levers = append(t.Levers, lever)
		}
	}
	for p := range len(c.partitions) {
		e := exporting.ExpectedPartition{ID: exporting.PartitionID{ID: int32(p + 1)}, Replicas: len(c.brokers)}
		for _, b := range t.Brokers {
			e.Members = append(e.Members, b.ID)
		}
		t.Expected = append(t.Expected, e)
	}
	if c.pending != exporting.PhaseUnknown {
		t.Pending = "a change to " + c.pending.String()
	}
	return t, nil
}

// Read implements exporting.Cluster.
func (c *Cluster) Read(ctx context.Context, eb exporting.Broker) ([]exporting.Reading, error) {
	readings, delay, err := c.show(string(eb.ID))
	if err != nil || delay == 0 {
		return readings, err
	}
	select {
	case <-time.After(delay):
		return readings, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// forever is the delay of a broker that hangs.
const forever = 1000 * time.Hour

// show is what a broker answers to a read, and after how long.
func (c *Cluster) show(id string) ([]exporting.Reading, time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, i, err := c.find(id)
	switch {
	case b.fault == Hanging:
		return nil, forever, nil
	case err != nil:
		return nil, 0, err
	case b.fault == Mute:
		return nil, 0, errors.New("an empty answer")
	}
	c.advance()
	for j := range c.brokers {
		c.settle(j) // What a follower shows is its leader's.
	}
	phase := b.phase
	if b.shown != exporting.PhaseUnknown {
		phase, b.shown = b.shown, exporting.PhaseUnknown
	}
	var readings []exporting.Reading
	for p, partition := range c.partitions {
		r := exporting.Reading{
			Partition: exporting.PartitionID{ID: int32(p + 1)}, Role: exporting.RoleFollower, Phase: phase,
			Processed: exporting.At(c.processed(time.Now())), Exported: exporting.At(partition.shown(i, time.Now())),
			Health: exporting.HealthHealthy,
		}
		if partition.leader == i {
			r.Role = exporting.RoleLeader
		}
		if p == 0 && b.fault == Inactive {
			r.Role = exporting.RoleInactive
		}
		if p == 0 && b.fault == Closed {
			r.Phase = exporting.PhaseClosed
		}
		readings = append(readings, r)
	}
	return readings, c.readDelay, nil
}

// Write implements exporting.Cluster. Below 8.10 it refuses PAUSED over SOFT_PAUSED, as a driver must.
func (c *Cluster) Write(ctx context.Context, lever exporting.Lever, phase exporting.Phase) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	if lever.Planned {
		c.advance()
		if c.pending != exporting.PhaseUnknown {
			return &exporting.PendingChangeError{Change: "a change to " + c.pending.String()}
		}
		if c.fails() {
			return errors.New("a request failed at random")
		}
		c.pending = phase
		c.advance()
		return nil
	}
	b, i, err := c.find(string(lever.ID))
	c.settle(i)
	switch {
	case err != nil:
		return err
	case b.fault == Hanging:
		c.mu.Unlock()
		<-ctx.Done()
		c.mu.Lock()
		return ctx.Err()
	case b.fault == Refusing:
		return errors.New("500 Internal Server Error")
	case phase == exporting.PhasePaused && b.soft():
		return &exporting.UnsafeTransitionError{Brokers: []exporting.BrokerID{exporting.BrokerID(lever.ID)}}
	case b.fault == Swallow:
	case b.fault == OneRead:
		b.shown = phase
	default:
		b.queued = append(b.queued, queued{phase, time.Now().Add(c.Delay)})
	}
	return nil
}

// soft reports whether a hard pause would be written over a soft one.
func (b *broker) soft() bool {
	last := b.phase
	if n := len(b.queued); n > 0 {
		last = b.queued[n-1].phase
	}
	return last == exporting.PhaseSoftPaused
}

func (c *Cluster) fails() bool { return c.Rand.Float64() < c.FailureRate }

func (c *Cluster) find(id string) (*broker, int, error) {
	i, err := strconv.Atoi(id)
	if err != nil {
		return nil, 0, err
	}
	b := c.brokers[i]
	switch {
	case b.fault == Down:
		return b, i, errors.New("connection refused")
	case c.fails():
		return b, i, errors.New("a request failed at random")
	}
	return b, i, nil
}
