package exportingtest

import (
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// What exporters and followers take their time for (zeebe-facts.md 3.2).
const (
	flush      = 5 * time.Second  // from a hard pause to the last position that its exporters had buffered
	distribute = 15 * time.Second // between two positions that a leader sends to its followers
)

// first is the position that every partition begins with, processed and exported.
const first = 100

// partition is a log that grows, and how much of it is exported.
type partition struct {
	leader   int
	stored   int64 // the exported position, as the leader has it
	buffered int64 // what a hard pause still lets through, until flushed
	flushed  time.Time
	copies   []copied // by broker
}

// copied is a position that a follower was sent.
type copied struct {
	position int64
	at       time.Time
}

func newPartition(leader, brokers int) *partition {
	p := &partition{leader: leader, stored: first}
	for range brokers {
		p.copies = append(p.copies, copied{position: first})
	}
	return p
}

// processed is how far every partition is processed.
func (c *Cluster) processed(at time.Time) int64 {
	return first + int64(c.Rate*at.Sub(c.began).Seconds())
}

// turn changes a broker's phase at an instant.
func (c *Cluster) turn(i int, phase exporting.Phase, at time.Time) {
	c.export(i, at)
	b := c.brokers[i]
	for _, p := range c.partitions {
		switch {
		case p.leader != i:
		case b.phase == exporting.PhaseExporting && phase == exporting.PhasePaused:
			p.buffered, p.flushed = c.processed(at), at.Add(flush)
		case phase == exporting.PhaseSoftPaused:
			p.buffered = 0 // From now on positions are kept in memory alone (zeebe-facts.md 3.2).
		}
	}
	b.phase = phase
}

// export moves the positions of what a broker leads up to an instant.
func (c *Cluster) export(i int, at time.Time) {
	for _, p := range c.partitions {
		if p.leader != i {
			continue
		}
		switch {
		case c.brokers[i].phase == exporting.PhaseExporting:
			p.stored, p.buffered = max(p.stored, c.processed(at)-int64(c.Rate)), 0 // What was exported in the last second is not stored yet.
		case c.brokers[i].phase == exporting.PhasePaused && p.buffered > 0 && !at.Before(p.flushed):
			p.stored, p.buffered = max(p.stored, p.buffered), 0
		}
	}
}

// shown is the exported position that a broker tells of the partition: a follower tells what it was sent last.
func (p *partition) shown(i int, at time.Time) int64 {
	own := &p.copies[i]
	if p.leader == i || at.Sub(own.at) >= distribute {
		own.position, own.at = p.stored, at
	}
	return own.position
}

// Stored are the exported positions, as the leaders truly have them.
func (c *Cluster) Stored() []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var stored []int64
	for i := range c.brokers {
		c.settle(i)
	}
	for _, p := range c.partitions {
		stored = append(stored, p.stored)
	}
	return stored
}
