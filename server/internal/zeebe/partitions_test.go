package zeebe

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// newer is a broker's answer from 8.6 on (zeebe-facts.md 4.1), with more than is read.
const newer = `{"1":{"role":"LEADER","processedPosition":14553,"snapshotId":"14466-1-14533-14534-0-47cbea74",
 "processedPositionInSnapshot":14533,"streamProcessorPhase":"PROCESSING","exporterPhase":"EXPORTING",
 "exportedPosition":14554,"clock":{"instant":"2026-09-29T23:00:06.305Z","modificationType":"None","modification":{}},
 "health":{"id":"Partition-1","name":"Partition-1","status":"HEALTHY","componentsState":"HEALTHY",
 "children":[{"id":"a","status":"DEAD","children":[]}]}}}`

func TestDecodePartitions(t *testing.T) {
	one := func(change func(*exporting.Reading)) []exporting.Reading {
		r := exporting.Reading{
			Partition: exporting.PartitionID{ID: 1},
			Role:      exporting.RoleLeader,
			Phase:     exporting.PhaseExporting,
			Processed: exporting.At(14553),
			Exported:  exporting.At(14554),
			Health:    exporting.HealthHealthy,
		}
		change(&r)
		return []exporting.Reading{r}
	}
	for _, test := range []struct {
		name string
		body string
		want []exporting.Reading
	}{
		{"newer", newer, one(func(*exporting.Reading) {})},
		{
			"8.5, without clock and health",
			`{"1":{"role":"FOLLOWER","processedPosition":14553,"snapshotId":null,"processedPositionInSnapshot":null,` +
				`"streamProcessorPhase":"REPLAY","exporterPhase":"SOFT_PAUSED","exportedPosition":14554}}`,
			one(func(r *exporting.Reading) {
				r.Role, r.Phase, r.Health = exporting.RoleFollower, exporting.PhaseSoftPaused, exporting.HealthUnknown
			}),
		},
		{
			"8.2, a follower with nulls",
			`{"1":{"role":"FOLLOWER","processedPosition":null,"snapshotId":null,"processedPositionInSnapshot":null,` +
				`"streamProcessorPhase":null,"exporterPhase":null,"exportedPosition":null,"health":null}}`,
			[]exporting.Reading{{Partition: exporting.PartitionID{ID: 1}, Role: exporting.RoleFollower}},
		},
		{
			"words of the future",
			`{"1":{"role":"WITNESS","exporterPhase":"HALF_PAUSED","health":{"status":"SLEEPY"},"news":[{}]}}`,
			[]exporting.Reading{{Partition: exporting.PartitionID{ID: 1}}},
		},
		{
			"no exporter ever stored a position",
			`{"1":{"role":"LEADER","processedPosition":0,"exporterPhase":"CLOSED","exportedPosition":-1}}`,
			[]exporting.Reading{{
				Partition: exporting.PartitionID{ID: 1},
				Role:      exporting.RoleLeader,
				Phase:     exporting.PhaseClosed,
				Processed: exporting.At(0),
				Exported:  exporting.At(-1),
			}},
		},
		{
			"all roles and phases, in the order of ids",
			`{"10":{"role":"INACTIVE","exporterPhase":"PAUSED"},"9":{"role":"CANDIDATE","exporterPhase":"CLOSED"},` +
				`"2":{"role":"PASSIVE"},"3":{"role":"PROMOTABLE","health":{"status":"UNHEALTHY"}},"4":{"role":"FOLLOWER",` +
				`"health":{"status":"DEAD"}}}`,
			[]exporting.Reading{
				{Partition: exporting.PartitionID{ID: 2}, Role: exporting.RolePassive},
				{Partition: exporting.PartitionID{ID: 3}, Role: exporting.RolePromotable, Health: exporting.HealthUnhealthy},
				{Partition: exporting.PartitionID{ID: 4}, Role: exporting.RoleFollower, Health: exporting.HealthDead},
				{Partition: exporting.PartitionID{ID: 9}, Role: exporting.RoleCandidate, Phase: exporting.PhaseClosed},
				{Partition: exporting.PartitionID{ID: 10}, Role: exporting.RoleInactive, Phase: exporting.PhasePaused},
			},
		},
		{
			"tenants",
			`{"default":{"1":{"role":"LEADER"}},"acme":{"1":{"role":"LEADER"},"2":{"role":"FOLLOWER"}}}`,
			[]exporting.Reading{
				{Partition: exporting.PartitionID{Tenant: "acme", ID: 1}, Role: exporting.RoleLeader},
				{Partition: exporting.PartitionID{Tenant: "acme", ID: 2}, Role: exporting.RoleFollower},
				{Partition: exporting.PartitionID{Tenant: "default", ID: 1}, Role: exporting.RoleLeader},
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := decodePartitions([]byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("readings differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodePartitionsRefuses(t *testing.T) {
	for _, test := range []struct {
		name, body, says string
	}{
		{"an empty map", `{}`, "empty map"},
		{"a tenant's empty map", `{"a":{"1":{"role":"LEADER"}},"b":{}}`, `tenant "b": it answered an empty map`},
		{"nothing", " \n", "answered nothing"},
		{"null", `null`, "something else"},
		{"a list", `[{"role":"LEADER"}]`, "something else"},
		{"a string", `"OK"`, "something else"},
		{"HTML", html, `"<!DOCTYPE html><html>`},
		{"an error object", springError, "something else"},
		{"a truncated map", newer[:len(newer)-1], "cut off"},
		{"a truncated replica", newer[:100], "cut off"},
		{"a truncated key", `{"1`, "cut off"},
		{"text after the end", newer + "x", "something else"},
		{"two answers", newer + newer, "something else"},
		{"a partition twice", `{"1":{"role":"LEADER"},"1":{"role":"FOLLOWER"}}`, "partition 1 twice"},
		{"a partition twice in two spellings", `{"1":{"role":"LEADER"},"01":{"role":"FOLLOWER"}}`, "partition 1 twice"},
		{"a tenant twice", `{"a":{"1":{"role":"LEADER"}},"a":{"1":{"role":"LEADER"}}}`, "partition 1 of tenant a twice"},
		{"a partition that says nothing", `{"1":{}}`, "neither role nor exporter phase of partition 1"},
		{"a partition that is null", `{"1":null}`, "neither role nor exporter phase of partition 1"},
		{"a partition of another type", `{"1":"LEADER"}`, "something else"},
		{"a position of another type", `{"1":{"role":"LEADER","exportedPosition":"12"}}`, "a string for exportedPosition"},
		{"a position that is too large", `{"1":{"role":"LEADER","exportedPosition":1e99}}`, "exportedPosition"},
		{"partition 0", `{"0":{"role":"LEADER"}}`, "start at 1"},
		{"tenants in tenants", `{"a":{"b":{"1":{"role":"LEADER"}}}}`, `"b", which is not a number`},
		{"a tenant without a name", `{"":{"1":{"role":"LEADER"}}}`, "not a number"},
		{"a tenant that is null", `{"a":null}`, "something else"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := decodePartitions([]byte(test.body))
			if got != nil {
				t.Errorf("readings %v beside an error", got)
			}
			wantError(t, err, test.says)
			if len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\n\x00\x1b") {
				t.Errorf("error %q does not fit a line", err)
			}
		})
	}
}

// BenchmarkDecodePartitions decodes the answer of a broker with 90 replicas.
func BenchmarkDecodePartitions(b *testing.B) {
	replica := strings.TrimSuffix(strings.TrimPrefix(newer, `{"1":`), "}")
	partitions := make([]string, 90)
	for i := range partitions {
		partitions[i] = fmt.Sprintf("%q:%s", strconv.Itoa(i+1), replica)
	}
	body := []byte("{" + strings.Join(partitions, ",") + "}")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodePartitions(body); err != nil {
			b.Fatal(err)
		}
	}
}
