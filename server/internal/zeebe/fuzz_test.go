package zeebe

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/exportgate/exportgate/gen/gateway_protocol"
	"github.com/exportgate/exportgate/server/internal/exporting"
)

// checkWords fails where an error would disturb a terminal or a log.
func checkWords(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	if len(text) > 4096 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("error %q does not fit a line", text)
	}
}

func FuzzPartitions(f *testing.F) {
	for _, seed := range []string{
		newer, closed, partitionsIn("PAUSED"), `{"a":{"1":{"role":"LEADER"}}}`, `{"1":{"role":null,"exporterPhase":"X"}}`,
		"{}", `{"1":{}}`, html, springError, "null", "[]", "", newer[:40], `{"1":{"role":"LEADER"},"01":{"role":"LEADER"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		readings, err := decodePartitions(body)
		if err != nil {
			checkWords(t, err)
			return
		}
		if len(readings) == 0 {
			t.Fatal("a success without a replica")
		}
		for i, r := range readings {
			if r.Partition.ID <= 0 || r.Phase > exporting.PhaseClosed || r.NoExporters {
				t.Errorf("replica %+v cannot be", r)
			}
			if i > 0 && readings[i-1].Partition.Compare(r.Partition) >= 0 {
				t.Errorf("%s comes twice or out of order", r.Partition)
			}
		}
	})
}

// FuzzMembers compares the walk over an object with encoding/json.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{
		newer, closed, `{ "a" : 1 , "b":[1,{"c":"}\\""}] ,"d":"\u0041\\\\","":null, "e":-1e9,"f":true}`, `{}`, `{"\xff":"\xff"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		text := bytes.TrimSpace(body)
		if len(text) == 0 || text[0] != '{' || !json.Valid(text) {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		got := map[string]json.RawMessage{}
		for key, value := range members(text) {
			got[unquote(key)] = value
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-encoding/json +members:\n%s", diff)
		}
	})
}

func FuzzCluster(f *testing.F) {
	for _, seed := range []string{
		threeBrokers, clusterOfOne, clusterOf(`"us_0"`, "1"), "{}", html, "null",
		`{"brokers":[{"id":0,"partitions":[{"id":1,"physicalTenant":"a"},{"id":1,"physicalTenant":"b"}]}],` +
			`"pendingChange":{"id":1,"pending":[{"operation":"BROKER_ADD","brokerId":1}]},"physicalTenants":[{"id":"a"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		config, err := decodeCluster(body)
		if err != nil {
			checkWords(t, err)
			return
		}
		if len(config.expected) == 0 || len(config.hosts) == 0 || len(config.hosts) > len(config.listed) {
			t.Fatalf("%+v cannot be a cluster", config)
		}
		for i, p := range config.expected {
			if p.ID.ID <= 0 || p.Replicas == 0 || p.Replicas != len(p.Members) {
				t.Errorf("partition %+v cannot be", p)
			}
			if i > 0 && config.expected[i-1].ID.Compare(p.ID) >= 0 {
				t.Errorf("%s comes twice or out of order", p.ID)
			}
		}
		words, _ := config.describe()
		if (words == "") != (len(config.pending) == 0) {
			t.Errorf("%d pending changes are %q", len(config.pending), words)
		}
	})
}

func FuzzChanges(f *testing.F) {
	for _, seed := range []string{
		`{"changes":[]}`, `{"changes":[{"id":4,"status":"IN_PROGRESS","pending":[{"brokerId":"a"}]},{"status":"FAILED"}]}`,
		"[]", `[{"id":4}]`, "{}", html, `{"changes":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		pending, err := decodeChanges(body)
		if err != nil {
			checkWords(t, err)
			return
		}
		for _, c := range pending {
			if !c.isPending() || c.words() == "" {
				t.Errorf("change %+v is not pending or has no words", c)
			}
		}
	})
}

func FuzzExporters(f *testing.F) {
	for _, seed := range []string{
		"[]", `[{"exporterId":"es","status":"ENABLED"}]`, `[{"status":"DISABLED"}]`, "null", "{}", html,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		none, err := decodeExporters(body)
		if err != nil {
			checkWords(t, err)
		}
		if none && (err != nil || strings.Contains(string(body), `"ENABLED"`) && !strings.Contains(string(body), "ISABL")) {
			t.Errorf("%q proves that there is no exporter, error %v", body, err)
		}
	})
}

func FuzzChangeAnswer(f *testing.F) {
	for _, seed := range []string{
		"", "null", `{"body":null,"status":204,"contentType":null}`, `{"body":{"message":"x"},"status":500}`,
		`{"body":"CONCURRENT_MODIFICATION","status":500}`, `"text"`, springError, html,
	} {
		f.Add(200, []byte(seed))
		f.Add(500, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		a := answer{status: status, body: body}
		for name, err := range map[string]error{"change": judgeChange(a), "operation": judgeOperation(a)} {
			switch {
			case err != nil:
				checkWords(t, err)
			case status/100 != 2:
				t.Errorf("a %s that was answered %d was taken", name, status)
			}
		}
	})
}

func FuzzBrokerEntry(f *testing.F) {
	for _, seed := range []string{
		"http://zeebe-0.zeebe:9600/actuator", "0=http://a", "us_0=https://[fd00::1]:9600", "dns+http://zeebe:9600/x/",
		"=http://a", "http://u:p@a", "http://a/%2f", "http://a:99999", "HTTP://A:/", "0=dns+http://a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseBroker(text)
		if err != nil {
			return
		}
		base := e.base.String()
		u, err := url.Parse(base)
		if err != nil || u.Host == "" || u.Port() == "" || u.User != nil || u.RawQuery != "" || strings.HasSuffix(base, "/") {
			t.Fatalf("%q became %q (%v)", text, base, err)
		}
		again, err := parseBase(base)
		if err != nil || again.String() != base {
			t.Errorf("%q became %q and then %v (%v)", text, base, again, err)
		}
		if (e.id == "") != (e.from == fromNobody) || (e.dns && e.id != "") {
			t.Errorf("%q became %+v", text, e)
		}
	})
}

func FuzzVersion(f *testing.F) {
	for _, seed := range []string{"8.9.3", "8.10.0-alpha5", "v8.5", "", "SNAPSHOT", "8..1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, ok := parseVersion(text)
		if ok == (v.generation() == unknownGeneration) || (v.generation() == planned && !v.softPause()) {
			t.Errorf("%q became %+v, ok %t", text, v, ok)
		}
	})
}

