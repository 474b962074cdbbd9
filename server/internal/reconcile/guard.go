package reconcile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// Guard says when a pause has lasted too long for a broker's disk: logs grow for as long as exporting is paused. The zero
// value guards nothing, and measures nothing.
type Guard struct {
	// Disks measures the brokers' disks; nil where nothing is guarded.
	Disks exporting.Disks
	// MinFree is the least that has to be free on every broker.
	MinFree MinFree
	// Release ends every hold, and pauses that nobody holds, when less is free in two measurements in a row; then no pause is
	// placed before there is room again. Otherwise it is only told.
	Release bool
}

// MinFree is an amount of free disk. Exactly one field is positive.
type MinFree struct {
	Percent float64 // of the whole disk
	Bytes   int64
}

// String is "10%" or "5.0 GiB".
func (m MinFree) String() string {
	if m.Percent > 0 {
		return fmt.Sprintf("%g%%", m.Percent)
	}
	return size(m.Bytes)
}

// of is the least that has to be free of a disk, in bytes.
func (m MinFree) of(d exporting.Disk) float64 {
	return float64(m.Bytes) + m.Percent/100*float64(d.Total)
}

// enough is how much has to be free before a disk that had too little counts as one with room: a tenth more, or half of
// what is left above the least. Where a pause and its end take turns at the least itself, nobody's backup ever ends.
func (m MinFree) enough(d exporting.Disk) float64 {
	least := m.of(d)
	return least + min(least/10, max(float64(d.Total)-least, 0)/2)
}

func (g *Guard) check() error {
	if g.Disks != nil && (g.MinFree.Percent > 0) == (g.MinFree.Bytes > 0) {
		return errors.New("the least free disk must be said in percent or in bytes")
	}
	return nil
}

// twice is how many measurements in a row have to agree before anything comes of them: one odd reading ends nobody's
// backup, and one request that fails is no news.
const twice = 2

// diskGuard is the rule: what measurements say together. Its methods may be called by many goroutines.
type diskGuard struct {
	Guard

	mu    sync.Mutex
	disks map[exporting.BrokerID]guarded
}

// guarded is what is known of one broker's disk.
type guarded struct {
	exporting.Measurement // the last; the zero value since exporting was not paused any more

	low      bool      // too little was free, and not enough since
	told     bool      // whether that was told, of this pause
	below    int       // how many measurements in a row found too little; what failed between them is none
	since    time.Time // when the first of these was made
	failures int       // how many tries in a row failed
	blind    bool      // whether it was told that it cannot be measured
}

func newDiskGuard(g Guard) *diskGuard {
	return &diskGuard{Guard: g, disks: map[exporting.BrokerID]guarded{}}
}

// diskNews is what has changed, by broker, in order: too little is free, or enough again; a disk cannot be measured, or
// can again.
type diskNews struct {
	low, room, blind, seen []exporting.BrokerID
}

// take takes measurements that were made because exporting is paused. What is not among them is not there any more.
func (g *diskGuard) take(measured map[exporting.BrokerID]exporting.Measurement) diskNews {
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.disks, func(id exporting.BrokerID, _ guarded) bool {
		_, there := measured[id]
		return !there
	})
	var news diskNews
	for _, id := range inOrder(measured) {
		d := g.disks[id]
		d.Measurement = measured[id]
		switch {
		case d.Err != nil:
			d.failures++
			if d.failures >= twice && !d.blind {
				d.blind = true
				news.blind = append(news.blind, id)
			}
			g.disks[id] = d
			continue
		case d.blind:
			news.seen = append(news.seen, id)
		}
		d.failures, d.blind = 0, false
		if g.isLow(d.Disk) {
			if d.below++; d.below == 1 {
				d.since = d.At
			}
		} else {
			d.below = 0
		}
		g.disks[id] = d
		g.turn(id, &news)
	}
	return news
}

