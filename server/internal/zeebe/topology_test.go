package zeebe

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// clusterOf is GET cluster of some brokers that all host partition 1.
func clusterOf(brokers ...string) string {
	parts := make([]string, len(brokers))
	for i, id := range brokers {
		parts[i] = fmt.Sprintf(`{"id":%s,"state":"ACTIVE","partitions":[{"id":1,"state":"ACTIVE"}]}`, id)
	}
	return `{"brokers":[` + strings.Join(parts, ",") + `]}`
}

func TestTopology(t *testing.T) {
	a, b := newFakeBroker(t).old("EXPORTING"), newFakeBroker(t).old("EXPORTING")
	a.on("GET /cluster", http.StatusOK, clusterOf("1", "0", "2"))
	c := newClient(t, nil, a, b)
	got := topologyOf(t, c)
	levers := []exporting.Lever{{ID: exporting.LeverID(a.address())}, {ID: exporting.LeverID(b.address())}}
	want := &exporting.Topology{
		Brokers: []exporting.Broker{
			{ID: "0", Address: a.address(), Version: "before 8.10", Lever: levers[0].ID, SoftPause: true},
			{ID: "1", Address: b.address(), Version: "before 8.10", Lever: levers[1].ID, SoftPause: true},
			{ID: "2", SoftPause: true},
		},
		Levers: levers,
		Expected: []exporting.ExpectedPartition{
			{ID: exporting.PartitionID{ID: 1}, Replicas: 3, Members: ids("0", "1", "2")},
		},
		ReplicationFactor: 3,
		Source:            "GET cluster of " + a.address(),
		Names:             []string{a.address(), b.address()},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("topology differs (-want +got):\n%s", diff)
	}
}

// TestTopologySteadyState proves that a topology costs one request while nothing changes.
func TestTopologySteadyState(t *testing.T) {
	for name, become := range map[string]func(*fakeBroker, string) *fakeBroker{
		"8.9": (*fakeBroker).old, "8.10": (*fakeBroker).new810,
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newFakeBroker(t), newFakeBroker(t)
			become(a, "EXPORTING")
			become(b, "EXPORTING")
			c := newClient(t, nil, a, b)
			topologyOf(t, c)
			for _, broker := range []*fakeBroker{a, b} {
				if _, err := c.Read(t.Context(), at(broker)); err != nil {
					t.Fatal(err)
				}
			}
			a.requests()
			b.requests()
			topologyOf(t, c)
			if diff := cmp.Diff([]string{"GET /cluster"}, append(a.requests(), b.requests()...)); diff != "" {
				t.Errorf("requests differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTopologySources(t *testing.T) {
	members := []exporting.ExpectedPartition{{ID: exporting.PartitionID{ID: 1}, Replicas: 1, Members: ids("0")}}
	counted := []exporting.ExpectedPartition{
		{ID: exporting.PartitionID{ID: 1}, Replicas: 2}, {ID: exporting.PartitionID{ID: 2}, Replicas: 2},
	}
	counts := func(o *Options) { o.Partitions, o.ReplicationFactor = 2, 2 }
	for _, test := range []struct {
		name     string
		status   int
		body     string
		options  func(*Options)
		expected []exporting.ExpectedPartition
		source   string
	}{
		{"the broker tells", 200, clusterOf("0"), counts, members, "GET cluster of "},
		{"8.1 with configured counts", 404, "", counts, counted, "zeebe.partitions and zeebe.replication-factor"},
		{"something else with configured counts", 200, html, counts, counted, "zeebe.partitions"},
		{"8.1 without counts", 404, "", nil, nil, ""},
		{"an error without counts", 500, springError, nil, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newFakeBroker(t)
			b.on("GET /cluster", test.status, test.body)
			topology := topologyOf(t, newClient(t, test.options, b))
			if diff := cmp.Diff(test.expected, topology.Expected); diff != "" {
				t.Errorf("expected partitions differ (-want +got):\n%s", diff)
			}
			if !strings.HasPrefix(topology.Source, test.source) || (topology.Source == "") != (test.source == "") {
				t.Errorf("source is %q, want %q", topology.Source, test.source)
			}
			if len(topology.Brokers) != 1 || topology.Brokers[0].ID != "0" {
				t.Errorf("brokers are %v, want broker 0", topology.Brokers)
			}
		})
	}
}

// TestTopologyTriesOthers proves that one broker which cannot tell keeps nobody from telling, and that it is the last
// one to be asked again.
func TestTopologyTriesOthers(t *testing.T) {
	for name, spoil := range map[string]func(*fakeBroker){
		"it is down":              func(b *fakeBroker) { b.server.Close() },
		"it hangs":                func(b *fakeBroker) { b.hangs("GET /cluster") },
		"it has no such endpoint": func(b *fakeBroker) { b.on("GET /cluster", http.StatusNotFound, "") },
		"it answers garbage":      func(b *fakeBroker) { b.on("GET /cluster", http.StatusOK, "{}") },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newFakeBroker(t).old("EXPORTING"), newFakeBroker(t).old("EXPORTING")
			c := newClient(t, func(o *Options) { o.RequestTimeout = 2 * time.Second; o.Version = "8.9" }, a, b)
			spoil(a)
			for range 2 {
				if source := topologyOf(t, c).Source; source != "GET cluster of "+b.address() {
					t.Errorf("source is %q, want broker 1", source)
				}
			}
			if n := len(a.requests()); n > 1 {
				t.Errorf("the broker that does not tell was asked %d times in 2 rounds", n)
			}
		})
	}
}

