package embedded

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// moment is a time in an answer.
var moment = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)

// decode reads a JSON answer, with its moments made all the same.
func decode(t *testing.T, body string) any {
	t.Helper()
	body = moment.ReplaceAllString(body, "NOW")
	var value any
	if err := json.Unmarshal([]byte(body), &value); err != nil {
		t.Fatalf("answer %q: %v", body, err)
	}
	return value
}

func wantJSON(t *testing.T, want, got string) {
	t.Helper()
	if diff := cmp.Diff(decode(t, want), decode(t, got)); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestGetPartitionsByVersion(t *testing.T) {
	const (
		snapshot = `"snapshotId": "10-1-10-10", "processedPositionInSnapshot": 10`
		none     = `"snapshotId": null, "processedPositionInSnapshot": null`
		clock    = `, "clock": {"instant": "NOW", "modificationType": "None", "modification": {}},
			"health": {"id": "Partition-1", "name": "Partition-1", "status": "HEALTHY", "componentsState": "HEALTHY",
			"children": []}`
		leader = `"role": "LEADER", "processedPosition": 10, "streamProcessorPhase": "PROCESSING",
			"exporterPhase": "EXPORTING", "exportedPosition": 10, ` + snapshot
		follower = `"role": "FOLLOWER", "processedPosition": 10, "streamProcessorPhase": "REPLAY",
			"exporterPhase": "EXPORTING", "exportedPosition": -1, ` + none
		nulls = `"role": "FOLLOWER", "processedPosition": null, "streamProcessorPhase": null,
			"exporterPhase": "EXPORTING", "exportedPosition": null, ` + none
	)
	for name, test := range map[string]struct {
		options          Options
		leader, follower string
	}{
		"8.2 with nulls": {Options{Version: "8.2", NullFollowers: true}, `{"1":{` + leader + `}}`, `{"1":{` + nulls + `}}`},
		"8.5":            {Options{Version: "8.5"}, `{"1":{` + leader + `}}`, `{"1":{` + follower + `}}`},
		"8.8":            {Options{Version: "8.8"}, `{"1":{` + leader + clock + `}}`, `{"1":{` + follower + clock + `}}`},
		"8.10": {
			Options{Version: "8.10", Tenants: []string{"default"}},
			`{"1":{` + leader + clock + `}}`, `{"1":{` + follower + clock + `}}`,
		},
		"8.10 with tenants": {
			Options{Version: "8.10", Tenants: []string{"a", "b"}},
			`{"a":{"1":{` + leader + clock + `}},"b":{"1":{` + leader + clock + `}}}`,
			`{"a":{"1":{` + follower + clock + `}},"b":{"1":{` + follower + clock + `}}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.Partitions = 1
			c := start(t, test.options)
			beat(c, 10)
			for id, want := range []string{test.leader, test.follower} {
				got := get(t, c.Broker(id), "/partitions")
				wantJSON(t, want, got.Body)
				if got.Status != http.StatusOK || got.ContentType != actuatorJSON {
					t.Errorf("GET partitions: %d %s", got.Status, got.ContentType)
				}
			}
		})
	}
}

func TestGetOnePartition(t *testing.T) {
	c := start(t, Options{Brokers: 2, Partitions: 2, ReplicationFactor: 1, Version: "8.5"})
	wantJSON(t, `{"role": "LEADER", "processedPosition": 0, "streamProcessorPhase": "PROCESSING",
		"exporterPhase": "EXPORTING", "exportedPosition": -1, "snapshotId": null, "processedPositionInSnapshot": null}`,
		get(t, c.Broker(1), "/partitions/2").Body)
	if got := get(t, c.Broker(1), "/partitions/1"); got.Status != http.StatusNotFound {
		t.Errorf("a partition of another broker: %+v", got)
	}
}

func TestPostPartitionsByVersion(t *testing.T) {
	for _, test := range []struct {
		version, operation string
		status             int
		phase              Phase // afterwards
		answered           bool  // with a map
	}{
		{"8.5", "pauseExporting", 200, Paused, true},
		{"8.5", "softPauseExporting", 200, SoftPaused, true},
		{"8.5", "resumeExporting", 200, Exporting, true},
		{"8.5", "takeSnapshot", 200, Exporting, true},
		{"8.5", "unheardOf", 204, Exporting, false},
		{"8.1", "pauseExporting", 200, Paused, true},
		{"8.1", "softPauseExporting", 204, Exporting, false},
		{"8.2.26", "softPauseExporting", 204, Exporting, false},
		{"8.2.27", "softPauseExporting", 200, SoftPaused, true},
		{"8.3.10", "softPauseExporting", 204, Exporting, false},
		{"8.3.11", "softPauseExporting", 200, SoftPaused, true},
		{"8.4.6", "softPauseExporting", 204, Exporting, false},
		{"8.4.7", "softPauseExporting", 200, SoftPaused, true},
		{"8.5.0", "softPauseExporting", 204, Exporting, false},
		{"8.5.1", "softPauseExporting", 200, SoftPaused, true},
		{"8.8", "softPauseExporting", 200, SoftPaused, true},
		{"8.9", "pauseExporting", 200, Paused, true},
		{"8.10", "pauseExporting", 500, Exporting, true},
		{"8.10", "softPauseExporting", 500, Exporting, true},
		{"8.10", "resumeExporting", 500, Exporting, true},
		{"8.10", "takeSnapshot", 200, Exporting, true},
	} {
		t.Run(test.version+" "+test.operation, func(t *testing.T) {
			c := start(t, single(test.version))
			got := post(t, c.Broker(0), "/partitions/"+test.operation)
			if got.Status != test.status || (got.Body != "") != test.answered {
				t.Errorf("POST %s: %+v, want status %d", test.operation, got, test.status)
			}
			wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: test.phase, Exported: -1})
		})
	}
}

func TestTheAnswerOfAWriteShowsTheOldPhase(t *testing.T) {
	options := single("8.5")
	options.ApplyDelay = time.Hour
	c := start(t, options)
	wantJSON(t, get(t, c.Broker(0), "/partitions").Body, post(t, c.Broker(0), "/partitions/pauseExporting").Body)
	wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Exporting, Exported: -1})
	passQueue(c.Broker(0))
	wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Paused, Exported: -1})
}

func TestChangesDoNotOvertakeOneAnother(t *testing.T) {
	c := start(t, single("8.9"))
	c.Broker(0).SetFaults(Late(time.Hour))
	ask(t, c, Paused)
	c.Broker(0).Clear()
	ask(t, c, Exporting) // it would be applied at once if nothing were queued
	c.mu.Lock()
	queued := len(c.brokers[0].changes)
	c.mu.Unlock()
	if queued != 2 {
		t.Errorf("%d changes are queued, want 2", queued)
	}
	passQueue(c.Broker(0))
	wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Exporting, Exported: -1})
}

func TestAQueuedChangeIsLostInARestart(t *testing.T) {
	options := single("8.9")
	options.ApplyDelay = time.Hour
	c := start(t, options)
	ask(t, c, Paused)
	if err := c.Broker(0).Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	passQueue(c.Broker(0))
	wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Exporting, Exported: -1})
}

// passQueue lets the time of every queued change of a broker come.
func passQueue(b *Broker) {
	b.cluster.mu.Lock()
	defer b.cluster.mu.Unlock()
	for i := range b.changes {
		b.changes[i].due = time.Now()
	}
	b.applyDue()
}

func TestRoutesByVersion(t *testing.T) {
	for _, test := range []struct {
		version, method, path string
		status                int
	}{
		{"8.1", "GET", "", 200},
		{"8.1", "GET", "/cluster", 404},
		{"8.4", "GET", "/cluster", 200},
		{"8.5", "GET", "/exporters", 404},
		{"8.6", "GET", "/exporters", 200},
		{"8.9", "GET", "/cluster", 200},
		{"8.9", "GET", "/cluster/changes", 404},
		{"8.10", "GET", "/cluster/changes", 200},
		{"8.10", "GET", "/cluster/changes/7", 404},
		{"8.9", "GET", "/exporting", 404},
		{"8.10", "GET", "/exporting", 404},
		{"8.9", "GET", "/exporting/pause", 405},
		{"8.9", "GET", "/partitions/pauseExporting", 404}, // a partition of that name
		{"8.9", "DELETE", "/partitions", 405},
		{"8.9", "GET", "/nowhere", 404},
		{"8.9", "GET", "/health", 200},
		{"8.9", "GET", "/health/readiness", 200},
		{"8.9", "GET", "/health/liveness", 200},
		{"8.9", "GET", "/health/startup", 200},
		{"8.9", "GET", "/health/humour", 404},
		{"8.9", "POST", "/rebalance", 200},
	} {
		t.Run(test.version+" "+test.method+" "+test.path, func(t *testing.T) {
			c := start(t, Options{Version: test.version, BasePath: "/orchestration/actuator"})
			got, err := call(t.Context(), t, test.method, c.Broker(0).Address()+test.path)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != test.status {
				t.Errorf("%s %s: %+v, want %d", test.method, test.path, got, test.status)
			}
		})
	}
}

func TestGetExporters(t *testing.T) {
	options := single("8.9")
	wantJSON(t, `[{"exporterId":"ndjson","status":"ENABLED"}]`, get(t, start(t, options).Broker(0), "/exporters").Body)
	options.NoExporters = true
	wantJSON(t, `[]`, get(t, start(t, options).Broker(0), "/exporters").Body)
}

func TestHealthTellsAPartitionThatDidNotStart(t *testing.T) {
	c := start(t, single("8.9"))
	ask(t, c, SoftPaused)
	ask(t, c, Paused)
	if err := c.Broker(0).Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := get(t, c.Broker(0), "/health"); got.Status != http.StatusServiceUnavailable {
		t.Errorf("GET health: %+v, want 503", got)
	}
}

func TestMetricsShowThePositionsApartInASoftPause(t *testing.T) {
	c := start(t, single("8.9"))
	beat(c, 10)
	ask(t, c, SoftPaused)
	beat(c, 5)
	got := get(t, c.Broker(0), "/prometheus").Body
	for _, line := range []string{
		`zeebe_exporter_state{exporter="ndjson",partition="1"} 2`,
		`zeebe_exporter_last_exported_position{exporter="ndjson",partition="1"} 15`,
		`zeebe_exporter_last_updated_exported_position{exporter="ndjson",partition="1"} 10`,
		`disk_free_bytes{path="/usr/local/zeebe/data"} 17179869184`,
	} {
		if !slices.Contains(strings.Split(got, "\n"), line) {
			t.Errorf("no line %s in:\n%s", line, got)
		}
	}
}

// TestNoAnswerTellsWhichBrokerItIs compares what two brokers answer: all that differs is what replicas differ in.
func TestNoAnswerTellsWhichBrokerItIs(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			c := start(t, Options{Brokers: 3, Partitions: 3, Version: version, DistinctHosts: true})
			beat(c, 10)
			distribute(c)
			for _, path := range []string{"", "/partitions", "/cluster", "/exporters", "/health", "/prometheus", "/nowhere"} {
				bodies := map[string]bool{}
				for _, b := range c.Brokers() {
					body := strings.NewReplacer(
						strings.TrimSuffix(b.Address(), "/actuator"), "HOST",
						"LEADER", "ROLE", "FOLLOWER", "ROLE", "PROCESSING", "WORK", "REPLAY", "WORK",
					).Replace(get(t, b, path).Body)
					lines := strings.Split(moment.ReplaceAllString(body, "NOW"), "\n")
					lines = slices.DeleteFunc(lines, func(line string) bool { // leaders have one metric more
						return strings.HasPrefix(line, "zeebe_exporter_last_exported_position{")
					})
					slices.Sort(lines)
					bodies[strings.Join(lines, "\n")] = true
				}
				if len(bodies) != 1 {
					t.Errorf("GET %s has %d answers: %v", path, len(bodies), bodies)
				}
			}
		})
	}
}

func TestDataStaysBelowTheDirectory(t *testing.T) {
	dir := t.TempDir()
	c := start(t, Options{Dir: filepath.Join(dir, "deep", "down"), Version: "8.10"})
	beat(c, 1)
	ask(t, c, Paused)
	stop(t, c)
	entries, err := os.ReadDir(filepath.Join(dir, "deep", "down"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	want := []string{"broker-0", "broker-1", "broker-2", "cluster-configuration.json", "export", "log"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
