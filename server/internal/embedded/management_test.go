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

// decode reads a JSON answer, with its moments made all the same.
func decode(t *testing.T, body string) any {
	t.Helper()
	body = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`).ReplaceAllString(body, "NOW")
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
			"health": {"id": "Partition-1", "name": "Partition-1", "status": "HEALTHY", "componentsState": "HEALTHY", "children": []}`
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
	wantJSON(t, `{"role": "LEADER", "processedPosition": 0, "streamProcessorPhase": "PROCESSING", "exporterPhase": "EXPORTING",
		"exportedPosition": -1, "snapshotId": null, "processedPositionInSnapshot": null}`,
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

func TestPostExportingByVersion(t *testing.T) {
	const done = `{"body":null,"status":204,"contentType":null}`
	const unknown = `{"body":{"cause":null,"stackTrace":[],"message":null,"suppressed":[],"localizedMessage":null},` +
		`"status":500,"contentType":null}`
	for _, test := range []struct {
		version, path string
		status        int
		body          string
		phase         Phase
	}{
		{"8.1", "pause", 204, "", Paused},
		{"8.1", "pause?soft=true", 204, "", Paused}, // the parameter is not known, and not looked at
		{"8.5.0", "pause?soft=true", 204, "", Paused},
		{"8.5", "pause", 200, done, Paused},
		{"8.5", "pause?soft=on", 200, done, SoftPaused},
		{"8.5", "resume", 200, done, Exporting},
		{"8.8", "pause?soft=FALSE", 200, done, Paused},
		{"8.9", "pause?soft=1", 200, done, SoftPaused},
		{"8.9", "softPause", 200, unknown, Exporting},
		{"8.9", "pause?soft=maybe", 400, "*", Exporting},
		{"8.10", "pause", 204, "", Paused},
		{"8.10", "pause?soft=true", 204, "", SoftPaused},
		{"8.10", "resume", 204, "", Exporting},
		{"8.10", "status", 500, "null", Exporting},
		{"8.10", "pause?soft=maybe", 400, "*", Exporting},
		{"8.10", "pause?physicalTenant=nobody", 400, "*", Exporting},
		{"8.10.0-alpha5", "pause?soft=true", 200, done, SoftPaused},
		{"8.10.0-alpha5", "status", 200, `{"body":null,"status":500,"contentType":null}`, Exporting},
	} {
		t.Run(test.version+" "+test.path, func(t *testing.T) {
			c := start(t, Options{Partitions: 1, Version: test.version})
			got := post(t, c.Broker(2), "/exporting/"+test.path)
			if got.Status != test.status {
				t.Errorf("POST %s: %+v, want status %d", test.path, got, test.status)
			}
			if test.body != "*" && got.Body != "" || test.body == "" {
				if diff := cmp.Diff(test.body, got.Body); diff != "" {
					t.Errorf("answer (-want +got):\n%s", diff)
				}
			}
			for _, r := range c.Replicas() {
				if r.Phase != test.phase {
					t.Errorf("broker %d: %s, want %s", r.Broker, r.Phase, test.phase)
				}
			}
		})
	}
}

func TestTheOldGatewayIsAllOrNothing(t *testing.T) {
	for name, test := range map[string]struct {
		trouble func(c *Cluster)
		message string
	}{
		"a broker is down": {func(c *Cluster) { c.Broker(2).Stop() }, "Expected 3 members of partition 1 but found 2, "},
		"a replica is inactive": {
			func(c *Cluster) { c.Broker(2).SetFaults(InactiveReplica(1)) }, "Expected 3 members of partition 1 but found 2, ",
		},
		"there is no leader": {
			func(c *Cluster) { c.Broker(1).Stop(); c.Broker(2).Stop() }, "Leader of partition 1 is not known, ",
		},
	} {
		for _, operation := range []string{"pause", "resume"} {
			t.Run(name+" "+operation, func(t *testing.T) {
				c := start(t, Options{Partitions: 1, Version: "8.9"})
				test.trouble(c)
				got := post(t, c.Broker(0), "/exporting/"+operation)
				var envelope struct {
					Body   struct{ Message string }
					Status int
				}
				if err := json.Unmarshal([]byte(got.Body), &envelope); err != nil {
					t.Fatal(err)
				}
				if got.Status != 200 || envelope.Status != 500 || !strings.HasPrefix(envelope.Body.Message, test.message) {
					t.Errorf("POST: %+v", got)
				}
				wantReplica(t, c, Replica{
					Partition: 1, Role: replicaOf(t, c, 1, 0).Role, Phase: Exporting, Exported: -1,
				})
			})
		}
	}
}

func TestMixedVersions(t *testing.T) {
	c := start(t, Options{Partitions: 1, Versions: []string{"8.9", "8.9", "8.10"}})
	if got := post(t, c.Broker(2), "/exporting/pause"); got.Status != 500 {
		t.Errorf("the coordinator of 8.10: %+v, want 500", got)
	}
	wantReplica(t, c, Replica{Partition: 1, Broker: 0, Role: Leader, Phase: Exporting, Exported: -1})
	wantJSON(t, `{"body":null,"status":204,"contentType":null}`, post(t, c.Broker(0), "/exporting/pause").Body)
	wantReplica(t, c, Replica{Partition: 1, Broker: 0, Role: Leader, Phase: Paused, Exported: -1})
	wantReplica(t, c, Replica{Partition: 1, Broker: 2, Role: Follower, Phase: Exporting, Exported: -1}) // swallowed
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
			got, err := call(t, t.Context(), test.method, c.Broker(0).Address()+test.path)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != test.status {
				t.Errorf("%s %s: %+v, want %d", test.method, test.path, got, test.status)
			}
		})
	}
}

