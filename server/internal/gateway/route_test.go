package gateway

import (
	"bytes"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// paths are all that there are, below the base path, with the methods that they take, the first being what they are for.
func paths() map[string][]string {
	read, write := []string{http.MethodGet, http.MethodHead}, []string{http.MethodPost}
	return map[string][]string{
		"": read, "/health": read, "/health/liveness": read, "/health/readiness": read, "/health/startup": read,
		"/health/ping": read, "/info": read, "/prometheus": read, "/openapi": read, "/openapi/ui": read, "/loggers": read,
		"/loggers/ROOT": {http.MethodGet, http.MethodHead, http.MethodPost},
		"/exporting":    read, "/exporting/pause": write, "/exporting/resume": write, "/exporting/watch": {http.MethodGet},
	}
}

// TestEveryMethodHasARoute proves that the map of routes and the generated routes hold the whole service.
func TestEveryMethodHasARoute(t *testing.T) {
	service := &fake{}
	d := openDoor(t, service, Options{})
	for path, methods := range paths() {
		if isExporting(path) {
			send(t, methods[0], d.url+path, nil)
		}
	}
	want := exportgatev1.File_exportgate_v1_exporting_service_proto.Services().ByName("ExportingService").Methods().Len()
	if got := len(service.requests()); got != want {
		t.Errorf("%d calls reached the service, which has %d methods", got, want)
	}
}

func TestMethods(t *testing.T) {
	service := &fake{}
	d := openDoor(t, service, Options{BasePath: "/actuator"})
	for path, taken := range paths() {
		allow := strings.Join(append(slices.Clone(taken), http.MethodOptions), ", ")
		for _, slash := range []string{"", "/"} {
			url := d.url + "/actuator" + path + slash
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"} {
				got := send(t, method, url, nil)
				want := http.StatusMethodNotAllowed
				switch {
				case method == http.MethodOptions:
					want = http.StatusNoContent
				case method == http.MethodPost && strings.HasPrefix(path, "/loggers/"):
					want = http.StatusBadRequest // without a body
				case slices.Contains(taken, method):
					want = http.StatusOK
				}
				if got.code != want {
					t.Errorf("%s %s answered %d, want %d", method, path+slash, got.code, want)
				}
				if allowed := got.header.Get("Allow"); want != http.StatusOK && want != http.StatusBadRequest && allowed != allow {
					t.Errorf("%s %s: Allow is %q, want %q", method, path+slash, allowed, allow)
				}
				if method == http.MethodHead && got.body != "" {
					t.Errorf("HEAD %s has the body %q", path+slash, got.body)
				}
			}
		}
	}
	// GET and HEAD of the status, one POST each of the two others, GET of the stream, all with and without the slash.
	if n := len(service.requests()); n != 2*(2+1+1+1) {
		t.Errorf("%d requests reached the service, want those that were answered with 200", n)
	}
}

// TestUnknownPaths proves that a path that is not quite one of ours leads nowhere, and never to a redirect.
func TestUnknownPaths(t *testing.T) {
	const envelopes, boot = true, false
	tests := []struct {
		path string
		form bool
	}{
		{"/actuator/exporting/softPause", envelopes},
		{"/actuator/exporting/foo", envelopes},
		{"/actuator/exporting/Pause", envelopes},
		{"/actuator/exporting/pause/now", envelopes},
		{"/actuator/exporting/pause//", envelopes},
		{"/actuator/exporting//pause", envelopes},
		{"/actuator/exporting/../exporting/pause", envelopes},
		{"/actuator/exporting/./pause", envelopes},
		{"/actuator/exporting/%70ause", envelopes},
		{"/actuator/exporting%2Fpause", boot},
		{"/actuator/exporting/pause%2F", envelopes},
		{"/actuator/exporting/pause:now", envelopes},
		{"/actuator//exporting/pause", boot},
		{"//actuator/exporting/pause", boot},
		{"/actuator/exportings", boot},
		{"/actuator/health/db/x", boot},
		{"/actuator/health//", boot},
		{"/actuator/health/*/", boot},
		{"/actuator/loggers/a/b", boot},
		{"/actuator/partitions", boot},
		{"/actuators/exporting/pause", boot},
		{"/exporting/pause", boot},
		{"/Actuator/exporting/pause", boot},
		{"/", boot},
		{"/index.html", boot},
	}
	service := &fake{}
	d := openDoor(t, service, Options{BasePath: "/actuator"})
	for _, test := range tests {
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			t.Run(method+" "+test.path, func(t *testing.T) {
				got := send(t, method, d.url+test.path, nil)
				if got.code != http.StatusNotFound || got.header.Get("Location") != "" {
					t.Fatalf("answer is %d to %q, want 404", got.code, got.header.Get("Location"))
				}
				body := decode(t, got.body)
				if body["status"] != 404.0 {
					t.Errorf("body has the status %v", body["status"])
				}
				if !strings.Contains(got.body, "/actuator/") && !strings.Contains(got.body, "GET /actuator") {
					t.Errorf("body %s does not say where the endpoints are", got.body)
				}
				if test.form == envelopes {
					failure, _ := body["error"].(map[string]any)
					if failure["code"] != 12.0 {
						t.Errorf("error is %v, want UNIMPLEMENTED", failure)
					}
					return
				}
				when, _ := body["timestamp"].(string)
				if _, err := time.Parse(time.RFC3339Nano, when); err != nil {
					t.Error(err)
				}
				if body["error"] != "Not Found" || body["path"] == "" || body["message"] == "" {
					t.Errorf("body is %s, want Spring Boot's form", got.body)
				}
			})
		}
	}
	if n := len(service.requests()); n > 0 {
		t.Errorf("%d of these requests reached the service", n)
	}
}

