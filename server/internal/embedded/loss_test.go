package embedded

import (
	"path/filepath"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// TestNothingIsLostWhateverHappens lets chance decide what happens to a small cluster, and checks after each step that
// the export has no hole and that what was compacted had been exported.
func TestNothingIsLostWhateverHappens(t *testing.T) {
	dir, clusters := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		version := rapid.SampledFrom(versions).Draw(rt, "version")
		clusters++
		c := start(t, Options{
			Dir: filepath.Join(dir, strconv.Itoa(clusters)), Version: version, Partitions: 1, SegmentRecords: 4,
		})
		defer stop(t, c)
		p := c.Partition(1)
		broker := func(rt *rapid.T) *Broker { return c.Broker(rapid.IntRange(0, 2).Draw(rt, "broker")) }
		rt.Repeat(map[string]func(*rapid.T){
			"beat":       func(rt *rapid.T) { beat(c, rapid.IntRange(1, 20).Draw(rt, "records")) },
			"distribute": func(*rapid.T) { distribute(c) },
			"ask": func(rt *rapid.T) {
				phase := rapid.SampledFrom([]Phase{Exporting, SoftPaused, Paused}).Draw(rt, "phase")
				c.mu.Lock()
				defer c.mu.Unlock()
				for _, r := range p.replicas {
					switch {
					case version == "8.10":
						r.configured = phase
						r.broker.follow(r)
					case r.broker.up:
						r.broker.ask(phase, r)
					}
				}
			},
			"stop":  func(rt *rapid.T) { broker(rt).Stop() },
			"start": func(rt *rapid.T) { rtNoError(rt, broker(rt).Start(t.Context())) },
			"lose disk": func(rt *rapid.T) {
				if b := broker(rt); !b.Up() {
					rtNoError(rt, b.LoseDisk())
				}
			},
			"lead": func(rt *rapid.T) {
				_ = p.TransferLeader(rapid.IntRange(0, 2).Draw(rt, "broker")) // refused while it cannot lead
			},
			"": func(rt *rapid.T) {
				highest := int64(0)
				for _, position := range exported(t, p) {
					if position > highest+1 {
						rt.Fatalf("position %d was exported after %d: there is a hole", position, highest)
					}
					highest = max(highest, position)
				}
				if p.First() > highest+1 {
					rt.Fatalf("the log begins at %d, but only %d was exported", p.First(), highest)
				}
			},
		})
	})
}

func rtNoError(rt *rapid.T, err error) {
	if err != nil {
		rt.Fatal(err)
	}
}
