package gateway

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHealth(t *testing.T) {
	const up, down, out = HealthUp, HealthDown, HealthOutOfService
	groups := []any{"liveness", "readiness"}
	tests := []struct {
		health  Health
		overall HealthStatus
	}{
		{Health{up, up}, up},
		{Health{up, out}, out},
		{Health{up, down}, down},
		{Health{down, up}, down},
		{Health{down, out}, down},
		{Health{out, up}, out},
		{Health{out, down}, down},
	}
	code := func(s HealthStatus) int {
		if s == up {
			return http.StatusOK
		}
		return http.StatusServiceUnavailable
	}
	for _, test := range tests {
		d := openDoor(t, &fake{}, Options{Health: func(context.Context) Health { return test.health }})
		for path, want := range map[string]HealthStatus{
			"/health": test.overall, "/health/liveness": test.health.Liveness, "/health/readiness": test.health.Readiness,
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
