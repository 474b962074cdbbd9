package gateway

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProbes proves that each group answers for itself alone, and that the whole is as bad as its worst part.
func TestProbes(t *testing.T) {
	const up, unknown, down, out = HealthUp, HealthUnknown, HealthDown, HealthOutOfService
	groups := []any{"liveness", "readiness", "startup"}
	component := func(s HealthStatus) []Component { return []Component{{Name: "brokers", Status: s}} }
	tests := []struct {
		health  Health
		overall HealthStatus
	}{
		{Health{Liveness: up, Readiness: up, Startup: up}, up},
		{Health{Liveness: up, Readiness: up, Startup: down}, up},
		{Health{Liveness: up, Readiness: out, Startup: up}, out},
		{Health{Liveness: up, Readiness: down, Startup: up}, down},
		{Health{Liveness: down, Readiness: up, Startup: up}, down},
		{Health{Liveness: out, Readiness: down, Startup: up}, down},
		{Health{Liveness: up, Readiness: up, Startup: up, Components: component(down)}, down},
		{Health{Liveness: up, Readiness: up, Startup: up, Components: component(out)}, out},
		{Health{Liveness: up, Readiness: up, Startup: up, Components: component(unknown)}, up},
		{Health{Liveness: unknown, Readiness: unknown, Startup: up}, unknown},
		{Health{Liveness: up, Readiness: up, Startup: up, Components: component("BROKEN")}, "BROKEN"},
	}
	code := func(s HealthStatus) int {
		if s == up || s == unknown {
			return http.StatusOK
		}
		return http.StatusServiceUnavailable
	}
	for _, test := range tests {
		d := openDoor(t, &fake{}, Options{Details: DetailsNever, Health: func(context.Context) Health { return test.health }})
		for path, want := range map[string]HealthStatus{
			"/health": test.overall, "/health/liveness": test.health.Liveness, "/health/readiness": test.health.Readiness,
			"/health/startup": test.health.Startup,
		} {
			got := send(t, http.MethodGet, d.url+path, nil)
			body := map[string]any{"status": string(want)}
			if path == "/health" {
				body["groups"] = groups
			}
			if diff := cmp.Diff(body, decode(t, got.body)); got.code != code(want) || diff != "" {
				t.Errorf("%v: GET %s answered %d, want %d (-want +got):\n%s", test.health, path, got.code, code(want), diff)
			}
		}
	}
}

// TestComponents proves who sees them, and that who may not is not told which there are.
func TestComponents(t *testing.T) {
	health := Health{Liveness: HealthUp, Readiness: HealthUp, Components: []Component{
		{Name: "brokers", Status: HealthDown, Details: map[string]any{"0": "no answer"}}, {Name: "store", Status: HealthUp},
	}}
	const hidden = `{"status": "DOWN", "groups": ["liveness", "readiness", "startup"]}`
	const shown = `{"status": "DOWN", "groups": ["liveness", "readiness", "startup"], "components": {
		"brokers": {"status": "DOWN", "details": {"0": "no answer"}}, "store": {"status": "UP"}, "ping": {"status": "UP"}}}`
	tests := []struct {
		details Details
		viewer  bool
		want    string
	}{
		{DetailsNever, true, hidden},
		{DetailsWhenAuthorized, false, hidden},
		{DetailsWhenAuthorized, true, shown},
		{"", false, hidden},
		{"", true, shown},
		{DetailsAlways, false, shown},
	}
	for _, test := range tests {
		asked := make(chan string, 10)
		d := openDoor(t, &fake{}, Options{
			Details: test.details, Health: func(context.Context) Health { return health },
			Allows: func(_ context.Context, operation string) bool {
				asked <- operation
				return test.viewer
			},
		})
		if diff := cmp.Diff(decode(t, test.want), decode(t, send(t, http.MethodGet, d.url+"/health", nil).body)); diff != "" {
			t.Errorf("%s, viewer: %t (-want +got):\n%s", test.details, test.viewer, diff)
		}
		codes := map[string]int{"brokers": 404, "store": 404, "ping": 404, "nothing": 404}
		if test.want == shown {
			codes = map[string]int{"brokers": 503, "store": 200, "ping": 200, "nothing": 404}
		}
		for name, want := range codes {
			if got := send(t, http.MethodGet, d.url+"/health/"+name, nil); got.code != want {
				t.Errorf("%s, viewer: %t: GET /health/%s answered %d, want %d", test.details, test.viewer, name, got.code, want)
			}
		}
		for range len(asked) {
			if operation := <-asked; operation != "/exportgate.v1.ExportingService/GetStatus" {
				t.Errorf("the right that counts is %s", operation)
			}
		}
	}
}
