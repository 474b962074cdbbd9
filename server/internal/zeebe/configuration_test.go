package zeebe

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// threeBrokers is GET cluster of 8.5 to 8.9 (zeebe-facts.md 4.2): broker 2 leaves partition 2, broker 3 left.
const threeBrokers = `{"version":14,"brokers":[
 {"id":1,"state":"ACTIVE","version":3,"lastUpdatedAt":"2026-01-01T00:00:00Z","partitions":[
  {"id":1,"state":"ACTIVE","priority":2,"config":{"exporting":{"exporters":[{"id":"es","state":"ENABLED"}]}}},
  {"id":2,"state":"ACTIVE","priority":1,"config":{"exporting":{"exporters":[]}}}]},
 {"id":0,"state":"ACTIVE","version":2,"partitions":[{"id":1,"state":"ACTIVE"}]},
 {"id":2,"state":"LEAVING","version":2,"partitions":[{"id":2,"state":"LEAVING"},{"id":1,"state":"LEFT"}]},
 {"id":3,"state":"LEFT","version":2,"partitions":[{"id":2,"state":"ACTIVE"}]}],
 "lastChange":{"id":4,"status":"COMPLETED","startedAt":"2026-01-01T00:00:00Z","completedAt":"2026-01-01T00:00:01Z"}}`

func ids(list ...exporting.BrokerID) []exporting.BrokerID { return list }