func TestGetClusterByVersion(t *testing.T) {
	const head = `{"version":1,"brokers":[{"id":0,"state":"ACTIVE","version":1,"lastUpdatedAt":"NOW",
		"partitions":[{"id":1,"state":"ACTIVE","priority":1`
	const routing = `"routing":{"version":1,"requestHandling":{"strategy":"AllPartitions","partitionCount":1},
		"messageCorrelation":{"strategy":"HashMod","partitionCount":1}}`
	for version, want := range map[string]string{
		"8.5": head + `}]}]}`,
		"8.9": head + `,"config":{"exporting":{"exporters":[{"id":"ndjson","state":"ENABLED"}]}}}]}],` + routing + `}`,
		"8.10": head + `,"config":{"exporting":{"exporters":[{"id":"ndjson","state":"ENABLED"}],"state":"EXPORTING"}}}]}],` +
			routing + `}`,
	} {
		t.Run(version, func(t *testing.T) {
			wantJSON(t, want, get(t, start(t, single(version)).Broker(0), "/cluster").Body)
		})
	}
}

func TestGetClusterNamesDeadMembers(t *testing.T) {
	c := start(t, Options{Brokers: 4, Version: "8.9"})
	before := get(t, c.Broker(0), "/cluster").Body
	c.Broker(1).Stop()
	wantJSON(t, before, get(t, c.Broker(0), "/cluster").Body)
	var cluster struct {
		Brokers []struct {
			ID         int
			Partitions []struct{ ID, Priority int }
		}
	}
	if err := json.Unmarshal([]byte(before), &cluster); err != nil {
		t.Fatal(err)
	}
	replicas := map[int][]int{}
	for _, b := range cluster.Brokers {
		for _, p := range b.Partitions {
			replicas[p.ID] = append(replicas[p.ID], b.ID)
		}
	}
	if diff := cmp.Diff(map[int][]int{1: {0, 1, 2}, 2: {1, 2, 3}, 3: {0, 2, 3}}, replicas); diff != "" {
		t.Errorf("replicas (-want +got):\n%s", diff)
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
					body := get(t, b, path).Body
					body = strings.ReplaceAll(body, strings.TrimSuffix(b.Address(), "/actuator"), "HOST")
					body = strings.NewReplacer("LEADER", "ROLE", "FOLLOWER", "ROLE", "PROCESSING", "WORK", "REPLAY", "WORK").Replace(body)
					lines := strings.Split(regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`).ReplaceAllString(body, "NOW"), "\n")
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
