package embedded

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a cluster that ends with the test. Unless asked otherwise its heart does not beat by itself, so that a
// test decides with beat and distribute what happens when, and changes are applied before they are answered.
func start(t *testing.T, options Options) *Cluster {
	t.Helper()
	if options.Dir == "" {
		options.Dir = t.TempDir()
	}
	if options.WriteInterval == 0 {
		options.WriteInterval = -1
	}
	if options.DistributionInterval == 0 {
		options.DistributionInterval = time.Hour
	}
	if options.ApplyDelay == 0 {
		options.ApplyDelay = -1
	}
	if options.EmptyDelay == 0 {
		options.EmptyDelay = time.Millisecond
	}
	c, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, c) })
	return c
}

func stop(t *testing.T, c *Cluster) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// single is a cluster of one broker and one partition: no elections.
func single(version string) Options {
	return Options{Brokers: 1, Partitions: 1, Version: version}
}

// beat lets every partition write n records and its leader export.
func beat(c *Cluster, n int) {
	for range n {
		c.eachPartition((*Partition).step)
	}
}

func distribute(c *Cluster) { c.eachPartition((*Partition).distribute) }

// exported are the positions in a partition's export file, in the order in which they were written.
func exported(t *testing.T, p *Partition) []int64 {
	t.Helper()
	file, err := os.Open(p.ExportFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer closeOrFail(t, file)
	var positions []int64
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var record struct {
			PartitionID int   `json:"partitionId"`
			Position    int64 `json:"position"`
		}
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			t.Fatalf("line %q: %v", lines.Text(), err)
		}
		if record.PartitionID != p.ID() {
			t.Fatalf("line %q is in the file of partition %d", lines.Text(), p.ID())
		}
		positions = append(positions, record.Position)
	}
	return positions
}

func closeOrFail(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// through are the positions from one to another.
func through(from, to int64) []int64 {
	var positions []int64
	for position := from; position <= to; position++ {
		positions = append(positions, position)
	}
	return positions
}

func wantExported(t *testing.T, p *Partition, ranges ...[]int64) {
	t.Helper()
	if diff := cmp.Diff(slices.Concat(ranges...), exported(t, p)); diff != "" {
		t.Errorf("exported positions (-want +got):\n%s", diff)
	}
}

// replica is the truth about a partition on a broker.
func replicaOf(t *testing.T, c *Cluster, partition, broker int) Replica {
	t.Helper()
	for _, r := range c.Replicas() {
		if r.Partition == partition && r.Broker == broker {
			return r
		}
	}
	t.Fatalf("partition %d has no replica on broker %d", partition, broker)
	return Replica{}
}

func wantReplica(t *testing.T, c *Cluster, want Replica) {
	t.Helper()
	if diff := cmp.Diff(want, replicaOf(t, c, want.Partition, want.Broker)); diff != "" {
		t.Errorf("replica (-want +got):\n%s", diff)
	}
}

// answer is what a broker answered.
type answer struct {
	Status      int
	ContentType string
	Body        string
}

// call sends a request to a management API by path and query. An answer is no error, whatever it says.
func call(ctx context.Context, t *testing.T, method, url string) (answer, error) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return answer{}, err
	}
	defer closeOrFail(t, response.Body)
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return answer{Status: response.StatusCode, ContentType: response.Header.Get("Content-Type"), Body: string(body)}, err
}