func TestDecodeCluster(t *testing.T) {
	partition := func(tenant string, id int32, members ...exporting.BrokerID) exporting.ExpectedPartition {
		return exporting.ExpectedPartition{
			ID: exporting.PartitionID{Tenant: tenant, ID: id}, Replicas: len(members), Members: members,
		}
	}
	for _, test := range []struct {
		name string
		body string
		want configuration
	}{
		{"without the brokers and partitions that left", threeBrokers, configuration{
			listed:   ids("0", "1", "2", "3"),
			hosts:    ids("0", "1", "2"),
			expected: []exporting.ExpectedPartition{partition("", 1, "0", "1"), partition("", 2, "1", "2")},
		}},
		{"zones, a member without partitions, nulls", `{"brokers":[{"id":"us-east1_0","partitions":[{"id":1}]},` +
			`{"id":"us-east1_10","state":null,"partitions":null}],"pendingChange":null,"lastChange":null}`, configuration{
			listed:   ids("us-east1_0", "us-east1_10"),
			hosts:    ids("us-east1_0"),
			expected: []exporting.ExpectedPartition{partition("", 1, "us-east1_0")},
		}},
		{"one tenant, which means nothing", `{"brokers":[{"id":0,"partitions":[{"id":1,"physicalTenant":"default"}]}],` +
			`"physicalTenants":[{"id":"default"}]}`, configuration{
			listed: ids("0"), hosts: ids("0"), expected: []exporting.ExpectedPartition{partition("", 1, "0")},
		}},
		{"tenants", `{"brokers":[{"id":0,"partitions":[{"id":1,"physicalTenant":"b"},{"id":1,"physicalTenant":"a"}]}],` +
			`"physicalTenants":[{"id":"a"},{"id":"b"}]}`, configuration{
			listed:   ids("0"),
			hosts:    ids("0"),
			expected: []exporting.ExpectedPartition{partition("a", 1, "0"), partition("b", 1, "0")},
			tenants:  true,
		}},
		{
			"a change that ended", `{"brokers":[{"id":0,"partitions":[{"id":1}]}],"pendingChange":{"id":3,"status":"FAILED"}}`,
			configuration{listed: ids("0"), hosts: ids("0"), expected: []exporting.ExpectedPartition{partition("", 1, "0")}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := decodeCluster([]byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(configuration{})); diff != "" {
				t.Errorf("configuration differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeClusterRefuses(t *testing.T) {
	for _, test := range []struct {
		name, body, says string
	}{
		{"an empty object", `{}`, "no replica of any partition"},
		{"null", `null`, "no replica of any partition"},
		{"no partition", `{"brokers":[{"id":0,"state":"ACTIVE","partitions":[]}]}`, "no replica of any partition"},
		{"nothing but brokers that left", `{"brokers":[{"id":0,"state":"LEFT","partitions":[{"id":1}]}]}`, "no replica"},
		{"HTML", html, "management port"},
		{"a list", `[]`, "something else"},
		{"a cut", threeBrokers[:200], "cut off"},
		{"nothing", "", "nothing"},
		{"a broker without an id", `{"brokers":[{"partitions":[{"id":1}]}]}`, "without an id"},
		{"a broker id of another type", `{"brokers":[{"id":{},"partitions":[{"id":1}]}]}`, "something else"},
		{"a broker id with a fraction", `{"brokers":[{"id":0.5,"partitions":[{"id":1}]}]}`, "something else"},
		{"a broker twice", `{"brokers":[{"id":0,"partitions":[{"id":1}]},{"id":"0"}]}`, "broker 0 twice"},
		{"a broker id for a terminal", `{"brokers":[{"id":"\u001b[2J","partitions":[{"id":1}]}]}`, "something else"},
		{"a tenant for a terminal", `{"brokers":[{"id":0,"partitions":[{"id":1,"physicalTenant":"a\n"}]}]}`, `name "a"`},
		{"a replica twice", `{"brokers":[{"id":0,"partitions":[{"id":1},{"id":1}]}]}`, "partition 1 of broker 0"},
		{"partition 0", `{"brokers":[{"id":0,"partitions":[{"id":0}]}]}`, "impossible id"},
		{"brokers of another type", `{"brokers":{}}`, "a object for brokers"},
		{"some partitions without a tenant", `{"brokers":[{"id":0,"partitions":[{"id":1,"physicalTenant":"a"},{"id":2},` +
			`{"id":1,"physicalTenant":"b"}]}]}`, "without a tenant"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := decodeCluster([]byte(test.body))
			wantError(t, err, test.says)
		})
	}
}

func TestDescribePending(t *testing.T) {
	for _, test := range []struct {
		name, change string
		words        string
		members      []exporting.BrokerID
	}{
		{
			"scaling", `{"id":12,"status":"IN_PROGRESS","startedAt":"2026-01-01T00:00:00Z","completed":[{}],` +
				`"pending":[{"operation":"PARTITION_JOIN","brokerId":10,"partitionId":3,"priority":1},` +
				`{"operation":"PARTITION_LEAVE","brokerId":2,"partitionId":3},` +
				`{"operation":"PARTITION_LEAVE","brokerId":2,"partitionId":1}]}`,
			"change 12 of their configuration (PARTITION_JOIN of partition 3 on broker 10, and 2 more)", ids("2", "10"),
		},
		{
			"exporting", `{"id":13,"status":"IN_PROGRESS","pending":[{"operation":"EXPORTING_STATE_CHANGE","brokerId":"eu_1",` +
				`"partitionId":1,"exportingState":"PAUSED"}]}`,
			"change 13 of their configuration (EXPORTING_STATE_CHANGE to PAUSED of partition 1 on broker eu_1)", ids("eu_1"),
		},
		{"a status of the future, nothing else", `{"status":"NEARLY_THERE"}`, "a change of their configuration", nil},
		{
			"operations of the future", `{"id":1,"pending":[{"brokers":[1,2]}]}`,
			"change 1 of their configuration (a step without a name)", nil,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, err := decodeCluster([]byte(
				`{"brokers":[{"id":0,"partitions":[{"id":1}]}],"pendingChange":` + test.change + `}`,
			))
			if err != nil {
				t.Fatal(err)
			}
			words, members := config.describe()
			if words != test.words {
				t.Errorf("words are %q, want %q", words, test.words)
			}
			if diff := cmp.Diff(test.members, members); diff != "" {
				t.Errorf("members differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeChanges(t *testing.T) {
	const list = `[{"id":3,"status":"COMPLETED"},{"id":4,"status":"IN_PROGRESS",` +
		`"pending":[{"operation":"BROKER_ADD","brokerId":1,"physicalTenant":"a"}]},{"id":5,"status":"CANCELLED"}]`
	for _, body := range []string{`{"changes":` + list + `}`, list} {
		pending, err := decodeChanges([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		want := []change{{ID: "4", Status: "IN_PROGRESS", Pending: []operation{{Operation: "BROKER_ADD", Broker: "1"}}}}
		if diff := cmp.Diff(want, pending); diff != "" {
			t.Errorf("pending changes differ (-want +got):\n%s", diff)
		}
	}
	for _, body := range []string{"", "{}", "null", "[1]", html, `{"changes":null}`, `{"changes":{}}`, `{"changes":[`} {
		if _, err := decodeChanges([]byte(body)); err == nil {
			t.Errorf("%q is no list of changes, but was taken for one", body)
		}
	}
}

func TestDecodeExporters(t *testing.T) {
	for _, test := range []struct {
		body string
		none bool
	}{
		{`[]`, true},
		{`[{"exporterId":"es","status":"DISABLED"},{"exporterId":"os","status":"CONFIG_NOT_FOUND"}]`, true},
		{`[{"exporterId":"es","status":"DISABLED"},{"exporterId":"os","status":"ENABLED"}]`, false},
		{`[{"exporterId":"es","status":"ENABLING"}]`, false},
		{`[{"exporterId":"es","status":"DISABLING","physicalTenant":"a"}]`, true},
		{`[{"exporterId":"es","status":"UNKNOWN"}]`, false},
		{`[{"exporterId":"es"}]`, false},
		{`[null]`, false},
	} {
		none, err := decodeExporters([]byte(test.body))
		if err != nil || none != test.none {
			t.Errorf("decodeExporters(%s) = %t, %v, want %t", test.body, none, err, test.none)
		}
	}
	for _, body := range []string{"", "null", "{}", html, `["es"]`, `[{"status":"DISABLED"}`} {
		if none, err := decodeExporters([]byte(body)); err == nil || none {
			t.Errorf("decodeExporters(%s) = %t, %v, want an error", body, none, err)
		}
	}
}
