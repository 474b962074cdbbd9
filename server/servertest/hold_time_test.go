package servertest_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// How long a hold lives: as long as it asks for, at most as long as the server lets it, and if it does not ask, the
// anonymous one for ever, as Zeebe's own pause does.
func TestTimeToLive(t *testing.T) {
	t.Parallel()
	const never = 0
	tests := []struct {
		hold string
		ttl  time.Duration
		want time.Duration
	}{
		{"backup-1", 0, 2 * time.Hour},
		{"backup-2", 90 * time.Second, 90 * time.Second},
		{"backup-3", 48 * time.Hour, 3 * time.Hour},
		{"", 0, never},
		{"operator", 0, never}, // another name of the same
	}
	on(t, []string{"8.9"}, func(t try) {
		h, route := t.start(embedded.Options{}, map[string]string{"holds.default-ttl": "2h", "holds.max-ttl": "3h"})
		for _, test := range tests {
			request := place(test.hold, embedded.SoftPaused)
			if test.ttl > 0 {
				lasting(request, test.ttl)
			}
			o := route.Pause(t.Context(), request)
			t.expectSuccess(h, o, embedded.SoftPaused)
			if got := lifetime(o.Hold); got != test.want {
				t.Errorf("hold %q with ttl %v lives %v, want %v", test.hold, test.ttl, got, test.want)
			}
		}
		if w := t.status(h).GetWarnings(); len(w) != 1 || !strings.Contains(w[0], "operator") || !strings.Contains(w[0], "never expires") {
			t.Errorf("the warnings are %q", w)
		}
		t.expectSuccess(h, route.Resume(t.Context(), force()), embedded.Exporting)
		o := route.Pause(t.Context(), lasting(soft(), 48*time.Hour))
		t.expectSuccess(h, o, embedded.SoftPaused)
		if got := lifetime(o.Hold); got != 3*time.Hour {
			t.Errorf("the anonymous hold with a ttl of 48h lives %v", got)
		}
	})
}

// lifetime is how long a hold lives from when it was placed; 0 is for ever.
func lifetime(hold *exportgatev1.Hold) time.Duration {
	if hold.GetExpireTime() == nil {
		return 0
	}
	return hold.GetExpireTime().AsTime().Sub(hold.GetCreateTime().AsTime())
}

// A renewal, by the id or by the uid, only ever lets a hold live longer. It stays the same hold.
func TestRenewal(t *testing.T) {
	t.Parallel()
	renewals := map[string]func(hold *exportgatev1.Hold, ttl time.Duration) *exportgatev1.PauseRequest{
		"by id": func(hold *exportgatev1.Hold, ttl time.Duration) *exportgatev1.PauseRequest {
			return lasting(place(hold.GetId(), embedded.SoftPaused), ttl)
		},
		"by uid": func(hold *exportgatev1.Hold, ttl time.Duration) *exportgatev1.PauseRequest {
			return renew(hold.GetUid(), ttl)
		},
	}
	on(t, []string{"8.9"}, func(t try) {
		h, route := t.start(embedded.Options{})
		for name, renewal := range renewals {
			request := lasting(place("backup-1", embedded.SoftPaused), time.Hour)
			request.Reason = "nightly"
			first := route.Pause(t.Context(), request)
			t.expectSuccess(h, first, embedded.SoftPaused)
			shorter := route.Pause(t.Context(), renewal(first.Hold, time.Minute))
			t.expectSuccess(h, shorter, embedded.SoftPaused)
			if got := lifetime(shorter.Hold); got != time.Hour {
				t.Errorf("%s: a renewal for a minute lets a hold of an hour live %v", name, got)
			}
			longer := h.Route(t, t.otherDoor()).Pause(t.Context(), renewal(first.Hold, 2*time.Hour))
			if got := lifetime(longer.Hold); !longer.OK() || got <= 2*time.Hour || got > 2*time.Hour+time.Minute {
				t.Errorf("%s: a renewal for two hours lets it live %v: %v", name, got, longer)
			}
			for _, o := range []servertest.Outcome{shorter, longer} {
				if o.Hold.GetUid() != first.Hold.GetUid() || o.Hold.GetOwner() != first.Hold.GetOwner() || o.Hold.GetReason() != "nightly" {
					t.Errorf("%s: hold %v is renewed as %v", name, first.Hold, o.Hold)
				}
			}
			t.expectSuccess(h, route.Resume(t.Context(), release("backup-1")), embedded.Exporting)
		}

		// What never expires does not begin to.
		t.expectSuccess(h, route.Pause(t.Context(), lasting(soft(), time.Hour)), embedded.SoftPaused)
		t.expectSuccess(h, route.Pause(t.Context(), soft()), embedded.SoftPaused)
		o := route.Pause(t.Context(), lasting(soft(), time.Minute))
		t.expectSuccess(h, o, embedded.SoftPaused)
		if o.Hold.GetExpireTime() != nil {
			t.Errorf("the anonymous hold came to expire: %v", o.Hold)
		}
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
	})
}

