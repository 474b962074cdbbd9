package telemetry_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/exportgate/exportgate/server/internal/reconcile"
	"github.com/exportgate/exportgate/server/internal/telemetry"
)

// scrape is what a Prometheus would read.
func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// series are the lines of a scrape whose names begin with one of these, without those that say 0.
func series(t *testing.T, m *telemetry.Metrics, prefixes ...string) string {
	t.Helper()
	var found strings.Builder
	lines := bufio.NewScanner(strings.NewReader(scrape(t, m)))
	for lines.Scan() {
		for _, prefix := range prefixes {
			if strings.HasPrefix(lines.Text(), "exportgate_"+prefix) && !strings.HasSuffix(lines.Text(), " 0") {
				found.WriteString(lines.Text() + "\n")
			}
		}
	}
	return found.String()
}

func TestStatus(t *testing.T) {
	const want = `exportgate_broker_info{broker="0",version="8.9.3"} 1
exportgate_broker_info{broker="1",version=""} 1
exportgate_broker_up{broker="0"} 1
exportgate_brokers_read_timestamp_seconds 1.7954892005e+09
exportgate_expected_replicas 2
exportgate_exporter_lag_records{partition="1",tenant=""} 42
exportgate_foreign_pause 1
exportgate_hold_broken{hold="backup-1",phase="SOFT_PAUSED"} 1
exportgate_hold_created_timestamp_seconds{hold="backup-1",phase="SOFT_PAUSED"} 1.7954892005e+09
exportgate_hold_created_timestamp_seconds{hold="operator",phase="PAUSED"} 1.7954892005e+09
exportgate_hold_endless{hold="operator",phase="PAUSED"} 1
exportgate_hold_expires_timestamp_seconds{hold="backup-1",phase="SOFT_PAUSED"} 1.7954928005e+09
exportgate_hold_renewed_timestamp_seconds{hold="backup-1",phase="SOFT_PAUSED"} 1.7954892605e+09
exportgate_hold_renewed_timestamp_seconds{hold="operator",phase="PAUSED"} 1.7954892005e+09
exportgate_hold_settled{hold="operator",phase="PAUSED"} 1
exportgate_holds 2
exportgate_holds_limit 100
exportgate_ledger_stale 1
exportgate_observed_phase{phase="MIXED"} 1
exportgate_partition_stalled{partition="1",tenant="blue"} 1
exportgate_replicas{phase="EXPORTING"} 1
exportgate_replicas{phase="PAUSED"} 1
exportgate_replicas{phase="UNKNOWN"} 1
exportgate_target_phase{phase="PAUSED"} 1
exportgate_topology_up 1
exportgate_unsettled_replicas 1
`
	got := series(t, everything(t), "broker_info", "broker_up", "brokers_read", "expected", "exporter", "foreign", "hold_b", "hold_c", "hold_e", "hold_r",
		"hold_settled", "holds ", "holds_limit", "ledger", "observed", "partition", "replicas", "settled", "target", "topology", "unsettled")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParts(t *testing.T) {
	const want = `exportgate_audit_up 1
exportgate_broker_disk_free_bytes{broker="0"} 5e+09
exportgate_broker_disk_low{broker="0"} 1
exportgate_broker_disk_measured{broker="0"} 1
exportgate_broker_disk_measured_timestamp_seconds{broker="0"} 1.7954892005e+09
exportgate_broker_disk_total_bytes{broker="0"} 1e+11
exportgate_certificate_not_after_timestamp_seconds{use="server"} 1.7954928005e+09
exportgate_certificate_not_before_timestamp_seconds{use="server"} 1.7954892005e+09
exportgate_certificate_reload_failed{use="etcd"} 1
exportgate_connections{door="grpc"} 1
exportgate_connections{door="http"} 3
exportgate_disk_guard{policy="warn"} 1
exportgate_drives 1
exportgate_identity_provider_keys{issuer="https://issuer.example.org"} 2
exportgate_identity_provider_up{issuer="https://issuer.example.org"} 1
exportgate_server_clock_ahead_seconds{server="other"} -6
exportgate_term 7
exportgate_tokens_reload_failed 1
exportgate_trust_not_after_timestamp_seconds{use="etcd"} 1.7954892005e+09
exportgate_trust_not_after_timestamp_seconds{use="server"} 1.7954964005e+09
`
	got := series(t, everything(t), "audit_up", "broker_disk", "certificate", "connections{", "disk_guard", "drives", "identity", "server",
		"term", "tokens", "trust")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What nobody knows is left out, not told as 0, and a server that is alone drives.
func TestNothingIsKnownYet(t *testing.T) {
	m, err := telemetry.New(telemetry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Expose(telemetry.Sources{Status: func() *reconcile.Status { return nil }}); err != nil {
		t.Fatal(err)
	}
	page := scrape(t, m)
	for _, absent := range []string{
		"_phase", "settled ", "hold_c", "holds ", "topology", "broker_", "certificate", "tokens", "identity", "audit_up", "term ",
	} {
		if strings.Contains(page, "\nexportgate_"+absent) {
			t.Errorf("%s is told:\n%s", absent, page)
		}
	}
	if !strings.Contains(page, "\nexportgate_drives 1\n") {
		t.Error("nobody drives")
	}
	if err := m.Expose(sources()); err == nil {
		t.Error("it can be exposed twice")
	}
}

// Before the cluster was seen for the first time there is a ledger all the same.
func TestNothingIsReadYet(t *testing.T) {
	m, err := telemetry.New(telemetry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	unread := func() *reconcile.Status {
		s := status()
		s.View.Topology = nil
		return s
	}
	if err := m.Expose(telemetry.Sources{Status: unread}); err != nil {
		t.Fatal(err)
	}
	page := scrape(t, m)
	if !strings.Contains(page, "exportgate_holds 2") || !strings.Contains(page, "exportgate_topology_up 0") ||
		strings.Contains(page, "exportgate_broker_up") {
		t.Error(page)
	}
}

// A broker, or another server, may say anything: a series that cannot be told does not hide the others.
func TestOddSources(t *testing.T) {
	odd := sources()
	odd.Clocks = func() map[string]time.Duration {
		return map[string]time.Duration{"a\xff": time.Second, "a\xfe": 2 * time.Second, "b\n\"": time.Second}
	}
	m, err := telemetry.New(telemetry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Expose(odd); err != nil {
		t.Fatal(err)
	}
	got := series(t, m, "holds ", "server_clock")
	if !strings.Contains(got, "exportgate_holds 2\n") || !strings.Contains(got, `{server="b\n\""} 1`) ||
		strings.Count(got, "server_clock") != 2 {
		t.Error(got)
	}
}

func TestFormats(t *testing.T) {
	m := everything(t)
	for accept, media := range map[string]string{
		"": "text/plain", "text/plain": "text/plain", "application/openmetrics-text; version=1.0.0": "application/openmetrics-text",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, r)
		if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || !strings.HasPrefix(got, media) {
			t.Errorf("Accept %q: %d %s", accept, w.Code, got)
		}
	}
}

// Prometheus' own conventions for names, units and help.
func TestConventions(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(scrape(t, everything(t)))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("error %v, problems %v", err, problems)
	}
}
