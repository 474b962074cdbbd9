package servertest_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// awaitMessage reads a watch until a message is the one that is waited for, and returns it, and the events up to it.
func (t try) awaitMessage(watch *servertest.Watch, is func(*exportgatev1.WatchStatusResponse) bool) (
	message *exportgatev1.WatchStatusResponse, events []*exportgatev1.Event,
) {
	t.Helper()
	for {
		m, o := watch.Next()
		if !o.OK() || m == nil {
			t.Fatalf("the stream ended with %v", o)
		}
		events = append(events, m.GetEvents()...)
		if is(m) {
			return m, events
		}
	}
}

// shows is a message with a status that is settled in a phase.
func shows(phase embedded.Phase) func(*exportgatev1.WatchStatusResponse) bool {
	return func(m *exportgatev1.WatchStatusResponse) bool {
		s := m.GetStatus()
		return s.GetSettled() && s.GetTarget() == phaseOf(phase) && s.GetObserved() == phaseOf(phase)
	}
}

// kinds are the kinds of events of a hold, in order.
func kinds(events []*exportgatev1.Event, id string) []exportgatev1.EventKind {
	var of []exportgatev1.EventKind
	for _, e := range events {
		if e.GetHold() == id {
			of = append(of, e.GetKind())
		}
	}
	return of
}

// everyForm tries something through every form of stream.
func everyForm(t *testing.T, run func(try, servertest.Form)) {
	t.Helper()
	for _, form := range servertest.Forms() {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			run(try{t, "8.9", servertest.GRPC}, form)
		})
	}
}

// A stream begins with the status as it is, and then has every change and every event, once, in order. One that breaks off
// goes on from its cursor with no gap.
func TestWatch(t *testing.T) {
	t.Parallel()
	const (
		placed  = exportgatev1.EventKind_EVENT_KIND_HOLD_PLACED
		settled = exportgatev1.EventKind_EVENT_KIND_HOLD_SETTLED
		ended   = exportgatev1.EventKind_EVENT_KIND_HOLD_ENDED
	)
	everyForm(t, func(t try, form servertest.Form) {
		h, route := t.start(embedded.Options{})
		t.awaitQuiet(h, embedded.Exporting)
		watch := h.Watch(t, form, "")
		first, o := watch.Next()
		if !o.OK() || !shows(embedded.Exporting)(first) || first.GetMissedEvents() || first.GetCursor() == "" {
			t.Fatalf("the first message is %v, %v", first, o)
		}
		if len(first.GetStatus().GetPartitions()) != 3 || len(first.GetStatus().GetEvents()) > 0 {
			t.Errorf("the first message's status is %v", first.GetStatus())
		}

		pause := place("backup-1", embedded.SoftPaused)
		pause.Reason = "nightly"
		backup := route.Pause(t.Context(), pause)
		t.expectSuccess(h, backup, embedded.SoftPaused)
		paused, events := t.awaitMessage(watch, shows(embedded.SoftPaused))
		if got := names(paused.GetStatus().GetHolds()); got != names([]*exportgatev1.Hold{backup.Hold}) {
			t.Errorf("the message has the holds %s, want %v", got, backup.Hold)
		}
		if got := kinds(events, "backup-1"); !slices.Equal(got, []exportgatev1.EventKind{placed, settled}) {
			t.Errorf("the pause's events are %v", events)
		}

		watch.Stop()
		t.expectSuccess(h, route.Resume(t.Context(), release("backup-1")), embedded.Exporting)
		t.expectSuccess(h, route.Pause(t.Context(), place("backup-2", embedded.SoftPaused)), embedded.SoftPaused)
		again, o := h.Watch(t, form, paused.GetCursor()).Next()
		if !o.OK() || again.GetMissedEvents() || !slices.Equal(kinds(again.GetEvents(), "backup-1"), []exportgatev1.EventKind{ended}) ||
			!slices.Equal(kinds(again.GetEvents(), "backup-2"), []exportgatev1.EventKind{placed, settled}) {
			t.Errorf("the stream goes on with %v, %v", again, o)
		}
		if !slices.ContainsFunc(again.GetStatus().GetHolds(), func(h *exportgatev1.Hold) bool { return h.GetId() == "backup-2" }) {
			t.Errorf("and with the holds %v", again.GetStatus().GetHolds())
		}

		strange, o := h.Watch(t, form, "elsewhere.7").Next()
		if !o.OK() || !strange.GetMissedEvents() || len(kinds(strange.GetEvents(), "backup-1")) != 3 {
			t.Errorf("with a cursor of nobody's the stream begins with %v, %v", strange, o)
		}
		if whole, o := h.Watch(t, form, "").Next(); !o.OK() || whole.GetMissedEvents() || len(kinds(whole.GetEvents(), "backup-1")) != 3 {
			t.Errorf("without a cursor the stream begins with %v, %v", whole, o)
		}
	})
}