func get(t *testing.T, b *Broker, path string) answer {
	t.Helper()
	got, err := call(t.Context(), t, http.MethodGet, b.Address()+path)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func post(t *testing.T, b *Broker, path string) answer {
	t.Helper()
	got, err := call(t.Context(), t, http.MethodPost, b.Address()+path)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// ask brings every replica of a cluster to a phase, as its version is asked.
func ask(t *testing.T, c *Cluster, phase Phase) {
	t.Helper()
	if c.Broker(0).version.planned() {
		path := map[Phase]string{
			Exporting: "/exporting/resume", Paused: "/exporting/pause", SoftPaused: "/exporting/pause?soft=true",
		}[phase]
		if got := post(t, c.Broker(0), path); got.Status != http.StatusNoContent {
			t.Fatalf("POST %s: %+v", path, got)
		}
		return
	}
	path := map[Phase]string{
		Exporting: "/partitions/resumeExporting", Paused: "/partitions/pauseExporting",
		SoftPaused: "/partitions/softPauseExporting",
	}[phase]
	for _, b := range c.Brokers() {
		if !b.Up() {
			continue
		}
		if got := post(t, b, path); got.Status != http.StatusOK {
			t.Fatalf("POST %s: %+v", path, got)
		}
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatalf("never: %s", what)
		}
	}
}

func TestTheHeartBeatsByItself(t *testing.T) {
	c := start(t, Options{
		WriteInterval: time.Millisecond, DistributionInterval: 2 * time.Millisecond, SegmentRecords: 8,
	})
	for _, p := range c.Partitions() {
		eventually(t, "records are exported, positions distributed and segments compacted", func() bool {
			follower := replicaOf(t, c, p.ID(), (p.Leader()+1)%3)
			return p.Last() > 20 && follower.Exported > 10 && p.First() > 1
		})
		positions := exported(t, p)
		if diff := cmp.Diff(through(1, int64(len(positions))), positions); diff != "" {
			t.Errorf("exported positions (-want +got):\n%s", diff)
		}
	}
}

func TestLeadersAreSpreadByPriority(t *testing.T) {
	c := start(t, Options{Brokers: 4, Partitions: 5})
	var leaders []int
	for _, p := range c.Partitions() {
		leaders = append(leaders, p.Leader())
	}
	if diff := cmp.Diff([]int{0, 1, 2, 3, 0}, leaders); diff != "" {
		t.Errorf("leaders (-want +got):\n%s", diff)
	}
}

func TestOptionsAreRefused(t *testing.T) {
	dir := t.TempDir()
	for name, options := range map[string]Options{
		"no directory":           {},
		"no brokers":             {Dir: dir, Brokers: -1},
		"no partitions":          {Dir: dir, Partitions: -1},
		"too many replicas":      {Dir: dir, Brokers: 2, ReplicationFactor: 3},
		"too many versions":      {Dir: dir, Brokers: 1, Versions: []string{"8.9", "8.9"}},
		"no version":             {Dir: dir, Version: "latest"},
		"tenants before 8.10":    {Dir: dir, Version: "8.9", Tenants: []string{"a", "b"}},
		"a negative interval":    {Dir: dir, FlushInterval: -1},
		"more hosts than a byte": {Dir: dir, Brokers: 255, DistinctHosts: true},
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := Start(t.Context(), options); err == nil {
				stop(t, c)
				t.Error("the cluster started")
			}
		})
	}
}

func TestAForeignDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/log/partition-1", 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/log/partition-1/notes.txt", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Start(t.Context(), Options{Dir: dir}); err == nil {
		stop(t, c)
		t.Error("the cluster started")
	}
}

func TestAPartitionThatFailsSaysSoOnce(t *testing.T) {
	var logged bytes.Buffer
	c := start(t, Options{Brokers: 1, Partitions: 1, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	if err := os.Mkdir(c.Partition(1).ExportFile(), 0o750); err != nil { // nothing can be exported there
		t.Fatal(err)
	}
	beat(c, 3)
	if got := strings.Count(logged.String(), "embedded partition fails"); got != 1 {
		t.Errorf("it was said %d times, want once:\n%s", got, logged.String())
	}
	if err := os.Remove(c.Partition(1).ExportFile()); err != nil {
		t.Fatal(err)
	}
	beat(c, 1)
	wantExported(t, c.Partition(1), through(1, 4))
}

func TestTenantsHavePartitionsOfTheirOwn(t *testing.T) {
	c := start(t, Options{Brokers: 1, Partitions: 1, Version: "8.10", Tenants: []string{"a", "b"}})
	beat(c, 2)
	var names []string
	for _, p := range c.Partitions() {
		wantExported(t, p, through(1, 2))
		names = append(names, fmt.Sprintf("%s %d %s", p.Tenant(), p.ID(), filepath.Base(p.ExportFile())))
	}
	if diff := cmp.Diff([]string{"a 1 a-partition-1.ndjson", "b 1 b-partition-1.ndjson"}, names); diff != "" {
		t.Errorf("partitions (-want +got):\n%s", diff)
	}
	if got := get(t, c.Broker(0), "/prometheus").Body; !strings.Contains(got, `partition="1",physical_tenant="b"} 0`) {
		t.Errorf("no metrics of tenant b in:\n%s", got)
	}
	if got := get(t, c.Broker(0), "/cluster").Body; strings.Count(got, `"physicalTenant":"b"`) != 1 {
		t.Errorf("GET cluster does not mark the partitions with their tenants:\n%s", got)
	}
	if got := get(t, c.Broker(0), "/cluster?physicalTenant=b").Body; strings.Contains(got, "physicalTenant") ||
		strings.Count(got, `"priority"`) != 1 {
		t.Errorf("GET cluster of one tenant:\n%s", got)
	}
}
