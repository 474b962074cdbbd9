package reconcile_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

func TestTimesToLive(t *testing.T) {
	tests := map[string]struct {
		id   string
		ttl  time.Duration
		want time.Duration // 0: it never expires
	}{
		"named":                {"backup", 0, time.Hour},
		"named, for a time":    {"backup", 2 * time.Hour, 2 * time.Hour},
		"named, for too long":  {"backup", 48 * time.Hour, 24 * time.Hour},
		"anonymous":            {"", 0, 0},
		"anonymous, by name":   {hold.Operator, 0, 0},
		"anonymous for a time": {"", time.Minute, time.Minute},
		"anonymous, too long":  {"", 48 * time.Hour, 24 * time.Hour},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, exportingtest.New(3, 3), func(r *rig) {
				t := r.t
				began := time.Now()
				result, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: test.id, Phase: hard, TTL: test.ttl})
				if err != nil {
					t.Fatal(err)
				}
				h := result.Hold
				switch {
				case test.want == 0 && !h.Expires.IsZero(), test.want != 0 && h.Expires.Sub(h.Created) != test.want, h.Created.Before(began):
					t.Errorf("created %v, expires %v, want %v later", h.Created, h.Expires, test.want)
				}
				never := strings.Contains(strings.Join(result.Status.Warnings, "\n"), "never expires")
				if never != (test.want == 0) {
					t.Errorf("warnings %q", result.Status.Warnings)
				}
			})
		})
	}
}

func TestRenewal(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		first := r.hold(t, "backup", hard)
		r.cluster.SetFault(1, exportingtest.Down) // A renewal is never refused.
		wait(10 * time.Minute)
		renew := func(req reconcile.PauseRequest) hold.Hold {
			t.Helper()
			if _, err := r.Pause(t.Context(), req); !is[*reconcile.NotSettledError](err) {
				t.Fatalf("error %v", err)
			}
			h := r.live(t, "backup")
			if h.UID != first.UID || h.Owner != first.Owner || !h.Created.Equal(first.Created) {
				t.Errorf("renewed %+v, and it was %+v", h, first)
			}
			return h
		}
		if h := renew(reconcile.PauseRequest{Hold: "backup", Phase: hard, TTL: time.Minute, Owner: "another"}); !h.Expires.Equal(first.Expires) {
			t.Errorf("a renewal changed its end from %v to %v", first.Expires, h.Expires)
		}
		if h := renew(reconcile.PauseRequest{Renew: first.UID, TTL: 2 * time.Hour}); h.Expires.Before(time.Now().Add(time.Hour)) {
			t.Errorf("it expires at %v", h.Expires)
		}
		r.holds(t, "backup")
	})
}

// A uid that does not live any more is told why, and nothing is placed.
func TestRenewalOfWhatEnded(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		expired, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "expired", Phase: hard, TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		wait(2 * time.Minute)
		released, forced := r.hold(t, "released", hard), r.hold(t, "forced", hard)
		if _, err := r.release(t, "released"); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Resume(t.Context(), reconcile.ResumeRequest{Force: true}); err != nil {
			t.Fatal(err)
		}
		for uid, told := range map[string]func(error) bool{
			expired.Hold.UID: is[*reconcile.HoldExpiredError], released.UID: is[*reconcile.HoldNotFoundError],
			forced.UID: is[*reconcile.HoldBrokenError], "nobody's": is[*reconcile.HoldNotFoundError],
		} {
			for _, validate := range []bool{false, true} {
				if _, err := r.Pause(t.Context(), reconcile.PauseRequest{Renew: uid, ValidateOnly: validate}); !told(err) {
					t.Errorf("renew %s: %v", uid, err)
				}
			}
		}
		r.holds(t)
		r.show(t, exports)
	})
}

