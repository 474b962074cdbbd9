package servertest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// otherDoor is the one that a test does not come through.
func (t try) otherDoor() servertest.Door {
	if t.door == servertest.GRPC {
		return servertest.HTTP
	}
	return servertest.GRPC
}

// A pause that a resume overtakes is told so, and undoes nothing of the resume.
func TestPauseIsSuperseded(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{})
		h.Cluster.Broker(1).SetFaults(embedded.Swallow())
		paused := later(func() servertest.Outcome { return route.Pause(t.Context(), hard()) })
		t.awaitWrite(h)
		resumed := later(func() servertest.Outcome { return h.Route(t, t.otherDoor()).Resume(t.Context(), resume()) })
		o := <-paused
		t.expect(o, codes.Aborted, superseded)
		if o.Metadata["hold"] != "operator" {
			t.Errorf("the hold is not told: %v", o)
		}
		h.Cluster.Broker(1).Clear()
		if o := <-resumed; !o.OK() || !h.AllIn(embedded.Exporting) {
			t.Errorf("the resume: %v, replicas %+v", o, h.Cluster.Replicas())
		}
		t.awaitQuiet(h, embedded.Exporting)
	})
}

// And so is a resume that a pause overtakes.
func TestResumeIsSuperseded(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{})
		t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
		h.Cluster.Broker(1).SetFaults(embedded.Swallow())
		writes := len(h.Cluster.Writes())
		resumed := later(func() servertest.Outcome { return route.Resume(t.Context(), resume()) })
		servertest.Await(t, "the resume is under way", func() bool { return len(h.Cluster.Writes()) > writes })
		paused := later(func() servertest.Outcome { return h.Route(t, t.otherDoor()).Pause(t.Context(), hard()) })
		t.expect(<-resumed, codes.Aborted, superseded)
		h.Cluster.Broker(1).Clear()
		if o := <-paused; !o.OK() || !h.AllIn(embedded.Paused) {
			t.Errorf("the pause: %v, replicas %+v", o, h.Cluster.Replicas())
		}
	})
}

// Two equal pauses at once are one: one hold, placed once, and both callers are told of it.
func TestEqualPausesAreOne(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{})
		h.Cluster.Broker(1).SetFaults(embedded.Late(time.Second))
		first := later(func() servertest.Outcome { return route.Pause(t.Context(), hard()) })
		t.awaitWrite(h)
		second := h.Route(t, t.otherDoor()).Pause(t.Context(), hard())
		o := <-first
		t.expectSuccess(h, o, embedded.Paused)
		// Replicas that had changed before the second call are none of its changes.
		if !second.OK() || second.Hold.GetUid() != o.Hold.GetUid() || len(second.Changes) > len(o.Changes) {
			t.Errorf("the second pause is told %v and holds %v, the first %v and %v", second, second.Hold, o, o.Hold)
		}
		var placed int
		for _, event := range o.Status.GetEvents() {
			if strings.Contains(event.GetMessage(), "was placed") || strings.Contains(event.GetMessage(), "was renewed") {
				placed++
			}
		}
		if placed != 1 {
			t.Errorf("the hold was placed or renewed %d times: %v", placed, o.Status.GetEvents())
		}
	})
}

// A caller that goes away stops nothing.
func TestCallerHangsUp(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{})
		h.Cluster.Broker(1).SetFaults(embedded.Late(500 * time.Millisecond))
		ctx, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		paused := later(func() servertest.Outcome { return route.Pause(ctx, hard()) })
		t.awaitWrite(h)
		hangUp()
		if o := <-paused; o.OK() {
			t.Fatalf("the call was answered before it could hang up: %v", o)
		}
		t.awaitQuiet(h, embedded.Paused)
		h.Cluster.Broker(1).Clear()
		h.Cluster.Broker(2).SetFaults(embedded.Late(500 * time.Millisecond))
		writes := len(h.Cluster.Writes())
		ctx, hangUp = context.WithCancel(t.Context())
		defer hangUp()
		resumed := later(func() servertest.Outcome { return route.Resume(ctx, resume()) })
		servertest.Await(t, "the resume is under way", func() bool { return len(h.Cluster.Writes()) > writes })
		hangUp()
		<-resumed
		t.awaitQuiet(h, embedded.Exporting)
	})
}

// A broker that comes back without its disk exports, below 8.10. While a hold lives it is paused again.
func TestLostDiskIsPausedAgain(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{})
		t.expectSuccess(h, route.Pause(t.Context(), soft()), embedded.SoftPaused)
		b := h.Cluster.Broker(1)
		b.Stop()
		if err := b.LoseDisk(); err != nil {
			t.Fatal(err)
		}
		if !t.planned() && has(h, 1, embedded.SoftPaused) {
			t.Fatal("the disk was not lost")
		}
		t.startBroker(b)
		t.awaitQuiet(h, embedded.SoftPaused)
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
	})
}

// Leaders that change under a hold change nothing of it.
func TestLeadersChangeUnderAHold(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{})
		t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
		for _, p := range h.Cluster.Partitions() {
			if err := p.TransferLeader((p.Leader() + 1) % 3); err != nil {
				t.Fatal(err)
			}
		}
		t.awaitReads(h)
		t.awaitQuiet(h, embedded.Paused)
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
	})
}

// Resuming at every broker releases the anonymous hold: it is Zeebe's own pause. Where the loop looks in the middle of that
// it takes it for brokers that lost their disks, and pauses again; the operator then needs another try.
func TestForeignResumeReleasesTheHold(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{ApplyDelay: -1})
		t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
		servertest.Await(t, "the hold is released", func() bool {
			s := route.GetStatus(t.Context()).Status
			if s.GetSettled() && h.AllIn(embedded.Paused) {
				t.behind(h, embedded.Exporting)
			}
			return len(s.GetHolds()) == 0 && s.GetTarget() == phaseOf(embedded.Exporting)
		})
		t.awaitReads(h)
		t.awaitQuiet(h, embedded.Exporting)
	})
}

// Resuming at one broker below 8.10 does not: it may as well have lost its disk.
func TestForeignResumeOfOneBrokerIsUndone(t *testing.T) {
	t.Parallel()
	on(t, unplanned(), func(t try) {
		h, route := t.start(embedded.Options{})
		t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
		writes := len(h.Cluster.Broker(1).Writes())
		t.post(h.Cluster.Broker(1).Address() + "/partitions/resumeExporting")
		servertest.Await(t, "the broker is asked again", func() bool { return len(h.Cluster.Broker(1).Writes()) > writes+1 })
		t.awaitQuiet(h, embedded.Paused)
	})
}
