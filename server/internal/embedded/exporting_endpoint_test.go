package embedded

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