// Two holds, released in either order: exporting is what those that are left ask for.
func TestTwoHolds(t *testing.T) {
	tests := []struct {
		first, second exporting.Phase
		release       [2]string
		between       exporting.Phase
	}{
		{soft, soft, [2]string{"a", "b"}, soft},
		{soft, hard, [2]string{"a", "b"}, hard},
		{soft, hard, [2]string{"b", "a"}, soft},
		{hard, soft, [2]string{"a", "b"}, soft},
		{hard, soft, [2]string{"b", "a"}, hard},
		{hard, hard, [2]string{"b", "a"}, hard},
	}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			c := exportingtest.New(3, 3)
			c.Planned = true // Below 8.10 a hard pause over a soft one is not safe.
			r := run(t, c)
			defer r.end()
			r.hold(t, "a", test.first)
			r.show(t, test.first)
			r.hold(t, "b", test.second)
			r.show(t, max(test.first, test.second))
			for range 2 {
				if _, err := r.release(t, ""); !is[*reconcile.HeldByOthersError](err) || !strings.Contains(err.Error(), "a, b") {
					t.Errorf("plain resume: %v", err)
				}
			}
			for i, id := range test.release {
				if _, err := r.release(t, id); err != nil {
					t.Errorf("%+v: release %s: %v", test, id, err)
				}
				r.show(t, [...]exporting.Phase{test.between, exports}[i])
			}
		})
	}
}

// Below 8.10 a hard hold is refused beside a soft one; the other way round is no trouble.
func TestHardBesideSoft(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.hold(t, "a", soft)
		if _, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "b", Phase: hard}); !is[*exporting.UnsafeTransitionError](err) {
			t.Errorf("error %v", err)
		}
		r.holds(t, "a")
		r.show(t, soft)
	})
}

// What a release is told, and is told again each time, is what became of the hold.
func TestReleaseIsAnsweredFromHistory(t *testing.T) {
	tests := map[string]struct {
		end  func(*rig)
		want func(error) bool
	}{
		"released": {func(r *rig) { _, _ = r.release(r.t, "a") }, func(err error) bool { return err == nil }},
		"expired":  {func(*rig) { wait(61 * time.Minute) }, is[*reconcile.HoldExpiredError]},
		"forced": {
			func(r *rig) { _, _ = r.Resume(r.t.Context(), reconcile.ResumeRequest{Force: true}) }, is[*reconcile.HoldBrokenError],
		},
		"replaced and released": {
			func(r *rig) { r.hold(r.t, "a", soft); _, _ = r.release(r.t, "a") }, func(err error) bool { return err == nil },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, exportingtest.New(3, 3), func(r *rig) {
				t := r.t
				r.hold(t, "a", hard)
				test.end(r)
				wait(20 * time.Second)
				r.show(t, exports)
				for range 3 {
					result, err := r.release(t, "a")
					if !test.want(err) || err == nil && result.Hold.ID != "a" {
						t.Errorf("result %+v, error %v", result, err)
					}
					if _, err := r.Resume(t.Context(), reconcile.ResumeRequest{Hold: "a", ValidateOnly: true}); !test.want(err) {
						t.Errorf("validation: %v", err)
					}
				}
				if _, err := r.release(t, "another"); !is[*reconcile.HoldNotFoundError](err) {
					t.Errorf("error %v", err)
				}
				if _, err := r.release(t, ""); err != nil {
					t.Errorf("plain resume: %v", err)
				}
				r.show(t, exports)
			})
		})
	}
}