// glance takes measurements that were made because somebody wants to pause. They count among those in a row only where they
// end one.
func (g *diskGuard) glance(measured map[exporting.BrokerID]exporting.Measurement) diskNews {
	g.mu.Lock()
	defer g.mu.Unlock()
	var news diskNews
	for _, id := range inOrder(measured) {
		d := g.disks[id]
		if d.Measurement = measured[id]; d.Err == nil && !g.isLow(d.Disk) {
			d.below = 0
		}
		g.disks[id] = d
		if d.Err == nil {
			g.turn(id, &news)
		}
	}
	return news
}

// turn notes whether a disk that was just measured begins or ends to be low. g.mu is held.
func (g *diskGuard) turn(id exporting.BrokerID, news *diskNews) {
	d := g.disks[id]
	switch {
	case g.isLow(d.Disk):
		if !d.told {
			news.low = append(news.low, id)
		}
		d.low, d.told = true, true
	case d.low && float64(d.Disk.Free) >= g.MinFree.enough(d.Disk):
		d.low, d.told = false, false
		news.room = append(news.room, id)
	}
	g.disks[id] = d
}

func (g *diskGuard) isLow(d exporting.Disk) bool { return float64(d.Free) < g.MinFree.of(d) }

// rest takes notice that exporting is not paused: nothing is measured then, and nothing is known soon. But that a disk was
// low stays, until it is measured again.
func (g *diskGuard) rest() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, d := range g.disks {
		if !d.low {
			delete(g.disks, id)
			continue
		}
		g.disks[id] = guarded{low: true}
	}
}

// due lists the brokers that had too little in enough measurements in a row, the last one included, and since when the
// longest of them had.
func (g *diskGuard) due() (brokers []exporting.BrokerID, since time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range inOrder(g.disks) {
		d := g.disks[id]
		if d.Err != nil || d.below < twice {
			continue
		}
		if brokers = append(brokers, id); since.IsZero() || d.since.Before(since) {
			since = d.since
		}
	}
	return brokers, since
}

// tight lists the brokers that had too little when they were measured last, or had before and have not enough yet.
func (g *diskGuard) tight() []exporting.BrokerID {
	return g.those(func(d guarded) bool { return d.low && d.Err == nil && !d.At.IsZero() })
}

func (g *diskGuard) those(are func(guarded) bool) []exporting.BrokerID {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(inOrder(g.disks), func(id exporting.BrokerID) bool { return !are(g.disks[id]) })
}

// warnings is what an operator should know of the disks, a sentence each.
func (g *diskGuard) warnings() []string {
	var w []string
	if tight := g.tight(); len(tight) > 0 {
		w = append(w, fmt.Sprintf("too little disk is free: %s; exporting.guard.min-free-disk is %s: resume, or make room",
			g.describe(tight), g.MinFree))
	}
	if blind := g.those(func(d guarded) bool { return d.blind }); len(blind) > 0 {
		w = append(w, "a disk cannot be measured, so that nobody notices when it runs full while exporting is paused: "+g.describe(blind))
	}
	return w
}

// describe says what was measured last on some brokers, or why it was not.
func (g *diskGuard) describe(brokers []exporting.BrokerID) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var words []string
	for _, id := range brokers[:min(len(brokers), maxDescribed)] {
		switch d := g.disks[id]; {
		case d.Err != nil:
			words = append(words, fmt.Sprintf("broker %s: %v", id, d.Err))
		case !d.At.IsZero():
			words = append(words, fmt.Sprintf("broker %s has %s of %s free (%.3g%%)", id, size(d.Disk.Free), size(d.Disk.Total),
				100*float64(d.Disk.Free)/float64(d.Disk.Total)))
		}
	}
	if more := len(brokers) - maxDescribed; more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, ", ")
}

// maxDescribed is how many brokers are described before the rest is counted: each hold keeps the words as its evidence.
const maxDescribed = 3

func inOrder[T any](brokers map[exporting.BrokerID]T) []exporting.BrokerID {
	return slices.SortedFunc(maps.Keys(brokers), exporting.CompareBrokers)
}

// size is a number of bytes for people.
func size(n int64) string {
	value, unit := float64(n), 0
	for value >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}

const units = " KMGTPE"
