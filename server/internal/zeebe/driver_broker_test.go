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
			wantError(t, err, "broker 0 ("+b.address()+")", test.says)
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

// TestWriteHardAfterLostSoft proves that a soft pause that never shows is overtaken by a resume before a hard one, and
// that nothing hard follows where that does not clear things up.
func TestWriteHardAfterLostSoft(t *testing.T) {
	for _, test := range []struct {
		name    string
		lose    func(*fakeBroker)
		prepare func(*fakeBroker)
		posts   []string
		unsafe  bool
		says    string
	}{
		{
			name:  "taken and lost",
			posts: []string{"POST /partitions/resumeExporting", "POST /partitions/pauseExporting"},
		},
		{
			name:  "failed half way",
			lose:  func(b *fakeBroker) { b.on("POST /partitions/softPauseExporting", http.StatusInternalServerError, "") },
			posts: []string{"POST /partitions/resumeExporting", "POST /partitions/pauseExporting"},
		},
		{
			name:  "refused",
			lose:  func(b *fakeBroker) { b.on("POST /partitions/softPauseExporting", http.StatusForbidden, "") },
			posts: []string{"POST /partitions/pauseExporting"},
		},
		{
			name:    "shows late",
			prepare: func(b *fakeBroker) { b.shows("SOFT_PAUSED") },
			unsafe:  true,
		},
		{
			name: "shows after the resume",
			prepare: func(b *fakeBroker) {
				b.handle("POST /partitions/resumeExporting", func(w http.ResponseWriter, _ *http.Request) {
					b.shows("SOFT_PAUSED")
					_, _ = w.Write([]byte("{}"))
				})
			},
			posts:  []string{"POST /partitions/resumeExporting"},
			unsafe: true,
		},
		{
			name:    "the resume fails",
			prepare: func(b *fakeBroker) { b.on("POST /partitions/resumeExporting", http.StatusServiceUnavailable, "") },
			posts:   []string{"POST /partitions/resumeExporting"},
			says:    "a soft pause may be on its way and a resume failed",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newFakeBroker(t).old("EXPORTING")
			c := newClient(t, nil, b)
			lever := leverOf(t, c)
			if test.lose != nil {
				test.lose(b)
			}
			if err := c.Write(t.Context(), lever, exporting.PhaseSoftPaused); (err != nil) != (test.lose != nil) {
				t.Fatalf("the soft pause: %v", err)
			}
			b.requests()
			if test.prepare != nil {
				test.prepare(b)
			}
			err := c.Write(t.Context(), lever, exporting.PhasePaused)
			switch {
			case test.unsafe:
				wantUnsafe(t, err, "0")
			case test.says != "":
				wantError(t, err, test.says)
			case err != nil:
				t.Error(err)
			}
			wantPosts(t, b, test.posts...)
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
