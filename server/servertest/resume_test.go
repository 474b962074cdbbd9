package servertest_test

import (
	"slices"
	"strings"
	"testing"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
)

// Below 8.10 a broker that is dead, or worse, keeps no other from being resumed. It is named, and follows when it can.
func TestResumeHelpsAllOthers(t *testing.T) {
	t.Parallel()
	for _, tr := range slices.Concat(unreadable(), disobedient(), []trouble{showsOnce()}) {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			on(t, unplanned(), func(t try) {
				h, route := t.start(embedded.Options{}, within("3s"))
				t.behind(h, embedded.Paused)
				tr.begin(t, h)
				o := route.Resume(t.Context(), resume())
				t.expectNotSettled(o, "1")
				if !has(h, 0, embedded.Exporting) || !has(h, 2, embedded.Exporting) {
					t.Errorf("the others are not resumed: %+v", h.Cluster.Replicas())
				}
				elsewhere := func(f *exportgatev1.ReplicaFailure) bool { return f.GetBroker() != "1" }
				if len(o.Failures) != 3 || slices.ContainsFunc(o.Failures, elsewhere) || o.Metadata["outcome"] != "resuming" {
					t.Errorf("the error does not tell the three replicas on broker 1 alone: %v", o)
				}
				t.heal(h)
				t.awaitQuiet(h, embedded.Exporting)
			})
		})
	}
}

// From 8.10 on a resume gets as far as the brokers' own plan does: a plan that waits for the dead one stalls there, and
// goes on when it is back; one that passes it leaves it to be resumed later.
func TestResumeGetsAsFarAsThePlan(t *testing.T) {
	t.Parallel()
	for name, passes := range map[string]bool{"stalls": false, "passes": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on(t, []string{"8.10"}, func(t try) {
				h, route := t.start(embedded.Options{PlanSkipsDead: passes}, within("5s"))
				t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
				h.Cluster.Broker(1).Stop()
				o := route.Resume(t.Context(), resume())
				t.expectNotSettled(o, "1")
				if passes && (!has(h, 0, embedded.Exporting) || !has(h, 2, embedded.Exporting)) {
					t.Errorf("the others are not resumed: %+v", h.Cluster.Replicas())
				}
				if !passes && !strings.Contains(o.Message, "PARTITION_UPDATE_EXPORTING_STATE of partition 1 on broker 1") {
					t.Errorf("the error does not tell where the plan stalls: %v", o)
				}
				t.heal(h)
				t.awaitQuiet(h, embedded.Exporting)
			})
		})
	}
}

// A replica that takes no part cannot be paused for sure, but it can be resumed.
func TestResumeOverAnInactiveReplica(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{})
		t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
		h.Cluster.Broker(1).SetFaults(embedded.InactiveReplica(1))
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
	})
}

// A pause that somebody made on the brokers is shown and left alone, until somebody resumes.
func TestResumeEndsForeignPauses(t *testing.T) {
	t.Parallel()
	for _, phase := range []embedded.Phase{embedded.Paused, embedded.SoftPaused} {
		t.Run(string(phase), func(t *testing.T) {
			t.Parallel()
			everywhere(t, func(t try) {
				h, route := t.start(embedded.Options{})
				t.behind(h, phase)
				writes := len(h.Cluster.Writes())
				t.awaitForeign(h, phase)
				t.awaitReads(h)
				if len(h.Cluster.Writes()) != writes || !h.AllIn(phase) {
					t.Errorf("the foreign pause is not left alone: %+v", h.Cluster.Writes())
				}
				t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
			})
		})
	}
}
