package servertest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// What a pause is for: a hard one stops the exported records, a soft one only the stored position, and after a resume all
// records are there.
func TestExportedRecords(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{
			WriteInterval: 5 * time.Millisecond, SegmentRecords: 16, DistributionInterval: 100 * time.Millisecond,
		})
		t.awaitRecords(h, 50)
		t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
		before := t.exported(h)
		t.awaitRecords(h, 50)
		if after := t.exported(h); after != before {
			t.Errorf("under a hard pause the output went on from %v to %v", before, after)
		}
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
		t.awaitExported(h)

		t.expectSuccess(h, route.Pause(t.Context(), soft()), embedded.SoftPaused)
		stored := t.stored(h)
		t.awaitRecords(h, 50)
		t.awaitExported(h)
		if after := t.stored(h); after != stored {
			t.Errorf("under a soft pause the stored positions went on from %v to %v", stored, after)
		}
		for i, first := range t.first(h) {
			if first > stored[i]+1 {
				t.Errorf("partition %d was compacted up to %d, but only %d is stored", i+1, first, stored[i])
			}
		}
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
		t.awaitExported(h)
		servertest.Await(t, "the log is compacted again", func() bool {
			first := t.first(h)
			return first[0] > stored[0] && first[1] > stored[1] && first[2] > stored[2]
		})
	})
}

// A hard pause that a broker's death interrupts loses no record either.
func TestExportedRecordsOverARestart(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{WriteInterval: 5 * time.Millisecond, SegmentRecords: 16})
		t.expectSuccess(h, route.Pause(t.Context(), soft()), embedded.SoftPaused)
		t.awaitRecords(h, 20)
		if err := h.Cluster.Broker(1).Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.awaitRecords(h, 20)
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
		t.awaitExported(h)
	})
}

// positions is one position of each of the three partitions.
type positions [3]int64

func of(h *servertest.Harness, position func(*embedded.Partition) int64) positions {
	var all positions
	for i, p := range h.Cluster.Partitions() {
		all[i] = position(p)
	}
	return all
}

func (t try) first(h *servertest.Harness) positions { return of(h, (*embedded.Partition).First) }

// stored is what the leaders have stored.
func (t try) stored(h *servertest.Harness) positions {
	var all positions
	for _, r := range h.Cluster.Replicas() {
		if r.Role == embedded.Leader {
			all[r.Partition-1] = r.Exported
		}
	}
	return all
}

// awaitRecords waits until some more records were written to every partition.
func (t try) awaitRecords(h *servertest.Harness, more int64) {
	t.Helper()
	before := of(h, (*embedded.Partition).Last)
	servertest.Await(t, "records are written", func() bool {
		for i, last := range of(h, (*embedded.Partition).Last) {
			if last < before[i]+more {
				return false
			}
		}
		return true
	})
}

// awaitExported waits until all that is written by now is exported, each position at least once, whatever came again.
func (t try) awaitExported(h *servertest.Harness) {
	t.Helper()
	goal := of(h, (*embedded.Partition).Last)
	servertest.Await(t, "the output catches up", func() bool {
		for i, last := range t.exported(h) {
			if last < goal[i] {
				return false
			}
		}
		return true
	})
}

// exported is the last position that each partition has exported. It fails the test if one before it is missing.
func (t try) exported(h *servertest.Harness) positions {
	t.Helper()
	return of(h, func(p *embedded.Partition) int64 {
		content, err := os.ReadFile(p.ExportFile())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		content = content[:bytes.LastIndexByte(content, '\n')+1] // The next line may be half written.
		last := int64(0)
		for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
			var record struct {
				Partition int   `json:"partitionId"`
				Position  int64 `json:"position"`
			}
			if err := json.Unmarshal(lines.Bytes(), &record); err != nil || record.Partition != p.ID() {
				t.Fatalf("partition %d exported %q: %v", p.ID(), lines.Text(), err)
			}
			if record.Position > last+1 {
				t.Fatalf("partition %d exported position %d after %d: records are lost", p.ID(), record.Position, last)
			}
			last = max(last, record.Position)
		}
		return last
	})
}