// A server that was restarted knows nothing of the other's events, and says so, but has its holds.
func TestWatchGoesOnAtAnotherServer(t *testing.T) {
	t.Parallel()
	everyForm(t, func(t try, form servertest.Form) {
		h, route := t.start(embedded.Options{})
		backup := route.Pause(t.Context(), place("backup-1", embedded.SoftPaused))
		t.expectSuccess(h, backup, embedded.SoftPaused)
		watch := h.Watch(t, form, "")
		before, _ := t.awaitMessage(watch, shows(embedded.SoftPaused))
		h.Restart(t)
		after, o := h.Watch(t, form, before.GetCursor()).Next()
		if !o.OK() || !after.GetMissedEvents() || names(after.GetStatus().GetHolds()) != names([]*exportgatev1.Hold{backup.Hold}) {
			t.Errorf("the stream goes on with %v, %v", after, o)
		}
	})
}

// A stream that its server ends says so, and does not keep it.
func TestStopEndsStreams(t *testing.T) {
	t.Parallel()
	everyForm(t, func(t try, form servertest.Form) {
		h, _ := t.start(embedded.Options{})
		watch := h.Watch(t, form, "")
		t.awaitMessage(watch, shows(embedded.Exporting))
		began := time.Now()
		if err := h.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		if took := time.Since(began); took > 10*time.Second { // The harness gives calls in flight 20s.
			t.Errorf("the stream kept the server for %v", took)
		}
		var o servertest.Outcome
		for o.OK() {
			_, o = watch.Next()
		}
		if o.Code != codes.Unavailable || o.Reason != stopping || !strings.Contains(o.Message, "shutting down") {
			t.Errorf("the stream ended with %v", o)
		}
	})
}

// A client that does not read holds up neither those who do, nor calls, nor the server's end.
func TestWatchThatNobodyReads(t *testing.T) {
	t.Parallel()
	for _, form := range servertest.Forms() {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			try{t, "8.9", servertest.GRPC}.nobodyReads(form)
		})
	}
}

func (t try) nobodyReads(form servertest.Form) {
	// A status of so many replicas soon fills what a client may be sent unread.
	h, route := t.start(embedded.Options{Partitions: 20, ApplyDelay: -1}, map[string]string{"server.shutdown-timeout": "1m"})
	slow, deaf, reads := h.Watch(t, form, ""), h.Watch(t, form, ""), h.Watch(t, form, "")
	defer deaf.Stop()
	for range 4 {
		t.expectSuccess(h, route.Pause(t.Context(), soft()), embedded.SoftPaused)
		t.awaitMessage(reads, shows(embedded.SoftPaused))
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
		t.awaitMessage(reads, shows(embedded.Exporting))
	}
	ended := len(t.status(h).GetHistory())
	t.awaitMessage(slow, func(m *exportgatev1.WatchStatusResponse) bool { // It gets old ones at first, and then the last.
		return shows(embedded.Exporting)(m) && len(m.GetStatus().GetHistory()) == ended
	})
	began := time.Now()
	if err := h.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("a stream that nobody reads kept the server for %v", took)
	}
}