// TestTopologyAsksFew proves that a large cluster which cannot tell is not asked broker by broker.
func TestTopologyAsksFew(t *testing.T) {
	brokers := make([]*fakeBroker, 10)
	for i := range brokers {
		brokers[i] = newFakeBroker(t)
	}
	c := newClient(t, func(o *Options) { o.Version = "8.1.0" }, brokers...)
	topologyOf(t, c)
	asked := 0
	for _, b := range brokers {
		asked += len(b.requests())
	}
	if asked != maxUseless {
		t.Errorf("%d brokers were asked, want %d", asked, maxUseless)
	}
}

func TestTopologyNobodyAnswers(t *testing.T) {
	a, b := newFakeBroker(t), newFakeBroker(t)
	c := newClient(t, func(o *Options) { o.Partitions, o.ReplicationFactor = 1, 2 }, a, b)
	a.server.Close()
	b.server.Close()
	_, err := c.Topology(t.Context())
	wantError(t, err, "no broker answers", "connection refused")
}

// TestTopologyCountOnly proves that members are not told where ids do not lead to addresses: only their number counts.
func TestTopologyCountOnly(t *testing.T) {
	a, b := newFakeBroker(t).old("EXPORTING"), newFakeBroker(t).old("EXPORTING")
	a.on("GET /cluster", http.StatusOK, clusterOf("0", "1", "2"))
	c := newClient(t, func(o *Options) { o.Brokers = []string{a.address(), "1=" + b.address()} })
	topology := topologyOf(t, c)
	want := []exporting.ExpectedPartition{{ID: exporting.PartitionID{ID: 1}, Replicas: 3}}
	if diff := cmp.Diff(want, topology.Expected); diff != "" {
		t.Errorf("expected partitions differ (-want +got):\n%s", diff)
	}
	var listed []exporting.BrokerID
	for _, broker := range topology.Brokers {
		listed = append(listed, broker.ID)
	}
	if diff := cmp.Diff(ids("1", exporting.BrokerID(a.address())), listed); diff != "" {
		t.Errorf("brokers differ (-want +got):\n%s", diff)
	}
}

