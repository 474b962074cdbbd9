package telemetry

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

func status() *reconcile.Status {
	at := time.UnixMilli(1_795_489_200_500)
	return &reconcile.Status{
		Target: exporting.PhasePaused, Observed: exporting.PhaseMixed, Foreign: true, Stale: errors.New("the disk is full"),
		Holds: []hold.Hold{
			{ID: "backup-1", Phase: exporting.PhaseSoftPaused, Created: at, Expires: at.Add(time.Hour), Record: hold.Continuous{Broken: true}},
			{ID: "operator", Phase: exporting.PhasePaused, Created: at, Settled: at},
		},
	}
}

func clocks() map[string]time.Duration { return map[string]time.Duration{"other": -6 * time.Second} }

const want = `
# HELP exportgate_foreign_pause 1 if exporting is paused although no hold asks for it.
# TYPE exportgate_foreign_pause gauge
exportgate_foreign_pause 1
# HELP exportgate_hold_broken 1 for a live hold under which exporting did not stand still.
# TYPE exportgate_hold_broken gauge
exportgate_hold_broken{hold="backup-1",phase="SOFT_PAUSED"} 1
exportgate_hold_broken{hold="operator",phase="PAUSED"} 0
# HELP exportgate_hold_created_timestamp_seconds When a live hold was placed.
# TYPE exportgate_hold_created_timestamp_seconds gauge
exportgate_hold_created_timestamp_seconds{hold="backup-1",phase="SOFT_PAUSED"} 1.7954892005e+09
exportgate_hold_created_timestamp_seconds{hold="operator",phase="PAUSED"} 1.7954892005e+09
# HELP exportgate_hold_endless 1 for a live hold that never expires.
# TYPE exportgate_hold_endless gauge
exportgate_hold_endless{hold="backup-1",phase="SOFT_PAUSED"} 0
exportgate_hold_endless{hold="operator",phase="PAUSED"} 1
# HELP exportgate_hold_expires_timestamp_seconds When a live hold ends by itself; absent if it never does.
# TYPE exportgate_hold_expires_timestamp_seconds gauge
exportgate_hold_expires_timestamp_seconds{hold="backup-1",phase="SOFT_PAUSED"} 1.7954928005e+09
# HELP exportgate_hold_settled 1 for a live hold that every replica was confirmed to follow.
# TYPE exportgate_hold_settled gauge
exportgate_hold_settled{hold="backup-1",phase="SOFT_PAUSED"} 0
exportgate_hold_settled{hold="operator",phase="PAUSED"} 1
# HELP exportgate_ledger_stale 1 if the ledger of holds cannot be read or written.
# TYPE exportgate_ledger_stale gauge
exportgate_ledger_stale 1
# HELP exportgate_observed_phase 1 for the phase that the replicas showed at the last reads.
# TYPE exportgate_observed_phase gauge
exportgate_observed_phase{phase="CLOSED"} 0
exportgate_observed_phase{phase="EXPORTING"} 0
exportgate_observed_phase{phase="MIXED"} 1
exportgate_observed_phase{phase="PAUSED"} 0
exportgate_observed_phase{phase="SOFT_PAUSED"} 0
exportgate_observed_phase{phase="UNKNOWN"} 0
# HELP exportgate_server_clock_ahead_seconds How far the clock of another server over the same ledger is ahead of this one's.
# TYPE exportgate_server_clock_ahead_seconds gauge
exportgate_server_clock_ahead_seconds{server="other"} -6
# HELP exportgate_settled 1 if every replica is confirmed in the target phase.
# TYPE exportgate_settled gauge
exportgate_settled 0
# HELP exportgate_target_phase 1 for the phase that the live holds add up to.
# TYPE exportgate_target_phase gauge
exportgate_target_phase{phase="EXPORTING"} 0
exportgate_target_phase{phase="PAUSED"} 1
exportgate_target_phase{phase="SOFT_PAUSED"} 0
`

func TestMetrics(t *testing.T) {
	c := newCollector(Options{Status: status, Clocks: clocks})
	if err := testutil.CollectAndCompare(c, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	problems, err := testutil.CollectAndLint(c)
	if err != nil || len(problems) > 0 {
		t.Errorf("error %v, problems %v", err, problems)
	}
}

// Before the first reads there is nothing to tell, and that is no error.
func TestNothingIsKnownYet(t *testing.T) {
	h, err := New(Options{
		Status: func() *reconcile.Status { return nil }, Clocks: func() map[string]time.Duration { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if w.Code != http.StatusOK || strings.Contains(w.Body.String(), "exportgate_") {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

func TestFormats(t *testing.T) {
	h, err := New(Options{Status: status, Clocks: clocks})
	if err != nil {
		t.Fatal(err)
	}
	for accept, media := range map[string]string{
		"": "text/plain", "text/plain": "text/plain", "application/openmetrics-text; version=1.0.0": "application/openmetrics-text",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || !strings.HasPrefix(got, media) {
			t.Errorf("Accept %q: %d %s", accept, w.Code, got)
		}
	}
}
