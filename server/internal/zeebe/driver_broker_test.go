package zeebe

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

func wantUnsafe(t *testing.T, err error, broker exporting.BrokerID) {
	t.Helper()
	var unsafe *exporting.UnsafeTransitionError
	if !errors.As(err, &unsafe) {
		t.Fatalf("error is %v, want an UnsafeTransitionError", err)
	}
	if diff := cmp.Diff(ids(broker), unsafe.Brokers); diff != "" {
		t.Errorf("brokers differ (-want +got):\n%s", diff)
	}
}

func TestWritePerBroker(t *testing.T) {
	for phase, operation := range map[exporting.Phase]string{
		exporting.PhasePaused:     "POST /partitions/pauseExporting",
		exporting.PhaseSoftPaused: "POST /partitions/softPauseExporting",
		exporting.PhaseExporting:  "POST /partitions/resumeExporting",
	} {
		b := newFakeBroker(t).old("EXPORTING")
		c := newClient(t, nil, b)
		lever := leverOf(t, c)
		if lever.Planned || lever.SoftToHard {
			t.Errorf("the lever of an old broker is %+v", lever)
		}
		if err := c.Write(t.Context(), lever, phase); err != nil {
			t.Errorf("%s: %v", phase, err)
		}
		wantPosts(t, b, operation)
	}
}

func TestWritePerBrokerErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		says   string
	}{
		{"HTML", 200, html, "management port"},
		{"no endpoint", 404, springError, "no partitions endpoint"},
		{"refused", 403, "", "answered 403"},
		{"a failure", 500, springError, "answered 500: Internal Server Error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newFakeBroker(t).old("EXPORTING")
			b.on("POST /partitions/resumeExporting", test.status, test.body)
			c := newClient(t, nil, b)
			err := c.Write(t.Context(), leverOf(t, c), exporting.PhaseExporting)
			wantError(t, err, "("+b.address()+")", test.says)
		})
	}
}

// TestWriteSoftPauseUnsupported proves that a broker without soft pause is known after it showed so, and until it is
// silent: it may come back as a version that has it.
func TestWriteSoftPauseUnsupported(t *testing.T) {
	b := newFakeBroker(t).old("EXPORTING")
	b.on("POST /partitions/softPauseExporting", http.StatusNoContent, "")
	c := newClient(t, nil, b)
	lever := leverOf(t, c)
	var unsupported *exporting.SoftPauseUnsupportedError
	if err := c.Write(t.Context(), lever, exporting.PhaseSoftPaused); !errors.As(err, &unsupported) {
		t.Fatalf("error is %v, want a SoftPauseUnsupportedError", err)
	}
	if diff := cmp.Diff(ids("0"), unsupported.Brokers); diff != "" {
		t.Errorf("brokers differ (-want +got):\n%s", diff)
	}
	if topologyOf(t, c).Brokers[0].SoftPause {
		t.Error("the broker still seems to have soft pause")
	}
	// What was not taken is not pending: a hard pause is safe.
	b.requests()
	if err := c.Write(t.Context(), lever, exporting.PhasePaused); err != nil {
		t.Errorf("a hard pause after a soft one that the broker does not know: %v", err)
	}
	wantPosts(t, b, "POST /partitions/pauseExporting")
	b.handle("GET /partitions", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if _, err := c.Read(t.Context(), at(b)); err == nil {
		t.Fatal("a broken connection is read")
	}
	if !topologyOf(t, c).Brokers[0].SoftPause {
		t.Error("a broker that was silent since seems to have no soft pause for ever")
	}
}

func TestWriteHardOverSoft(t *testing.T) {
	t.Run("that is read", func(t *testing.T) {
		b := newFakeBroker(t).old("SOFT_PAUSED")
		c := newClient(t, nil, b)
		wantUnsafe(t, c.Write(t.Context(), leverOf(t, c), exporting.PhasePaused), "0")
		wantPosts(t, b)
	})
	t.Run("that may be, as a phase is not known", func(t *testing.T) {
		b := newFakeBroker(t).old("HALF_PAUSED")
		c := newClient(t, nil, b)
		wantUnsafe(t, c.Write(t.Context(), leverOf(t, c), exporting.PhasePaused), "0")
		wantPosts(t, b)
	})
	t.Run("that cannot be read", func(t *testing.T) {
		b := newFakeBroker(t).old("EXPORTING")
		b.on("GET /partitions", http.StatusOK, "{}")
		c := newClient(t, nil, b)
		err := c.Write(t.Context(), leverOf(t, c), exporting.PhasePaused)
		wantError(t, err, "not paused hard", "empty map")
		wantPosts(t, b)
	})
	t.Run("that was read a moment ago", func(t *testing.T) {
		b := newFakeBroker(t).old("EXPORTING")
		c := newClient(t, nil, b)
		lever := leverOf(t, c)
		if _, err := c.Read(t.Context(), at(b)); err != nil {
			t.Fatal(err)
		}
		b.requests()
		if err := c.Write(t.Context(), lever, exporting.PhasePaused); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"POST /partitions/pauseExporting"}, b.requests()); diff != "" {
			t.Errorf("requests differ (-want +got):\n%s", diff)
		}
	})
	t.Run("that is allowed", func(t *testing.T) {
		b := newFakeBroker(t).old("SOFT_PAUSED")
		c := newClient(t, func(o *Options) { o.AllowSoftToHard = true }, b)
		lever := leverOf(t, c)
		if !lever.SoftToHard {
			t.Error("the lever does not tell that it is allowed")
		}
		if err := c.Write(t.Context(), lever, exporting.PhasePaused); err != nil {
			t.Fatal(err)
		}
		wantPosts(t, b, "POST /partitions/pauseExporting")
	})
	t.Run("on a version without soft pause", func(t *testing.T) {
		b := newFakeBroker(t).old("EXPORTING")
		b.on("GET /partitions", http.StatusOK, "{}")
		c := newClient(t, func(o *Options) { o.Version = "8.1.4" }, b)
		if err := c.Write(t.Context(), leverOf(t, c), exporting.PhasePaused); err != nil {
			t.Fatal(err)
		}
		wantPosts(t, b, "POST /partitions/pauseExporting")
	})
}

