package servertest_test

import (
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// backup asks for the hold of a backup.
func backup(phase embedded.Phase, ttl time.Duration) *exportgatev1.PauseRequest {
	request := pauseTo(phase)
	request.Hold, request.Ttl = "backup-1", durationpb.New(ttl)
	return request
}

func releaseBackup() *exportgatev1.ResumeRequest {
	return &exportgatev1.ResumeRequest{Hold: "backup-1"}
}

// expectReleased releases the backup's hold again and again, and expects success each time, with one verdict.
func (t try) expectReleased(h *servertest.Harness, route servertest.Route, verdict exportgatev1.Continuity) {
	t.Helper()
	for range 3 {
		o := route.Resume(t.Context(), releaseBackup())
		t.expectSuccess(h, o, embedded.Exporting)
		if o.Hold.GetContinuity() != verdict {
			t.Errorf("released with another verdict: %v", o.Hold)
		}
	}
}

// expectRefused releases the backup's hold again and again, and expects the same reason each time; of a broken one with
// evidence.
func (t try) expectRefused(h *servertest.Harness, route servertest.Route, reason, evidence string) {
	t.Helper()
	for range 3 {
		o := route.Resume(t.Context(), releaseBackup())
		t.expect(o, codes.FailedPrecondition, reason)
		if o.Metadata["hold"] != "backup-1" || !strings.Contains(o.Message, evidence) || !strings.Contains(o.Metadata["evidence"], evidence) {
			t.Errorf("the failure names neither the hold nor %q: %v", evidence, o)
		}
		if !h.AllIn(embedded.Exporting) {
			t.Errorf("the hold is over, and these are not resumed: %+v", h.Astray(embedded.Exporting))
		}
	}
}

// awaitVerdict waits for what the status says of the backup's hold.
func (t try) awaitVerdict(route servertest.Route, verdict exportgatev1.Continuity) {
	t.Helper()
	servertest.Await(t, "the hold is "+verdict.String(), func() bool { return t.verdict(route) == verdict })
}

func (t try) verdict(route servertest.Route) exportgatev1.Continuity {
	t.Helper()
	for _, hold := range route.GetStatus(t.Context()).Status.GetHolds() {
		if hold.GetId() == "backup-1" {
			return hold.GetContinuity()
		}
	}
	return exportgatev1.Continuity_CONTINUITY_UNSPECIFIED
}

const (
	intactNow  = exportgatev1.Continuity_CONTINUITY_INTACT
	pendingNow = exportgatev1.Continuity_CONTINUITY_PENDING
	brokenNow  = exportgatev1.Continuity_CONTINUITY_BROKEN
)

// A hold that expires while no server runs ends when one does, and its owner is told that it was too late.
func TestAHoldExpiresWhileNoServerRuns(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h := startCluster(t.T, embedded.Options{Version: t.version})
		settings := servertest.Settings(t, h.Cluster, servertest.Options{})
		p := start(t.T, settings)
		o := p.route(t.T, t.door).Pause(t.Context(), backup(embedded.SoftPaused, 3*time.Second))
		t.expectSuccess(h, o, embedded.SoftPaused)
		p.end()

		expires := o.Hold.GetExpireTime().AsTime()
		servertest.Await(t, "its time is over", func() bool { return time.Now().After(expires) })
		if !h.AllIn(embedded.SoftPaused) {
			t.Errorf("these are not paused any more, and no server runs: %+v", h.Astray(embedded.SoftPaused))
		}
		p = start(t.T, settings)
		servertest.Await(t, "exporting resumes by itself", func() bool { return h.AllIn(embedded.Exporting) })
		t.expectRefused(h, p.route(t.T, t.door), expired, "")
	})
}

// A broker that comes back with an empty disk, and only follows, is paused again before long, and no harm is done.
func TestALostDiskThatFollows(t *testing.T) {
	t.Parallel()
	const interval = time.Second
	for phase, versions := range map[embedded.Phase][]string{embedded.SoftPaused: versions(), embedded.Paused: {"8.9"}} {
		t.Run(string(phase), func(t *testing.T) {
			t.Parallel()
			on(t, versions, func(t try) {
				const follower = 2                     // With two partitions it leads none.
				var repaused atomic.Pointer[time.Time] // when a replica there was last
				h, route := t.start(embedded.Options{
					Partitions: 2, DistributionInterval: 200 * time.Millisecond,
					OnPhase: func(now embedded.Replica, _ embedded.Phase) {
						if now.Broker == follower && now.Phase == phase {
							repaused.Store(new(time.Now()))
						}
					},
				}, map[string]string{"exporting.reconcile-interval": interval.String()})
				t.expectSuccess(h, route.Pause(t.Context(), backup(phase, time.Hour)), phase)
				t.awaitVerdict(route, intactNow)

				b := h.Cluster.Broker(follower)
				lost := time.Now()
				t.loseDisk(b)
				servertest.Await(t, "it is paused again", func() bool { return h.AllIn(phase) })
				t.awaitQuiet(h, phase)
				took := repaused.Load().Sub(firstRead(b, lost))
				if !t.planned() && took > 2*interval { // From 8.10 on the configuration keeps the phase: there is nothing to do.
					t.Errorf("it was paused again after %v, which is more than two intervals of %v", took, interval)
				}
				t.awaitReads(h)
				if verdict := t.verdict(route); verdict != intactNow {
					t.Errorf("it only followed, and the hold is %v", verdict)
				}
				t.expectReleased(h, route, intactNow)
			})
		})
	}
}

