package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// versions are the lines whose semantics are proved, one by one.
var versions = []string{"8.5", "8.8", "8.9", "8.10"}

func TestHardPauseStopsTheOutputAndResumeLosesNothing(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			c := start(t, single(version))
			p := c.Partition(1)
			beat(c, 10)
			ask(t, c, Paused)
			beat(c, 10)
			wantExported(t, p, through(1, 10))
			wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Paused, Exported: 10})

			ask(t, c, Exporting)
			beat(c, 1)
			wantExported(t, p, through(1, 21))
			wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Exporting, Exported: 21})
		})
	}
}

func TestSoftPauseStopsThePositionOnly(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			options := single(version)
			options.SegmentRecords = 4
			c := start(t, options)
			p := c.Partition(1)
			beat(c, 10)
			distribute(c)
			if got := p.First(); got != 9 {
				t.Errorf("after compaction the log begins at %d, want 9: two segments are exported", got)
			}
			ask(t, c, SoftPaused)
			beat(c, 10)
			distribute(c)
			wantExported(t, p, through(1, 20))
			wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: SoftPaused, Exported: 10})
			if got := p.First(); got != 9 {
				t.Errorf("under a soft pause the log begins at %d, want 9: compaction stands still", got)
			}

			ask(t, c, Exporting)
			wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Exporting, Exported: 20}) // at once
			beat(c, 1)
			distribute(c)
			wantExported(t, p, through(1, 21))
			if got := p.First(); got != 21 {
				t.Errorf("after resuming the log begins at %d, want 21", got)
			}
		})
	}
}

func TestARestartUnderASoftPauseExportsAgain(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			c := start(t, single(version))
			beat(c, 10)
			ask(t, c, SoftPaused)
			beat(c, 5)
			if err := c.Broker(0).Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: SoftPaused, Exported: 10})
			beat(c, 1)
			wantExported(t, c.Partition(1), through(1, 15), through(11, 16))
		})
	}
}

func TestALeaderChangeExportsAgainWhatWasNotDistributed(t *testing.T) {
	c := start(t, Options{Partitions: 1})
	p := c.Partition(1)
	beat(c, 10)
	distribute(c)
	beat(c, 5)
	if err := p.TransferLeader(2); err != nil {
		t.Fatal(err)
	}
	beat(c, 1)
	wantExported(t, p, through(1, 15), through(11, 16))
	wantReplica(t, c, Replica{Partition: 1, Broker: 0, Role: Follower, Phase: Exporting, Exported: 15})
	distribute(c) // the copy may fall
	beat(c, 1)
	distribute(c)
	wantReplica(t, c, Replica{Partition: 1, Broker: 0, Role: Follower, Phase: Exporting, Exported: 17})
}

func TestAFollowersPositionRisesUnderAPause(t *testing.T) {
	for _, phase := range []Phase{Paused, SoftPaused} {
		t.Run(string(phase), func(t *testing.T) {
			c := start(t, Options{Partitions: 1})
			beat(c, 10)
			ask(t, c, phase)
			wantReplica(t, c, Replica{Partition: 1, Broker: 1, Role: Follower, Phase: phase, Exported: -1})
			distribute(c)
			wantReplica(t, c, Replica{Partition: 1, Broker: 1, Role: Follower, Phase: phase, Exported: 10})
		})
	}
}

func TestEachReplicaHasItsOwnPauseStateBelow810(t *testing.T) {
	c := start(t, Options{Partitions: 1})
	beat(c, 10)
	distribute(c)
	post(t, c.Broker(0), "/partitions/pauseExporting")
	beat(c, 5)
	wantExported(t, c.Partition(1), through(1, 10))

	c.Broker(0).Stop() // the next leader missed the pause
	beat(c, 1)
	wantExported(t, c.Partition(1), through(1, 16))
	wantReplica(t, c, Replica{Partition: 1, Broker: 0, Phase: Paused, Exported: 10})
}

func TestSoftThenHardThenResumeFreezesThePosition(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			c := start(t, single(version))
			beat(c, 10)
			ask(t, c, SoftPaused)
			ask(t, c, Paused)
			ask(t, c, Exporting)
			beat(c, 10)
			wantExported(t, c.Partition(1), through(1, 20))
			frozen := int64(10)
			if version == "8.10" {
				frozen = 20
			}
			wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Exporting, Exported: frozen})

			ask(t, c, SoftPaused) // the cure
			ask(t, c, Exporting)
			wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Exporting, Exported: 20})
		})
	}
}

func TestALateFlushMovesThePositionOfAPausedPartition(t *testing.T) {
	options := single("8.9")
	options.FlushInterval = time.Hour
	c := start(t, options)
	beat(c, 10) // the first flush comes at once, the next in an hour
	ask(t, c, Paused)
	beat(c, 1)
	wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Paused, Exported: 1})

	c.mu.Lock()
	c.partitions[0].leader.director.flush = time.Now()
	c.mu.Unlock()
	beat(c, 1)
	wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Paused, Exported: 10})
	wantExported(t, c.Partition(1), through(1, 10))
}

