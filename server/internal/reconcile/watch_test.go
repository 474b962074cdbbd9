package reconcile_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// next waits for an update, up to a limit; ok is false if none came.
func next(t *testing.T, w *reconcile.Watch, limit time.Duration) (u reconcile.Update, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	u, err := w.Next(ctx)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	return u, err == nil
}

// quiet reads updates until there are none for a while, and returns the last.
func quiet(t *testing.T, w *reconcile.Watch) (last reconcile.Update) {
	t.Helper()
	for {
		u, ok := next(t, w, 20*time.Second)
		if !ok {
			return last
		}
		last = u
	}
}

func TestWatchBeginsAtOnce(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		first := r.Watch("")
		if _, ok := next(t, first, time.Second); !ok { // Before the first look has ended, too.
			t.Fatal("no update")
		}
		quiet(t, first)
		began := time.Now()
		if u, ok := next(t, r.Watch(""), time.Second); !ok || time.Since(began) != 0 || !u.Status.Settled {
			t.Errorf("update %+v after %v", u, time.Since(began))
		}
	})
}

// Positions and times alone are no news, while records come all the time.
func TestWatchIsQuiet(t *testing.T) {
	inBusy(t, func(r *rig) {
		t := r.t
		w := r.Watch("")
		quiet(t, w)
		if u, ok := next(t, w, time.Hour); ok {
			t.Errorf("update %+v", u.Status)
		}
		r.hold(t, "a", hard)
		quiet(t, w)
		if u, ok := next(t, w, 30*time.Minute); ok {
			t.Errorf("update %+v", u.Status)
		}
	})
}

// Whatever else changes is told, soon.
func TestWatchTells(t *testing.T) {
	tests := map[string]struct {
		change func(*rig)
		want   func(*reconcile.Status) bool
	}{
		"a broker that dies": {
			func(r *rig) { r.cluster.SetFault(1, exportingtest.Down) }, func(s *reconcile.Status) bool { return len(s.Unsettled) == 1 },
		},
		"a leader that changes": {func(r *rig) { r.cluster.SetLeader(0, 2) }, func(s *reconcile.Status) bool {
			leader, _ := s.View.Reading(exporting.PartitionID{ID: 1}, "2")
			return leader.Role == exporting.RoleLeader
		}},
		"a foreign pause": {func(r *rig) { r.cluster.SetPhase(0, soft) }, func(s *reconcile.Status) bool { return s.Foreign }},
		"a hold": {
			func(r *rig) { _, _ = r.Pause(r.t.Context(), reconcile.PauseRequest{Hold: "b", Phase: hard}) },
			func(s *reconcile.Status) bool { return len(s.Holds) == 2 && !s.Holds[1].Settled.IsZero() },
		},
		"a renewal": {
			func(r *rig) {
				_, _ = r.Pause(r.t.Context(), reconcile.PauseRequest{Renew: r.live(r.t, "a").UID, TTL: 12 * time.Hour})
			},
			func(s *reconcile.Status) bool { return time.Until(s.Holds[0].Expires) > 11*time.Hour },
		},
		"a verdict": {
			func(r *rig) { r.hold(r.t, "a", hard); wait(20 * time.Second) },
			func(s *reconcile.Status) bool { return s.Continuity(&s.Holds[0]) == hold.Intact },
		},
		"an end": {
			func(r *rig) { _, _ = r.release(r.t, "a") },
			func(s *reconcile.Status) bool { return len(s.Holds) == 0 && s.Settled && s.Observed == exports },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := busy()
				c.Planned = true
				r := run(t, c)
				defer r.end()
				wait(time.Minute)
				if name != "a foreign pause" && name != "a broker that dies" {
					r.hold(t, "a", soft)
				}
				w := r.Watch("")
				quiet(t, w)
				go test.change(r)
				if u := quiet(t, w); u.Status == nil || !test.want(u.Status) {
					t.Errorf("the last update: %+v", u.Status)
				}
			})
		})
	}
}