func FuzzGatewayTopology(f *testing.F) {
	for _, answer := range []*gateway_protocol.TopologyResponse{
		{},
		{Brokers: []*gateway_protocol.BrokerInfo{told(0, "a", "8.9.3"), told(1, "fd00::1", "")}, PartitionsCount: 3},
		{Brokers: []*gateway_protocol.BrokerInfo{told(-1, "a/b", "\x1b")}, ReplicationFactor: -3},
	} {
		seed, err := proto.Marshal(answer)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	address, err := parseTemplate(defaultManagementURL)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var answer gateway_protocol.TopologyResponse
		if proto.Unmarshal(body, &answer) != nil {
			return
		}
		found, err := (&gatewayFinder{target: "gateway:26500", address: address}).read(&answer)
		if err != nil {
			checkWords(t, err)
			return
		}
		addresses := make(map[string]bool)
		for _, e := range found.endpoints {
			if _, err := parseBase(e.address); err != nil || e.id == "" {
				t.Errorf("broker %+v cannot be (%v)", e, err)
			}
			addresses[e.address] = true
		}
		if len(addresses) == 0 || len(addresses) != len(found.endpoints) {
			t.Errorf("%d brokers have %d addresses", len(found.endpoints), len(addresses))
		}
		if n := found.counts; n.partitions < 0 || n.partitions > maxCount || n.replicationFactor < 0 {
			t.Errorf("counts %+v cannot be", n)
		}
	})
}
