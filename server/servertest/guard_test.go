package servertest_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// guarding are the settings of a server that looks after the volume of the brokers' data.
func guarding(policy string) map[string]string {
	return map[string]string{
		"exporting.guard.min-free-disk": "10%", "exporting.guard.policy": policy, "exporting.guard.disk-path": embedded.DataPath,
	}
}

// awaitDisk waits until the disk guard has told something.
func (t try) awaitDisk(h *servertest.Harness, words string) {
	t.Helper()
	servertest.Await(t, "the disk guard tells: "+words, func() bool {
		return slices.ContainsFunc(t.status(h).GetEvents(), func(e *exportgatev1.Event) bool {
			return e.GetKind() == exportgatev1.EventKind_EVENT_KIND_DISK && strings.Contains(e.GetMessage(), words)
		})
	})
}

// measurements counts how often brokers were asked for their metrics.
func measurements(h *servertest.Harness) int {
	n := 0
	for _, b := range h.Cluster.Brokers() {
		for _, r := range b.Requests() {
			if strings.HasSuffix(r.Path, "/prometheus") {
				n++
			}
		}
	}
	return n
}

// A broker that runs out of disk ends every pause, and whoever releases a hold afterwards learns what it was worth, as often
// as it is asked. There is no pause before there is room again.
func TestAFullDiskEndsPauses(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{}, guarding("release"))
		t.expectSuccess(h, route.Pause(t.Context(), place("backup-1", embedded.SoftPaused)), embedded.SoftPaused)
		t.expectSuccess(h, route.Pause(t.Context(), soft()), embedded.SoftPaused)
		h.Cluster.Broker(1).SetFaults(embedded.FillDisk(3.125))
		servertest.Await(t, "the brokers export again", func() bool { return h.AllIn(embedded.Exporting) })
		t.awaitQuiet(h, embedded.Exporting)
		t.expectHolds(h)

		const why = "broker 1 has 1.0 GiB of 32.0 GiB free (3.12%); exporting.guard.min-free-disk is 10%"
		t.awaitDisk(h, "too little disk is free: "+why)
		t.awaitDisk(h, "the disk guard resumes exporting, whoever paused it: "+why)
		for _, id := range []string{"backup-1", "operator"} {
			e := t.expectEnded(h, id, exportgatev1.HoldEnd_HOLD_END_GUARD)
			if e.GetHold().GetContinuity() != exportgatev1.Continuity_CONTINUITY_BROKEN || e.GetEndedBy() != why {
				t.Errorf("hold %s ended as %v", id, e)
			}
		}
		for range 2 {
			o := route.Resume(t.Context(), release("backup-1"))
			t.expect(o, codes.FailedPrecondition, broken)
			if o.Metadata["continuity"] != "BROKEN" || !strings.Contains(o.Metadata["evidence"], "broker 1 has 1.0 GiB") {
				t.Errorf("the evidence is %v", o.Metadata)
			}
		}
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)

		writes := len(h.Cluster.Writes())
		o := route.Pause(t.Context(), place("backup-2", embedded.SoftPaused))
		t.expect(o, codes.FailedPrecondition, "DISK_LOW")
		if o.Metadata["brokers"] != "1" || o.Metadata["min_free"] != "10%" || len(h.Cluster.Writes()) != writes {
			t.Errorf("got %v, and %d writes", o, len(h.Cluster.Writes())-writes)
		}
		h.Cluster.Broker(1).Clear()
		t.expectSuccess(h, route.Pause(t.Context(), place("backup-2", embedded.SoftPaused)), embedded.SoftPaused)
		t.expectSuccess(h, route.Resume(t.Context(), release("backup-2")), embedded.Exporting)
	})
}

// Where the policy is to warn, a full disk is told, and the pause stays.
func TestAFullDiskIsTold(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.9"}, func(t try) {
		h, route := t.start(embedded.Options{}, guarding("warn"))
		h.Cluster.Broker(2).SetFaults(embedded.FillDisk(5))
		paused := route.Pause(t.Context(), place("backup-1", embedded.Paused))
		t.expectSuccess(h, paused, embedded.Paused)
		t.awaitDisk(h, "too little disk is free: broker 2 has 1.6 GiB of 32.0 GiB free (5%)")
		if w := t.status(h).GetWarnings(); !slices.ContainsFunc(w, func(w string) bool { return strings.Contains(w, "too little disk") }) {
			t.Errorf("warnings %q", w)
		}
		h.Cluster.Broker(2).SetFaults(embedded.FillDisk(math.NaN()))
		t.awaitDisk(h, "a disk cannot be measured")
		h.Cluster.Broker(2).Clear()
		t.awaitDisk(h, "a disk can be measured again")
		t.awaitDisk(h, "enough disk is free again")
		if !h.AllIn(embedded.Paused) {
			t.Errorf("astray: %+v", h.Astray(embedded.Paused))
		}
		t.expectHolds(h, paused.Hold)
		t.expectSuccess(h, route.Resume(t.Context(), release("backup-1")), embedded.Exporting)
	})
}

// A pause that somebody made at the brokers fills disks like any other.
func TestAFullDiskEndsAForeignPause(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.9", "8.10"}, func(t try) {
		h, _ := t.start(embedded.Options{}, guarding("release"))
		t.behind(h, embedded.SoftPaused)
		t.awaitForeign(h, embedded.SoftPaused)
		h.Cluster.Broker(0).SetFaults(embedded.FillDisk(1))
		servertest.Await(t, "the brokers export again", func() bool { return h.AllIn(embedded.Exporting) })
		t.awaitQuiet(h, embedded.Exporting)
	})
}

// Nobody is asked for a disk while exporting is not paused, nor where nothing is guarded.
func TestDisksAreMeasuredOnlyUnderAPause(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.9"}, func(t try) {
		h, route := t.start(embedded.Options{}, guarding("warn"))
		t.awaitReads(h)
		if n := measurements(h); n != 0 {
			t.Errorf("%d requests while exporting", n)
		}
		t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
		servertest.Await(t, "disks are measured", func() bool { return measurements(h) > 0 })
		off, route := t.start(embedded.Options{})
		t.expectSuccess(off, route.Pause(t.Context(), hard()), embedded.Paused)
		t.awaitReads(off)
		if n := measurements(off); n != 0 {
			t.Errorf("%d requests without a guard", n)
		}
	})
}
