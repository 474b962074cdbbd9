package embedded

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