// TestTopologyLeavesOutIdle proves that brokers which host nothing are not listed: they answer an empty map for good.
func TestTopologyLeavesOutIdle(t *testing.T) {
	a, spare, gone := newFakeBroker(t), newFakeBroker(t), newFakeBroker(t)
	for _, b := range []*fakeBroker{a, spare, gone} {
		b.old("EXPORTING").on("GET /cluster", http.StatusOK, `{"brokers":[{"id":0,"partitions":[{"id":1}]},`+
			`{"id":1,"partitions":[]},{"id":2,"state":"LEFT","partitions":[{"id":1}]}]}`)
	}
	topology := topologyOf(t, newClient(t, nil, a, spare, gone))
	if len(topology.Brokers) != 1 || topology.Brokers[0].ID != "0" || len(topology.Levers) != 1 {
		t.Errorf("brokers are %v, levers %v, want broker 0 alone", topology.Brokers, topology.Levers)
	}
}

func TestTopologyPending(t *testing.T) {
	b := newFakeBroker(t).old("EXPORTING")
	b.on("GET /cluster", http.StatusOK, `{"brokers":[{"id":0,"partitions":[{"id":1}]}],"pendingChange":{"id":9,`+
		`"status":"IN_PROGRESS","pending":[{"operation":"PARTITION_JOIN","brokerId":4,"partitionId":1}]}}`)
	topology := topologyOf(t, newClient(t, nil, b))
	if want := "change 9 of their configuration (PARTITION_JOIN of partition 1 on broker 4)"; topology.Pending != want {
		t.Errorf("pending is %q, want %q", topology.Pending, want)
	}
	if diff := cmp.Diff(ids("4"), topology.PendingMembers); diff != "" {
		t.Errorf("pending members differ (-want +got):\n%s", diff)
	}
}

// TestTopologyTenants proves that what is pending is looked for where GET cluster does not tell it.
func TestTopologyTenants(t *testing.T) {
	b := newFakeBroker(t).new810("EXPORTING")
	b.on("GET /cluster", http.StatusOK,
		`{"brokers":[{"id":0,"partitions":[{"id":1,"physicalTenant":"a"},{"id":1,"physicalTenant":"b"}]}]}`)
	b.on("GET /cluster/changes", http.StatusOK, `{"changes":[{"id":9,"status":"IN_PROGRESS","pending":[]}]}`)
	c := newClient(t, nil, b)
	topology := topologyOf(t, c)
	if want := "change 9 of their configuration"; topology.Pending != want {
		t.Errorf("pending is %q, want %q", topology.Pending, want)
	}
	if len(topology.Expected) != 2 || topology.Expected[1].ID.Tenant != "b" {
		t.Errorf("expected partitions are %v, want one of each tenant", topology.Expected)
	}
	b.on("GET /cluster/changes", http.StatusInternalServerError, springError)
	if topology := topologyOf(t, c); len(topology.Expected) != 0 {
		t.Errorf("without knowing what is pending, partitions %v are expected", topology.Expected)
	}
}

// TestTopologyUntoldTenants proves that tenants which GET cluster does not know are not made up, but told.
func TestTopologyUntoldTenants(t *testing.T) {
	b := newFakeBroker(t).old("EXPORTING")
	b.on("GET /partitions", http.StatusOK, `{"a":`+partitionsIn("EXPORTING")+`}`)
	c := newClient(t, nil, b)
	if _, err := c.Read(t.Context(), at(b)); err != nil {
		t.Fatal(err)
	}
	topology := topologyOf(t, c)
	if !strings.Contains(topology.Source, "does not tell the tenants") {
		t.Errorf("source %q hides that tenants are missing", topology.Source)
	}
}