// TestWriteHardAfterLostSoft proves that a soft pause which was sent, and never seen, forbids a hard one until a resume was
// taken after it and every replica was read exporting.
func TestWriteHardAfterLostSoft(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int // of the soft pause
		unsafe bool
	}{
		{"taken and lost", http.StatusOK, true},
		{"failed half way", http.StatusInternalServerError, true},
		{"refused", http.StatusForbidden, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newFakeBroker(t).old("EXPORTING")
			c := newClient(t, nil, b)
			lever := leverOf(t, c)
			if test.status != http.StatusOK {
				b.on("POST /partitions/softPauseExporting", test.status, "")
			}
			if err := c.Write(t.Context(), lever, exporting.PhaseSoftPaused); (err == nil) != (test.status == http.StatusOK) {
				t.Fatalf("the soft pause: %v", err)
			}
			b.requests()
			err := c.Write(t.Context(), lever, exporting.PhasePaused)
			if !test.unsafe {
				if err != nil {
					t.Error(err)
				}
				wantPosts(t, b, "POST /partitions/pauseExporting")
				return
			}
			wantUnsafe(t, err, "0")
			wantPosts(t, b)
			if err := c.Write(t.Context(), lever, exporting.PhaseExporting); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(t.Context(), at(b)); err != nil {
				t.Fatal(err)
			}
			if err := c.Write(t.Context(), lever, exporting.PhasePaused); err != nil {
				t.Error(err)
			}
			wantPosts(t, b, "POST /partitions/resumeExporting", "POST /partitions/pauseExporting")
		})
	}
}

// TestWriteUnsentIsNotPending proves that a soft pause which never left forbids nothing.
func TestWriteUnsentIsNotPending(t *testing.T) {
	b := newFakeBroker(t).old("EXPORTING")
	c := newClient(t, nil, b)
	lever := leverOf(t, c)
	b.server.Close()
	wantError(t, c.Write(t.Context(), lever, exporting.PhaseSoftPaused), "connection refused")
	c.memory.with(b.address(), func(r *record) {
		if r.guard.pending {
			t.Error("a soft pause that never left is pending")
		}
	})
}

// TestWriteOneAtATime proves that a write waits for another to the same broker, and gives up with its context.
func TestWriteOneAtATime(t *testing.T) {
	b := newFakeBroker(t).old("EXPORTING")
	arrived, release := make(chan struct{}), make(chan struct{})
	b.handle("POST /partitions/softPauseExporting", func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = w.Write([]byte(newer))
	})
	c := newClient(t, nil, b)
	lever := leverOf(t, c)
	first := make(chan error, 1)
	go func() { first <- c.Write(t.Context(), lever, exporting.PhaseSoftPaused) }()
	<-arrived
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, c.Write(ctx, lever, exporting.PhasePaused), "another write to it is under way")
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	wantPosts(t, b, "POST /partitions/softPauseExporting")
}

// TestWriteLearns810 proves that a broker which was upgraded unnoticed is driven in its new way after a refusal.
func TestWriteLearns810(t *testing.T) {
	b := newFakeBroker(t).old("EXPORTING")
	c := newClient(t, nil, b)
	lever := leverOf(t, c)
	b.new810("EXPORTING")
	wantError(t, c.Write(t.Context(), lever, exporting.PhaseExporting), "it is 8.10 or later", "ask again")
	topology := topologyOf(t, c)
	want := []exporting.Lever{{ID: clusterLever, Planned: true, SoftToHard: true}}
	if diff := cmp.Diff(want, topology.Levers); diff != "" {
		t.Errorf("levers differ (-want +got):\n%s", diff)
	}
	if version := topology.Brokers[0].Version; version != "8.10+" {
		t.Errorf("the version is %q, want 8.10+", version)
	}
	b.requests()
	if err := c.Write(t.Context(), topology.Levers[0], exporting.PhaseExporting); err != nil {
		t.Fatal(err)
	}
	wantPosts(t, b, "POST /exporting/resume")
}

// TestWriteAgainstVersion proves that a configured version which the broker contradicts is named.
func TestWriteAgainstVersion(t *testing.T) {
	b := newFakeBroker(t).new810("EXPORTING")
	c := newClient(t, func(o *Options) { o.Version = "8.9.3" }, b)
	wantError(t, c.Write(t.Context(), leverOf(t, c), exporting.PhaseExporting), "500", "8.9.3", "zeebe.version")
}