// firstRead is when a broker was first read after an instant.
func firstRead(b *embedded.Broker, after time.Time) time.Time {
	for _, r := range b.Requests() {
		if r.Time.After(after) && r.Method == http.MethodGet && path.Base(r.Path) == "partitions" {
			return r.Time
		}
	}
	return time.Time{}
}

// A broker that comes back with an empty disk, and leads before anybody could pause it again, has exported.
func TestALostDiskThatLeads(t *testing.T) {
	t.Parallel()
	on(t, unplanned(), func(t try) { // From 8.10 on the configuration keeps the phase.
		h, route := t.start(embedded.Options{})
		t.expectSuccess(h, route.Pause(t.Context(), backup(embedded.SoftPaused, time.Hour)), embedded.SoftPaused)
		t.awaitVerdict(route, intactNow)

		b := h.Cluster.Broker(0)
		b.SetFaults(embedded.OnWrites(embedded.Status(500)))
		t.loseDisk(b)
		if err := h.Cluster.Partition(1).TransferLeader(0); err != nil {
			t.Fatal(err)
		}
		t.awaitVerdict(route, brokenNow)
		b.Clear()
		t.awaitQuiet(h, embedded.SoftPaused)
		t.expectRefused(h, route, broken, "partition 1 on broker 0")
	})
}

// What was exported while no server ran shows in the positions, although every phase is right again.
func TestAPositionPassesItsBaseline(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h := startCluster(t.T, embedded.Options{Version: t.version, WriteInterval: 20 * time.Millisecond})
		settings := servertest.Settings(t, h.Cluster, servertest.Options{})
		p := start(t.T, settings)
		route := p.route(t.T, t.door)
		t.expectSuccess(h, route.Pause(t.Context(), backup(embedded.SoftPaused, time.Hour)), embedded.SoftPaused)
		t.awaitVerdict(route, intactNow)
		p.end()

		before := stored(h)
		t.behind(h, embedded.Exporting)
		servertest.Await(t, "records are exported", func() bool { return !maps.Equal(before, stored(h)) })
		t.behind(h, embedded.SoftPaused)

		p = start(t.T, settings)
		route = p.route(t.T, t.door)
		t.awaitVerdict(route, brokenNow)
		if !h.AllIn(embedded.SoftPaused) {
			t.Errorf("a broken hold is a hold, and these are not paused: %+v", h.Astray(embedded.SoftPaused))
		}
		t.expectRefused(h, route, broken, "passed the baseline")
	})
}

// stored are the stored positions of all replicas.
func stored(h *servertest.Harness) map[string]int64 {
	positions := map[string]int64{}
	for _, r := range h.Cluster.Replicas() {
		positions[fmt.Sprintf("%d on %d", r.Partition, r.Broker)] = r.Exported
	}
	return positions
}

// A leader that falls silent before its position is known to stand still has stored more than its followers were told. When
// it comes back that is no sign that anything was exported.
func TestALeaderThatIsAwayWhileOthersDrain(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.5", "8.10"}, func(t try) {
		const drain = time.Second
		h, route := t.start(embedded.Options{WriteInterval: 20 * time.Millisecond}, map[string]string{"exporting.drain": drain.String()})
		servertest.Await(t, "the leaders are ahead of their followers", func() bool {
			return !slices.ContainsFunc(h.Cluster.Replicas(), func(r embedded.Replica) bool {
				return r.Role == embedded.Leader && r.Exported < 0
			})
		})
		t.expectSuccess(h, route.Pause(t.Context(), backup(embedded.Paused, time.Hour)), embedded.Paused)
		b := h.Cluster.Broker(0)
		b.Stop()
		silent := time.Now()
		servertest.Await(t, "others have stood still for long enough", func() bool { return time.Since(silent) > 2*drain })
		t.awaitReads(h)
		if verdict := t.verdict(route); verdict != pendingNow {
			t.Errorf("a replica is missing that may have stored more, and the hold is %v", verdict)
		}
		t.startBroker(b)
		t.awaitVerdict(route, intactNow)
		t.expectReleased(h, route, intactNow)
	})
}