func TestTopologyGenerations(t *testing.T) {
	old, newer, dead, mute := newFakeBroker(t), newFakeBroker(t), newFakeBroker(t), newFakeBroker(t)
	old.old("EXPORTING").on("GET /cluster", http.StatusOK, clusterOf("0", "1", "2", "3"))
	newer.new810("EXPORTING")
	mute.old("EXPORTING").on("GET /cluster/changes", http.StatusForbidden, "")
	c := newClient(t, nil, old, newer, dead, mute)
	dead.server.Close()
	topology := topologyOf(t, c)
	want := []exporting.Broker{
		{ID: "0", Address: old.address(), Version: "before 8.10", Lever: exporting.LeverID(old.address()), SoftPause: true},
		{ID: "1", Address: newer.address(), Version: "8.10+", Lever: clusterLever, SoftPause: true},
		{ID: "2", Address: dead.address(), SoftPause: true},
		{ID: "3", Address: mute.address(), Version: "before 8.10", Lever: exporting.LeverID(mute.address()), SoftPause: true},
	}
	if diff := cmp.Diff(want, topology.Brokers); diff != "" {
		t.Errorf("brokers differ (-want +got):\n%s", diff)
	}
	if len(topology.Levers) != 3 {
		t.Errorf("levers are %v, want one of 8.10 and two of older brokers", topology.Levers)
	}
}

func TestTopologyConfiguredVersion(t *testing.T) {
	b := newFakeBroker(t)
	c := newClient(t, func(o *Options) { o.Version = "8.4.2" }, b)
	topology := topologyOf(t, c)
	want := []exporting.Broker{{
		ID: "0", Address: b.address(), Version: "8.4.2", Lever: exporting.LeverID(b.address()), SoftPause: false,
	}}
	if diff := cmp.Diff(want, topology.Brokers); diff != "" {
		t.Errorf("brokers differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"GET /cluster"}, b.requests()); diff != "" {
		t.Errorf("requests differ (-want +got):\n%s", diff)
	}
}

// TestRollingUpgrade proves that a broker which was silent is asked anew what it is, when it answers a read again, and
// that until then it is what it was.
func TestRollingUpgrade(t *testing.T) {
	a, b := newFakeBroker(t).old("EXPORTING"), newFakeBroker(t).old("EXPORTING")
	a.on("GET /cluster", http.StatusOK, clusterOf("0", "1"))
	c := newClient(t, nil, a, b)
	old := topologyOf(t, c).Brokers[1].Lever

	b.handle("GET /partitions", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if _, err := c.Read(t.Context(), at(b)); err == nil {
		t.Fatal("a broken connection is read")
	}
	b.requests()
	if lever := topologyOf(t, c).Brokers[1].Lever; lever != old {
		t.Errorf("while it is silent its lever is %q, want %q", lever, old)
	}
	if asked := b.requests(); len(asked) > 0 {
		t.Errorf("a broker that was silent a moment ago was asked %v", asked)
	}

	b.new810("EXPORTING")
	if _, err := c.Read(t.Context(), at(b)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"GET /partitions", "GET /cluster/changes"}, b.requests()); diff != "" {
		t.Errorf("requests differ (-want +got):\n%s", diff)
	}
	if lever := topologyOf(t, c).Brokers[1].Lever; lever != clusterLever {
		t.Errorf("after the upgrade its lever is %q, want %q", lever, clusterLever)
	}
}

// TestTopologyLogsOnce proves that what every round would repeat is logged when it changes.
func TestTopologyLogsOnce(t *testing.T) {
	var log bytes.Buffer
	b := newFakeBroker(t).old("EXPORTING")
	c := newClient(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) }, b)
	for _, body := range []string{html, html, clusterOfOne, clusterOfOne} {
		b.on("GET /cluster", http.StatusOK, body)
		topologyOf(t, c)
	}
	b.new810("EXPORTING")
	wantError(t, c.Write(t.Context(), leverOf(t, c), exporting.PhaseExporting), "8.10 or later")
	topologyOf(t, c)
	var lines []string
	for line := range strings.Lines(log.String()) {
		_, message, _ := strings.Cut(line, "msg=")
		lines = append(lines, message[:20])
	}
	want := []string{`"the topology is not`, `"the topology is kno`, `"a broker is of anot`}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("log differs (-want +got):\n%s", diff)
	}
}
