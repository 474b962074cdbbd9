package gateway

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLinks(t *testing.T) {
	for _, base := range []string{"/actuator", ""} {
		d := openDoor(t, &fake{}, Options{BasePath: base})
		root := d.url + base
		want := map[string]any{"_links": map[string]any{
			"self":                   map[string]any{"href": root, "templated": false},
			"exporting":              map[string]any{"href": root + "/exporting", "templated": false},
			"exporting-operationKey": map[string]any{"href": root + "/exporting/{operationKey}", "templated": true},
			"exporting-watch":        map[string]any{"href": root + "/exporting/watch", "templated": false},
			"health":                 map[string]any{"href": root + "/health", "templated": false},
			"health-path":            map[string]any{"href": root + "/health/{*path}", "templated": true},
			"info":                   map[string]any{"href": root + "/info", "templated": false},
			"loggers":                map[string]any{"href": root + "/loggers", "templated": false},
			"loggers-name":           map[string]any{"href": root + "/loggers/{name}", "templated": true},
			"openapi":                map[string]any{"href": root + "/openapi", "templated": false},
			"openapi-ui":             map[string]any{"href": root + "/openapi/ui", "templated": false},
			"prometheus":             map[string]any{"href": root + "/prometheus", "templated": false},
		}}
		for _, slash := range []string{"", "/"} {
			got := send(t, http.MethodGet, root+slash, nil)
			if diff := cmp.Diff(want, decode(t, got.body)); diff != "" {
				t.Errorf("GET %s (-want +got):\n%s", base+slash, diff)
			}
		}
	}
}

func TestLinksOverTLS(t *testing.T) {
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.TLS, r.Host = &tls.ConnectionState{}, "exportgate.example:9600"
	(&handler{base: "/actuator"}).serveLinks(w, r)
	if !strings.Contains(w.Body.String(), `"https://exportgate.example:9600/actuator/exporting"`) {
		t.Errorf("links are %s, want https ones", w.Body)
	}
}

// Metrics keep the media type that they have, which is no JSON.
func TestMetrics(t *testing.T) {
	d := openDoor(t, &fake{}, Options{Metrics: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = w.Write([]byte("for " + r.Header.Get("Accept")))
	})})
	got := send(t, http.MethodGet, d.url+"/prometheus", nil, "Accept", "application/openmetrics-text")
	if got.code != http.StatusOK || got.body != "for application/openmetrics-text" ||
		!strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
		t.Errorf("got %+v", got)
	}
	if got := send(t, http.MethodPost, d.url+"/prometheus", nil); got.code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", got.code)
	}
}

func TestInfo(t *testing.T) {
	tests := []struct {
		info Info
		want string
	}{
		{Info{}, `{"build": {"name": "exportgate", "version": ""}, "schema": {"api": "exportgate.v1"}, "zeebe": {"versions": []}}`},
		{
			Info{Version: "v1.2.3", Commit: "abc", LedgerVersion: 1, ZeebeVersions: []string{"8.8.2", "8.9.0"}},
			`{"build": {"name": "exportgate", "version": "v1.2.3", "commit": "abc"}, "schema": {"api": "exportgate.v1", "ledger": 1},
				"zeebe": {"versions": ["8.8.2", "8.9.0"]}}`,
		},
	}
	for _, test := range tests {
		d := openDoor(t, &fake{}, Options{Info: func() Info { return test.info }})
		got := send(t, http.MethodGet, d.url+"/info", nil)
		want := decode(t, test.want)
		want["go"] = map[string]any{"version": runtime.Version()}
		if diff := cmp.Diff(want, decode(t, got.body)); diff != "" {
			t.Errorf("info (-want +got):\n%s", diff)
		}
	}
}