func TestAHardPauseOverASoftOneDamagesThePauseFile(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			c := start(t, Options{Partitions: 1, Version: version})
			ask(t, c, SoftPaused)
			ask(t, c, Paused)
			if err := c.Broker(0).Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(c.Broker(0).DataDir(), "raft-partition", "partitions", "1", ".exporterPaused")
			if version == "8.10" {
				wantReplica(t, c, Replica{Partition: 1, Role: Follower, Phase: Paused, Exported: -1})
				if _, err := os.Stat(file); err == nil {
					t.Errorf("there is a pause file: from 8.10 on the configuration holds the phase")
				}
				return
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff("PAUSEDAUSED", string(text)); diff != "" {
				t.Errorf("pause file (-want +got):\n%s", diff)
			}
			wantReplica(t, c, Replica{Partition: 1, Role: Inactive, Phase: "", Exported: -1})
			if got := get(t, c.Broker(0), "/partitions"); got.Status != 200 || got.Body != "{}" {
				t.Errorf("GET partitions: %+v, want an empty map", got)
			}
			if got := get(t, c.Broker(0), "/partitions/1"); got.Status != 404 {
				t.Errorf("GET partitions/1: %+v, want 404", got)
			}

			if err := os.Remove(file); err != nil { // the repair by hand
				t.Fatal(err)
			}
			if err := c.Broker(0).Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantReplica(t, c, Replica{Partition: 1, Role: Follower, Phase: Exporting, Exported: -1})
		})
	}
}

func TestASoftPauseOverAHardOneDamagesNothing(t *testing.T) {
	c := start(t, single("8.9"))
	ask(t, c, Paused)
	ask(t, c, SoftPaused)
	if err := c.Broker(0).Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: SoftPaused, Exported: -1})
}

func TestThePhaseOutlivesARestart(t *testing.T) {
	for _, version := range versions {
		for _, phase := range []Phase{Exporting, SoftPaused, Paused} {
			t.Run(fmt.Sprintf("%s %s", version, phase), func(t *testing.T) {
				options := single(version)
				options.Dir = t.TempDir()
				c := start(t, options)
				beat(c, 10)
				ask(t, c, phase)
				c.Broker(0).Stop()
				wantReplica(t, c, Replica{Partition: 1, Phase: phase, Exported: 10})
				stop(t, c)

				c = start(t, options) // the whole cluster, in another process
				wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: phase, Exported: 10})
				beat(c, 1)
				if phase == Paused {
					wantExported(t, c.Partition(1), through(1, 10))
				} else {
					wantExported(t, c.Partition(1), through(1, 11))
				}
			})
		}
	}
}

func TestAReplicaWithALostDiskExportsBelow810(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			c := start(t, Options{Partitions: 1, Version: version})
			beat(c, 10)
			distribute(c)
			ask(t, c, Paused)
			if err := c.Broker(1).LoseDisk(); err == nil {
				t.Error("the disk of a living broker was lost")
			}
			c.Broker(1).Stop()
			if err := c.Broker(1).LoseDisk(); err != nil {
				t.Fatal(err)
			}
			if err := c.Broker(1).Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			phase := Exporting
			if version == "8.10" {
				phase = Paused
			}
			wantReplica(t, c, Replica{Partition: 1, Broker: 1, Role: Follower, Phase: phase, Exported: -1})
		})
	}
}

func TestAnUpgradeTakesThePauseFileOverOnce(t *testing.T) {
	c := start(t, single("8.9"))
	ask(t, c, SoftPaused)
	upgrade := func(version string) {
		c.Broker(0).Stop()
		if err := c.Broker(0).SetVersion(version); err != nil {
			t.Fatal(err)
		}
		if err := c.Broker(0).Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Broker(0).SetVersion("8.10"); err == nil {
		t.Error("a living broker was upgraded")
	}
	upgrade("8.10")
	wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: SoftPaused, Exported: -1})
	ask(t, c, Exporting)
	upgrade("8.10") // the file still says SOFT_PAUSED, and nobody reads it any more
	wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Exporting, Exported: -1})
}

func TestAPauseStateThatCannotBeStoredChangesNothing(t *testing.T) {
	c := start(t, single("8.9"))
	beat(c, 1)
	dir := filepath.Join(c.Broker(0).DataDir(), "raft-partition", "partitions", "1", ".exporterPaused")
	if err := os.MkdirAll(dir, 0o750); err != nil { // no file can be there
		t.Fatal(err)
	}
	if got := post(t, c.Broker(0), "/partitions/pauseExporting"); got.Status != 200 {
		t.Errorf("POST pauseExporting: %+v, want a success", got)
	}
	wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Exporting, Exported: 1})
}

func TestWithoutAMajorityNobodyLeads(t *testing.T) {
	c := start(t, Options{Partitions: 1})
	beat(c, 10)
	c.Broker(0).Stop()
	if got := c.Partition(1).Leader(); got != 1 {
		t.Errorf("broker %d leads, want 1", got)
	}
	c.Broker(1).Stop()
	if got := c.Partition(1).Leader(); got != -1 {
		t.Errorf("broker %d leads, want none", got)
	}
	wantReplica(t, c, Replica{Partition: 1, Broker: 2, Role: Candidate, Phase: Exporting, Exported: -1})
	beat(c, 10)
	wantExported(t, c.Partition(1), through(1, 10))
	if err := c.Partition(1).TransferLeader(2); err == nil {
		t.Error("broker 2 leads without a majority")
	}
	if err := c.Broker(1).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	beat(c, 1)
	wantExported(t, c.Partition(1), through(1, 10), through(1, 11))
}

func TestWithoutExportersTheDirectorIsClosed(t *testing.T) {
	options := single("8.9")
	options.NoExporters, options.SegmentRecords = true, 4
	c := start(t, options)
	beat(c, 10)
	ask(t, c, Paused)
	distribute(c)
	wantExported(t, c.Partition(1))
	wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Closed, Exported: -1})
	if got := c.Partition(1).First(); got != 9 {
		t.Errorf("the log begins at %d, want 9: nothing waits for an exporter", got)
	}
}