// A renewal is written whatever the cluster looks like, and where replicas do not follow, it withdraws nothing.
func TestRenewalOnABrokenCluster(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.9", "8.10"}, func(t try) {
		h, route := t.start(embedded.Options{}, within("5s"))
		first := route.Pause(t.Context(), lasting(place("backup-1", embedded.SoftPaused), time.Hour))
		t.expectSuccess(h, first, embedded.SoftPaused)
		h.Cluster.Broker(1).Stop()
		for _, request := range []*exportgatev1.PauseRequest{
			renew(first.Hold.GetUid(), 2*time.Hour), lasting(place("backup-1", embedded.SoftPaused), 3*time.Hour),
		} {
			o := route.Pause(t.Context(), request)
			t.expectNotSettled(o, "1")
			if o.Metadata["outcome"] != "kept" {
				t.Errorf("the outcome is %q", o.Metadata["outcome"])
			}
			t.expectHolds(h, first.Hold)
			if got := lifetime(t.status(h).GetHolds()[0]); got < request.GetTtl().AsDuration() {
				t.Errorf("after a renewal for %v the hold lives %v", request.GetTtl().AsDuration(), got)
			}
		}
		t.heal(h)
		t.awaitQuiet(h, embedded.SoftPaused)
	})
}

// When its time is over a hold ends by itself, not before, and whoever relied on it is told.
func TestExpiry(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.9", "8.10"}, func(t try) {
		h, route := t.start(embedded.Options{})
		other := route.Pause(t.Context(), place("backup-2", embedded.SoftPaused))
		t.expectSuccess(h, other, embedded.SoftPaused)
		first := route.Pause(t.Context(), lasting(place("backup-1", embedded.SoftPaused), 3*time.Second))
		last := route.Pause(t.Context(), lasting(soft(), 6*time.Second))
		t.expectSuccess(h, route.Resume(t.Context(), release("backup-2")), embedded.SoftPaused)
		servertest.Await(t, "exporting resumes by itself", func() bool { return !h.AllIn(embedded.SoftPaused) })
		if early := time.Until(last.Hold.GetExpireTime().AsTime()); early > 0 || !last.OK() {
			t.Errorf("exporting resumed %v before the last hold expired; it was placed with %v", early, last)
		}
		t.awaitQuiet(h, embedded.Exporting)
		for _, placed := range []*exportgatev1.Hold{first.Hold, last.Hold} {
			e := t.expectEnded(h, placed.GetId(), exportgatev1.HoldEnd_HOLD_END_EXPIRED)
			if e.GetHold().GetUid() != placed.GetUid() || !e.GetEndTime().AsTime().Equal(placed.GetExpireTime().AsTime()) {
				t.Errorf("hold %v ended as %v", placed, e)
			}
		}
		for range 2 {
			o := route.Resume(t.Context(), release("backup-1"))
			t.expect(o, codes.FailedPrecondition, expired)
			if want := first.Hold.GetExpireTime().AsTime().Format(time.RFC3339); o.Metadata["hold"] != "backup-1" || o.Metadata["time"] != want {
				t.Errorf("the hold is not told, nor when it expired, %s: %v", want, o)
			}
		}
		o := route.Pause(t.Context(), renew(last.Hold.GetUid(), time.Hour))
		t.expect(o, codes.FailedPrecondition, expired)
		if o.Metadata["hold"] != "operator" {
			t.Errorf("the hold is not told: %v", o)
		}
		t.expectHolds(h)
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
		t.expectSuccess(h, route.Resume(t.Context(), release("backup-2")), embedded.Exporting)
	})
}

// A uid names one placing: once that has ended its renewal places nothing, and says why.
func TestRenewalOfWhatHasEnded(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		end    func(t try, route servertest.Route)
		code   codes.Code
		reason string
	}{
		{"released", func(t try, route servertest.Route) {
			t.expect(route.Resume(t.Context(), release("backup-1")), codes.OK, "")
		}, codes.NotFound, notFound},
		{"released and placed again", func(t try, route servertest.Route) {
			t.expect(route.Resume(t.Context(), release("backup-1")), codes.OK, "")
			t.expect(route.Pause(t.Context(), place("backup-1", embedded.Paused)), codes.OK, "")
		}, codes.NotFound, notFound},
		{"forced", func(t try, route servertest.Route) {
			t.expect(route.Resume(t.Context(), force()), codes.OK, "")
		}, codes.FailedPrecondition, broken},
		{"replaced", func(t try, route servertest.Route) {
			t.expect(route.Pause(t.Context(), place("backup-1", embedded.SoftPaused)), codes.OK, "")
		}, codes.FailedPrecondition, broken},
	}
	on(t, []string{"8.9"}, func(t try) {
		h, route := t.start(embedded.Options{})
		for _, test := range tests {
			placed := route.Pause(t.Context(), place("backup-1", embedded.Paused))
			t.expect(placed, codes.OK, "")
			test.end(t, route)
			before := names(t.status(h).GetHolds())
			for _, check := range []bool{true, false} {
				request := renew(placed.Hold.GetUid(), time.Hour)
				request.ValidateOnly = check
				o := route.Pause(t.Context(), request)
				if o.Code != test.code || o.Reason != test.reason {
					t.Errorf("%s: the renewal got %v, want %v", test.name, o, test.reason)
				}
			}
			if after := names(t.status(h).GetHolds()); after != before {
				t.Errorf("%s: the renewal left holds %s, not %s", test.name, after, before)
			}
			t.expect(route.Resume(t.Context(), force()), codes.OK, "")
		}
		o := route.Pause(t.Context(), renew("NEVERSEEN", time.Hour))
		t.expect(o, codes.NotFound, notFound)
		if o.Metadata["hold"] != "NEVERSEEN" {
			t.Errorf("the uid is not told: %v", o)
		}
		o = route.Resume(t.Context(), release("never-seen"))
		t.expect(o, codes.NotFound, notFound)
		t.awaitQuiet(h, embedded.Exporting)
	})
}
