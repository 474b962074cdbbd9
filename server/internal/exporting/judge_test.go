package exporting_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

const (
	confirm = 500 * time.Millisecond
	exports = exporting.PhaseExporting
	soft    = exporting.PhaseSoftPaused
	hard    = exporting.PhasePaused
)

// twoByTwo is a view of two brokers that host two partitions each, confirmed in a phase. Broker i leads partition i+1.
func twoByTwo(phase exporting.Phase) *exporting.View {
	read := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	v := &exporting.View{
		Topology:     &exporting.Topology{Source: "test", ReplicationFactor: 2},
		Observations: map[exporting.BrokerID]exporting.Observation{},
	}
	for i := range 2 {
		id := exporting.BrokerID(strconv.Itoa(i))
		v.Topology.Brokers = append(v.Topology.Brokers, exporting.Broker{
			ID: id, Address: "http://" + string(id), Lever: exporting.LeverID(id), SoftPause: true, Version: "8.9",
		})
		v.Topology.Levers = append(v.Topology.Levers, exporting.Lever{ID: exporting.LeverID(id)})
		v.Topology.Expected = append(v.Topology.Expected, exporting.ExpectedPartition{
			ID: exporting.PartitionID{ID: int32(i + 1)}, Replicas: 2, Members: []exporting.BrokerID{"0", "1"},
		})
		o := exporting.Observation{Read: read, Stable: read.Add(-time.Second), Times: 2}
		for p := range 2 {
			role := exporting.RoleFollower
			if p == i {
				role = exporting.RoleLeader
			}
			o.Readings = append(o.Readings, exporting.Reading{
				Partition: exporting.PartitionID{ID: int32(p + 1)}, Role: role, Phase: phase,
			})
		}
		v.Observations[id] = o
	}
	return v
}

// edit changes what is known of one broker.
func edit(id exporting.BrokerID, change func(*exporting.Observation)) func(*exporting.View) {
	return func(v *exporting.View) {
		o := v.Observations[id]
		o.Readings = slices.Clone(o.Readings)
		change(&o)
		v.Observations[id] = o
	}
}