// A leader that stalls is told although nothing changes: that is the point of it.
func TestWatchTellsOfStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := busy()
		brokers := &lens{Cluster: c, reading: func(_ exporting.BrokerID, r *exporting.Reading) { r.Exported = exporting.At(7) }}
		r := runOn(t, c, brokers, hold.NewMemory(), nil)
		defer r.end()
		w := r.Watch("")
		quiet(t, w)
		if u, ok := next(t, w, 2*time.Minute); !ok || len(u.Status.Stalled) != 1 {
			t.Errorf("update %+v", u.Status)
		}
	})
}

// While much happens, updates come ten times a second at most, and the last is never left out.
func TestWatchCoalesces(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := r.Watch("")
		updates, last := 0, reconcile.Update{}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				u, err := w.Next(ctx)
				if err != nil {
					return
				}
				updates, last = updates+1, u
			}
		}()
		began := time.Now()
		for i := range 300 {
			r.cluster.SetPhase(i%3, soft)
			_, _ = r.Resume(t.Context(), reconcile.ResumeRequest{Owner: "somebody who insists"})
		}
		took := time.Since(began)
		wait(10 * time.Second)
		cancel()
		<-done
		if most := int((took + 10*time.Second) / (100 * time.Millisecond)); updates > most || updates < 10 {
			t.Errorf("%d updates in %v", updates, took)
		}
		if s := last.Status; s == nil || !s.Settled || s.Observed != exports {
			t.Errorf("the last: %+v", s)
		}
	})
}

// Who watches slowly misses nothing of the state, and is told which events were lost; nobody waits for them.
func TestSlowWatch(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		w := r.Watch("")
		quiet(t, w)
		for range 40 { // Three events each.
			r.hold(t, "a", hard)
			if _, err := r.release(t, "a"); err != nil {
				t.Fatal(err)
			}
		}
		u, ok := next(t, w, time.Second)
		if !ok || !u.Missed || len(u.Events) == 0 || !u.Status.Settled || len(u.Status.Holds) != 0 {
			t.Errorf("update %+v", u)
		}
		if u := quiet(t, w); u.Missed {
			t.Errorf("update %+v", u)
		}
	})
}

// A watch that goes on where another ended gets each event once; one with a cursor that means nothing here is told so.
func TestWatchGoesOn(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.hold(t, "a", hard)
		first := quiet(t, r.Watch(""))
		if first.Cursor == "" || first.Missed {
			t.Fatalf("update %+v", first)
		}
		if _, err := r.release(t, "a"); err != nil {
			t.Fatal(err)
		}
		u, ok := next(t, r.Watch(first.Cursor), time.Second)
		if !ok || u.Missed || len(u.Events) != 1 || !strings.Contains(u.Events[0].Message, "was released") {
			t.Errorf("update %+v", u.Events)
		}
		if again, ok := next(t, r.Watch(u.Cursor), time.Second); !ok || again.Missed || len(again.Events) != 0 {
			t.Errorf("update %+v", again.Events)
		}
		for _, cursor := range []string{"nonsense", "another.7", first.Cursor + "0000", strings.Split(u.Cursor, ".")[0] + ".0"} {
			if u, ok := next(t, r.Watch(cursor), time.Second); !ok || !u.Missed || len(u.Events) < 3 {
				t.Errorf("cursor %q: update %+v", cursor, u.Events)
			}
		}
	})
}

func TestWatchEndsWithTheServer(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		w := r.Watch("")
		quiet(t, w)
		ended := make(chan error, 1)
		go func() { _, err := w.Next(context.Background()); ended <- err }() //nolint:usetesting // It must not be what ends it.
		wait(time.Second)
		r.end()
		if err := <-ended; !errors.Is(err, reconcile.ErrShuttingDown) {
			t.Errorf("error %v", err)
		}
	})
}

// What is watched is shared: all who watch get the very same status.
func TestWatchesShareTheStatus(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		wait(time.Second)
		one, _ := next(t, r.Watch(""), time.Second)
		two, _ := next(t, r.Watch(""), time.Second)
		if one.Status != two.Status {
			t.Error("two statuses were made of one view")
		}
	})
}
