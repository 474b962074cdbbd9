package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// changes are what GET cluster tells of changes.
type changes struct {
	Version       int64
	PendingChange *struct {
		ID                 int64
		Status             string
		Completed, Pending []operationView
	}
	LastChange *struct {
		ID     int64
		Status string
	}
}

func changesOf(t *testing.T, b *Broker) changes {
	t.Helper()
	var got changes
	if err := json.Unmarshal([]byte(get(t, b, "/cluster").Body), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// wantPhases checks the phases of partition 1 by broker.
func wantPhases(t *testing.T, c *Cluster, want ...Phase) {
	t.Helper()
	got := make([]Phase, len(want))
	for i := range got {
		got[i] = replicaOf(t, c, 1, i).Phase
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("phases by broker (-want +got):\n%s", diff)
	}
}

// abandon posts a change and leaves as soon as a condition holds.
func abandon(t *testing.T, b *Broker, path string, condition func() bool) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := call(ctx, t, http.MethodPost, b.Address()+path)
		left <- err
	}()
	eventually(t, "the change is on its way", condition)
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("POST %s: %v, want that it waits", path, err)
	}
}

func stalled(c *Cluster) func() bool {
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.configuration.pending != nil && c.configuration.pending.stalled
	}
}

func TestAPlanStallsAtADeadMemberAndGoesOn(t *testing.T) {
	c := start(t, Options{Partitions: 1, Version: "8.10"})
	c.Broker(1).Stop()
	abandon(t, c.Broker(0), "/exporting/pause", stalled(c))
	wantPhases(t, c, Paused, Exporting, Exporting)

	pending := changesOf(t, c.Broker(2)).PendingChange
	if pending == nil || pending.Status != "IN_PROGRESS" {
		t.Fatalf("pending change: %+v", pending)
	}
	operation := func(broker int) operationView {
		return operationView{Operation: updateExporting, BrokerID: broker, PartitionID: 1}
	}
	if diff := cmp.Diff([]operationView{operation(0)}, pending.Completed); diff != "" {
		t.Errorf("completed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]operationView{operation(1), operation(2)}, pending.Pending); diff != "" {
		t.Errorf("pending (-want +got):\n%s", diff)
	}

	if err := c.Broker(1).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantPhases(t, c, Paused, Paused, Paused)
	got := changesOf(t, c.Broker(1))
	if got.PendingChange != nil || got.LastChange == nil {
		t.Fatalf("afterwards: %+v", got)
	}
	if got.LastChange.ID != pending.ID || got.LastChange.Status != "COMPLETED" {
		t.Errorf("last change: %+v", got.LastChange)
	}
}

func TestAPlanMayPassADeadMember(t *testing.T) {
	c := start(t, Options{Partitions: 1, Version: "8.10", PlanSkipsDead: true})
	c.Broker(1).Stop()
	ask(t, c, Paused)
	if err := c.Broker(1).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantPhases(t, c, Paused, Exporting, Paused) // and nobody tells
	ask(t, c, Paused)
	wantPhases(t, c, Paused, Paused, Paused)
}

func TestAChangeThatTimesOutIsNotCancelled(t *testing.T) {
	for version, want := range map[string]answer{
		"8.10": {Status: 500, ContentType: actuatorJSON, Body: `"Timed out waiting for exporter state change 1"`},
		"8.10.0-alpha5": {
			Status: 200, ContentType: "application/json",
			Body: `{"body":"Timed out waiting for exporter state change 1","status":500,"contentType":null}`,
		},
	} {
		t.Run(version, func(t *testing.T) {
			c := start(t, Options{Partitions: 1, Version: version, PlanTimeout: time.Millisecond})
			c.Broker(2).Stop()
			if diff := cmp.Diff(want, post(t, c.Broker(0), "/exporting/pause?soft=true")); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if err := c.Broker(2).Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantPhases(t, c, SoftPaused, SoftPaused, SoftPaused)
		})
	}
}

func TestAnotherChangeIsRefusedWhileOneIsPending(t *testing.T) {
	c := start(t, Options{Partitions: 1, Version: "8.10"})
	c.Broker(2).Stop()
	abandon(t, c.Broker(0), "/exporting/pause", stalled(c))
	want := answer{
		Status: 500, ContentType: actuatorJSON,
		Body: `"CONCURRENT_MODIFICATION: another change is in progress"`,
	}
	if diff := cmp.Diff(want, post(t, c.Broker(1), "/exporting/resume")); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	wantPhases(t, c, Paused, Paused, Exporting)
}

func TestAPlanTakesItsTimeAndIsAppliedInTurn(t *testing.T) {
	c := start(t, Options{Partitions: 1, Version: "8.10", ApplyDelay: time.Millisecond})
	ask(t, c, Paused) // answered when the plan is done
	wantPhases(t, c, Paused, Paused, Paused)
}

func TestAChangeThatChangesNothingHasNoPlan(t *testing.T) {
	c := start(t, Options{Partitions: 1, Version: "8.10"})
	c.Broker(1).Stop() // a plan would stall
	before := changesOf(t, c.Broker(0))
	ask(t, c, Exporting)
	if diff := cmp.Diff(before, changesOf(t, c.Broker(0))); diff != "" {
		t.Errorf("changes (-before +after):\n%s", diff)
	}
}

func TestATenantCanBePausedAlone(t *testing.T) {
	c := start(t, Options{Brokers: 1, Partitions: 1, Version: "8.10", Tenants: []string{"a", "b"}})
	if got := post(t, c.Broker(0), "/exporting/pause?physicalTenant=b"); got.Status != http.StatusNoContent {
		t.Errorf("POST: %+v", got)
	}
	phases := map[string]Phase{}
	for _, r := range c.Replicas() {
		phases[r.Tenant] = r.Phase
	}
	if diff := cmp.Diff(map[string]Phase{"a": Exporting, "b": Paused}, phases); diff != "" {
		t.Errorf("phases by tenant (-want +got):\n%s", diff)
	}
	ask(t, c, Paused) // all tenants
	for _, r := range c.Replicas() {
		if r.Phase != Paused {
			t.Errorf("tenant %s: %s", r.Tenant, r.Phase)
		}
	}
}

func TestScalingIsAPendingChange(t *testing.T) {
	for _, version := range []string{"8.5", "8.10"} {
		t.Run(version, func(t *testing.T) {
			c := start(t, Options{Partitions: 1, Version: version})
			end, err := c.BeginScaling()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.BeginScaling(); err == nil {
				t.Error("two changes are pending")
			}
			pending := changesOf(t, c.Broker(0)).PendingChange
			if pending == nil || len(pending.Pending) != 1 || pending.Pending[0].Operation != joinPartition {
				t.Errorf("pending change: %+v", pending)
			}
			if got := post(t, c.Broker(0), "/exporting/pause"); version == "8.10" && got.Status != 500 {
				t.Errorf("POST pause: %+v, want a refusal", got)
			}
			end()
			end() // is done already
			if got := changesOf(t, c.Broker(0)); got.PendingChange != nil || got.LastChange.Status != "COMPLETED" {
				t.Errorf("afterwards: %+v", got)
			}
		})
	}
}

func TestTheHistoryOfChanges(t *testing.T) {
	c := start(t, Options{Partitions: 1, Version: "8.10"})
	for range rememberedPlans {
		ask(t, c, Paused)
		ask(t, c, Exporting)
	}
	var answer struct{ Changes []struct{ ID int64 } }
	if err := json.Unmarshal([]byte(get(t, c.Broker(0), "/cluster/changes").Body), &answer); err != nil {
		t.Fatal(err)
	}
	history := answer.Changes
	if len(history) != rememberedPlans || history[0].ID != 2*rememberedPlans {
		t.Errorf("%d changes, the newest %v, want %d and %d", len(history), history[0], rememberedPlans, 2*rememberedPlans)
	}
	if got := get(t, c.Broker(0), "/cluster/changes/200"); got.Status != 200 {
		t.Errorf("the newest change: %+v", got)
	}
	if got := get(t, c.Broker(0), "/cluster/changes/1"); got.Status != 404 {
		t.Errorf("a change that is forgotten: %+v", got)
	}
}