// TestTricksOfGateways proves that nothing turns one method into another.
func TestTricksOfGateways(t *testing.T) {
	service := &fake{}
	d := openDoor(t, service, Options{})
	tests := []struct {
		method, path string
		headers      []string
	}{
		{http.MethodPost, "/exporting", []string{"X-HTTP-Method-Override", "GET"}},
		{http.MethodPost, "/exporting", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{http.MethodGet, "/exporting/pause", []string{"X-HTTP-Method-Override", "POST"}},
	}
	for _, test := range tests {
		if got := send(t, test.method, d.url+test.path, nil, test.headers...); got.code != http.StatusMethodNotAllowed {
			t.Errorf("%s %s with %v answered %d, want 405", test.method, test.path, test.headers, got.code)
		}
	}
	if n := len(service.requests()); n > 0 {
		t.Errorf("%d of these requests reached the service", n)
	}
}

// TestBasePaths proves that base paths work, also several in a process.
func TestBasePaths(t *testing.T) {
	tests := []struct{ base, prefix, elsewhere string }{
		{"/actuator", "/actuator", "/exporting"},
		{"/actuator/", "/actuator", "/exporting"},
		{"/orchestration/actuator", "/orchestration/actuator", "/actuator/exporting"},
		{"/m", "/m", "/actuator/exporting"},
		{"", "", "/actuator/exporting"},
		{"/", "", "/actuator/exporting"},
	}
	doors := make([]*door, len(tests))
	for i, test := range tests {
		doors[i] = openDoor(t, &fake{}, Options{BasePath: test.base})
	}
	for i, test := range tests {
		t.Run(test.base, func(t *testing.T) {
			got := map[string]int{}
			for path, methods := range paths() {
				got[path] = send(t, methods[0], doors[i].url+test.prefix+path, nil).code
			}
			want := map[string]int{}
			for path := range paths() {
				want[path] = http.StatusOK
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			if code := send(t, http.MethodGet, doors[i].url+test.elsewhere, nil).code; code != http.StatusNotFound {
				t.Errorf("GET %s answered %d, want 404", test.elsewhere, code)
			}
		})
	}
}

// TestRefusalsAreLogged proves that a refusal leaves a line at debug, and a call none.
func TestRefusalsAreLogged(t *testing.T) {
	var log bytes.Buffer
	d := openDoor(t, &fake{}, Options{
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	send(t, http.MethodPost, d.url+"/exporting/pause", nil)
	send(t, http.MethodPost, d.url+"/exporting/pause?soff=true", nil)
	if err := d.server.Close(); err != nil {
		t.Fatal(err)
	}
	got := log.String()
	if strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=DEBUG") || !strings.Contains(got, "status=400") {
		t.Errorf("logged %q, want one line at debug", got)
	}
}

// TestPanicsAreAnswered proves that a bug in what the door calls itself is answered and logged.
func TestPanicsAreAnswered(t *testing.T) {
	var log bytes.Buffer
	d := openDoor(t, &fake{}, Options{
		Info:   func() Info { panic("a bug") },
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	got := send(t, http.MethodGet, d.url+"/info", nil)
	if got.code != http.StatusInternalServerError || strings.Contains(got.body, "a bug") {
		t.Errorf("answer is %d %s, want 500 that tells nothing", got.code, got.body)
	}
	if !strings.Contains(log.String(), "a bug") || !strings.Contains(log.String(), "serveInfo") {
		t.Errorf("logged %q, want the panic and its stack", log.String())
	}
}