// A hold that expires ends at once, whatever the loop is doing at that moment, and also while a broker is dead.
func TestExpiry(t *testing.T) {
	for _, dead := range []bool{false, true} {
		for at := time.Duration(0); at < 12*time.Second; at += 370 * time.Millisecond {
			bubble(t, exportingtest.New(3, 3), func(r *rig) {
				t := r.t
				r.cluster.SetReadDelay(200 * time.Millisecond)
				result, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "a", Phase: hard, TTL: 20*time.Second + at})
				if err != nil {
					t.Fatal(err)
				}
				if dead {
					r.cluster.SetFault(2, exportingtest.Down)
				}
				wait(time.Until(result.Hold.Expires) - time.Millisecond)
				r.show(t, hard)
				wait(2 * time.Second)
				r.cluster.SetFault(2, exportingtest.Healthy)
				if got := r.cluster.Phases()[:2]; !slices.Equal(got, []exporting.Phase{exports, exports}) {
					t.Errorf("two seconds after a hold of %v expired: %v", 20*time.Second+at, got)
				}
				wait(20 * time.Second)
				r.show(t, exports)
				if _, err := r.release(t, "a"); !is[*reconcile.HoldExpiredError](err) {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}

func TestExpiryWhileItIsWaitedFor(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.cluster.SetFault(1, exportingtest.Swallow)
		_, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "a", Phase: hard, TTL: 3 * time.Second, OnFailure: reconcile.Keep})
		if !is[*reconcile.HoldExpiredError](err) {
			t.Errorf("error %v", err)
		}
		wait(20 * time.Second)
		r.show(t, exports)
	})
}

// A hold that expires while no server runs is released by the next, which tells of it.
func TestExpiryWhileNoServerRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, store := exportingtest.New(3, 3), hold.NewMemory()
		first := runOn(t, c, c, store, nil)
		first.hold(t, "a", hard)
		first.hold(t, "b", hard)
		if _, err := first.Pause(t.Context(), reconcile.PauseRequest{Renew: first.live(t, "b").UID, TTL: 10 * time.Hour}); err != nil {
			t.Fatal(err)
		}
		first.end()
		c.SetPhase(1, exports)
		wait(2 * time.Hour)

		second := runOn(t, c, c, store, nil)
		wait(5 * time.Second)
		second.show(t, hard)
		second.holds(t, "b")
		if told := second.told(t); !strings.Contains(told, "hold a (PAUSED) expired") {
			t.Errorf("events:\n%s", told)
		}
		second.end()
		wait(10 * time.Hour)

		third := runOn(t, c, c, store, nil)
		defer third.end()
		wait(5 * time.Second)
		third.show(t, exports)
		for _, id := range []string{"a", "b"} {
			if _, err := third.release(t, id); !is[*reconcile.HoldExpiredError](err) {
				t.Errorf("release %s: %v", id, err)
			}
		}
	})
}

// The deadline of a pause is kept whatever the loop is doing at that moment.
func TestDeadlineIsKept(t *testing.T) {
	for at := time.Duration(0); at < 3*time.Second; at += 130 * time.Millisecond {
		bubble(t, exportingtest.New(3, 3), func(r *rig) {
			t := r.t
			r.cluster.SetReadDelay(130 * time.Millisecond)
			r.cluster.SetFault(1, exportingtest.Swallow)
			_, err := r.pause(t, hard, 10*time.Second+at, reconcile.Revert)
			if !is[*reconcile.NotSettledError](err) {
				t.Fatalf("error %v", err)
			}
			wait(3 * time.Second)
			r.show(t, exports)
			r.holds(t)
		})
	}
}

// A ledger that is another cluster's is not enforced on this one.
func TestAnotherClustersLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := hold.NewMemory()
		named := func(id string) *lens {
			return &lens{Cluster: exportingtest.New(3, 3), topology: func(t *exporting.Topology) { t.ClusterID = id }}
		}
		ours := named("ours")
		first := runOn(t, ours.Cluster, ours, store, nil)
		first.hold(t, "a", hard)
		first.end()

		theirs := named("theirs")
		second := runOn(t, theirs.Cluster, theirs, store, nil)
		defer second.end()
		if err := <-second.failed; !is[*hold.OtherClusterError](err) {
			t.Errorf("error %v", err)
		}
		if theirs.writes.Load() != 0 {
			t.Errorf("%d writes to another cluster", theirs.writes.Load())
		}
		if _, err := second.release(t, ""); err == nil {
			t.Error("a server whose loop has ended resumed")
		}
		second.show(t, exports)
	})
}