func TestUnsettled(t *testing.T) {
	tests := []struct {
		name   string
		change func(*exporting.View)
		pause  []string // what stands against a pause, by Describe; nil: settled
		resume []string // and against a resume, of replicas that export
	}{
		{"all well", func(*exporting.View) {}, nil, nil},
		{
			"no topology", func(v *exporting.View) { v.Topology, v.TopologyErr = nil, errors.New("nobody answers") },
			[]string{"nobody answers"},
			[]string{"nobody answers"},
		},
		{
			"broker dead", edit("1", func(o *exporting.Observation) { o.Err = errors.New("connection refused") }),
			[]string{"partitions 1, 2 on broker 1: connection refused"},
			[]string{"partitions 1, 2 on broker 1: connection refused"},
		},
		{
			"broker never asked", func(v *exporting.View) { delete(v.Observations, "1") },
			[]string{"partitions 1, 2 on broker 1: it was not asked yet"},
			[]string{"partitions 1, 2 on broker 1: it was not asked yet"},
		},
		{
			"replica missing on a broker that answers", edit("1", func(o *exporting.Observation) { o.Readings = o.Readings[1:] }),
			[]string{"partition 1 on broker 1: not there, although the cluster is configured to have it"},
			[]string{"partition 1 on broker 1: not there, although the cluster is configured to have it"},
		},
		{"replica missing, members unknown", func(v *exporting.View) {
			edit("1", func(o *exporting.Observation) { o.Readings = o.Readings[1:] })(v)
			v.Topology.Expected[0].Members, v.Topology.Expected[1].Members = nil, nil
		}, []string{"partition 1: 1 of 2 replicas answer"}, []string{"partition 1: 1 of 2 replicas answer"}},
		{
			"more replicas than configured", func(v *exporting.View) { v.Topology.Expected[0].Replicas = 1 },
			[]string{"partition 1: 2 of 1 replicas answer"},
			nil,
		},
		{
			"a partition that is not configured", func(v *exporting.View) { v.Topology.Expected = v.Topology.Expected[:1] },
			[]string{"partition 2 on broker 0: the cluster is not configured to have this partition"},
			nil,
		},
		{
			"nothing tells how many there are", func(v *exporting.View) { v.Topology.Expected = nil },
			[]string{"nothing tells how many replicas there are: set zeebe.cluster-size, zeebe.partitions and " +
				"zeebe.replication-factor, or use zeebe.gateway"},
			nil,
		},
		{
			"inactive", edit("1", func(o *exporting.Observation) { o.Readings[0].Role = exporting.RoleInactive }),
			[]string{"partition 1 on broker 1: it is INACTIVE, and such a replica does not keep a pause"},
			nil,
		},
		{
			"candidate", edit("1", func(o *exporting.Observation) { o.Readings[0].Role = exporting.RoleCandidate }),
			[]string{"partition 1 on broker 1: it is CANDIDATE, and such a replica does not keep a pause"},
			nil,
		},
		{
			"of an unknown kind", func(v *exporting.View) { v.Topology.Brokers[1].Lever = "" },
			[]string{"broker 1: whether it is older than 8.10 is not known yet: wait, or set zeebe.version"},
			nil,
		},
		{
			"no leader", edit("1", func(o *exporting.Observation) { o.Readings[1].Role = exporting.RoleFollower }),
			[]string{"partition 2: 0 leaders, not one"},
			nil,
		},
		{
			"two leaders", edit("1", func(o *exporting.Observation) { o.Readings[0].Role = exporting.RoleLeader }),
			[]string{"partition 1: 2 leaders, not one"},
			nil,
		},
		{"pending change", func(v *exporting.View) {
			v.Topology.Pending, v.Topology.PendingMembers = "change 7", []exporting.BrokerID{"1"}
		}, []string{"the brokers are busy with change 7, which waits for broker 1"}, nil},
		{
			"read once", edit("0", func(o *exporting.Observation) { o.Times = 1 }),
			[]string{"partitions 1, 2 on broker 0: reads PAUSED, but was not seen so twice, 500ms apart"},
			[]string{"partitions 1, 2 on broker 0: reads EXPORTING, but was not seen so twice, 500ms apart"},
		},
		{
			"read twice at once", edit("0", func(o *exporting.Observation) { o.Stable = o.Read }),
			[]string{"partitions 1, 2 on broker 0: reads PAUSED, but was not seen so twice, 500ms apart"},
			[]string{"partitions 1, 2 on broker 0: reads EXPORTING, but was not seen so twice, 500ms apart"},
		},
		{
			"another phase", edit("0", func(o *exporting.Observation) { o.Readings[1].Phase = soft }),
			[]string{"partition 2 on broker 0: reads SOFT_PAUSED"},
			[]string{"partition 2 on broker 0: reads SOFT_PAUSED"},
		},
		{"no exporters", edit("0", func(o *exporting.Observation) {
			for i := range o.Readings {
				o.Readings[i].Phase, o.Readings[i].NoExporters = exporting.PhaseClosed, true
			}
		}), nil, nil},
		{
			"an earlier write may still turn it", edit("0", func(o *exporting.Observation) { o.Doubt = true }),
			[]string{"partitions 1, 2 on broker 0: reads PAUSED, but an earlier request may still take effect"},
			[]string{"partitions 1, 2 on broker 0: reads EXPORTING, but an earlier request may still take effect"},
		},
	}
	for _, test := range tests {
		for _, phase := range []exporting.Phase{hard, exports} {
			t.Run(fmt.Sprintf("%s/%v", test.name, phase), func(t *testing.T) {
				want := test.pause
				if phase == exports {
					want = test.resume
				}
				view := twoByTwo(phase)
				test.change(view)
				got := exporting.Describe(view.Unsettled(exporting.Goal{Phase: phase}, confirm))
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		}
	}
}

func TestClosedIsNamed(t *testing.T) {
	view := twoByTwo(hard)
	edit("0", func(o *exporting.Observation) { o.Readings[0].Phase = exporting.PhaseClosed })(view)
	failures := view.Unsettled(exporting.Goal{Phase: hard}, confirm)
	if len(failures) != 1 || failures[0].Broker != "0" || failures[0].Phase != exporting.PhaseClosed {
		t.Fatalf("failures %v", failures)
	}
}

func TestPermits(t *testing.T) {
	upgraded := func(v *exporting.View, brokers ...int) {
		for _, i := range brokers {
			v.Topology.Brokers[i].Lever, v.Topology.Brokers[i].Version = "cluster", "8.10+"
		}
		v.Topology.Levers = append(v.Topology.Levers, exporting.Lever{ID: "cluster", Planned: true, SoftToHard: true})
	}
	tests := []struct {
		name        string
		shown       exporting.Phase
		change      func(*exporting.View)
		phase, held exporting.Phase
		want        error
	}{
		{"hard", exports, func(*exporting.View) {}, hard, exports, nil},
		{"soft", exports, func(*exporting.View) {}, soft, exports, nil},
		{"soft over hard", hard, func(*exporting.View) {}, soft, hard, nil},
		{"hard over soft", soft, func(*exporting.View) {}, hard, exports, &exporting.UnsafeTransitionError{Brokers: []exporting.BrokerID{"0", "1"}}},
		{
			"hard over soft that is held and not seen yet", exports, func(*exporting.View) {}, hard, soft,
			&exporting.UnsafeTransitionError{Brokers: []exporting.BrokerID{"0", "1"}},
		},
		{
			"hard over soft that is on its way", exports, edit("1", func(o *exporting.Observation) { o.MaySoften = true }), hard, exports,
			&exporting.UnsafeTransitionError{Brokers: []exporting.BrokerID{"1"}},
		},
		{
			"hard over what was read once", exports, edit("1", func(o *exporting.Observation) { o.Times = 1 }), hard, exports,
			&exporting.IncompleteTopologyError{Missing: []string{"broker 1 was not read twice in one phase, 500ms apart"}},
		},
		{"hard over soft from 8.10 on", soft, func(v *exporting.View) { upgraded(v, 0, 1) }, hard, soft, nil},
		{
			"mixed", exports, func(v *exporting.View) { upgraded(v, 1) }, soft, exports,
			&exporting.MixedVersionsError{Versions: []string{"8.10+", "8.9"}},
		},
		{
			"soft on brokers without it", exports, func(v *exporting.View) { v.Topology.Brokers[1].SoftPause = false }, soft, exports,
			&exporting.SoftPauseUnsupportedError{Brokers: []exporting.BrokerID{"1"}, Version: "8.9"},
		},
		{"hard on brokers without soft", exports, func(v *exporting.View) { v.Topology.Brokers[1].SoftPause = false }, hard, exports, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			view := twoByTwo(test.shown)
			test.change(view)
			if diff := cmp.Diff(test.want, view.Permits(test.phase, test.held, confirm)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestObserved(t *testing.T) {
	closed := func(o *exporting.Observation) {
		for i := range o.Readings {
			o.Readings[i].Phase, o.Readings[i].NoExporters = exporting.PhaseClosed, true
		}
	}
	dead := func(o *exporting.Observation) { o.Err = errors.New("dead") }
	tests := []struct {
		name   string
		change []func(*exporting.View)
		want   exporting.Phase
	}{
		{"all", nil, hard},
		{"mixed", []func(*exporting.View){edit("0", func(o *exporting.Observation) { o.Readings[0].Phase = exports })}, exporting.PhaseMixed},
		{"one dead", []func(*exporting.View){edit("0", dead)}, hard},
		{"all dead", []func(*exporting.View){edit("0", dead), edit("1", dead)}, exporting.PhaseUnknown},
		{"one without exporters", []func(*exporting.View){edit("0", closed)}, hard},
		{"none with exporters", []func(*exporting.View){edit("0", closed), edit("1", closed)}, exporting.PhaseClosed},
	}
	for _, test := range tests {
		view := twoByTwo(hard)
		for _, change := range test.change {
			change(view)
		}
		if got := view.Observed(); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// What a revert goes back to is one phase for each lever, and never a stronger one than some replica showed.
func TestSettable(t *testing.T) {
	view := twoByTwo(hard)
	edit("0", func(o *exporting.Observation) { o.Readings[1].Phase = soft })(view)
	edit("1", func(o *exporting.Observation) { o.Readings[1].Phase = exporting.PhaseClosed })(view)
	want := map[exporting.BrokerID]exporting.Phase{"0": soft, "1": hard}
	if diff := cmp.Diff(want, view.Settable()); diff != "" {
		t.Errorf("by broker, -want +got:\n%s", diff)
	}
	for i := range view.Topology.Brokers {
		view.Topology.Brokers[i].Lever = "cluster"
	}
	want = map[exporting.BrokerID]exporting.Phase{"0": soft, "1": soft}
	if diff := cmp.Diff(want, view.Settable()); diff != "" {
		t.Errorf("together, -want +got:\n%s", diff)
	}
}

func TestCompareBrokers(t *testing.T) {
	ids := []exporting.BrokerID{"us-east1_0", "10", "http://b", "2", "0", "http://a"}
	slices.SortFunc(ids, exporting.CompareBrokers)
	want := []exporting.BrokerID{"0", "2", "10", "http://a", "http://b", "us-east1_0"}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
