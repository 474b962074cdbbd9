package prometheus_test

import (
	"errors"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"

	"github.com/exportgate/exportgate/server/servertest/peers"
)

// root is where the checkout begins, and deployed what it has for Prometheus.
const (
	root     = "../../../.."
	deployed = root + "/deploy/prometheus/"
)

// promtool runs Debian's promtool, and fails the test if that is not content.
func promtool(t *testing.T, input string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), peers.Program(t, "prometheus", "promtool"), args...)
	command.Stdin = strings.NewReader(input)
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

// The rules are ones to Prometheus, and each alert fires and resolves after its true durations.
func TestRules(t *testing.T) {
	t.Parallel()
	promtool(t, "", "check", "rules", deployed+"exportgate.rules.yml")
	promtool(t, "", "test", "rules", deployed+"exportgate.rules.test.yml")
}

// What a server tells is right to Prometheus' own linter, after all sorts of things have happened. It reads nothing but the
// text format: OpenMetrics is what the scrapes of [TestAlerts] come in.
func TestMetrics(t *testing.T) {
	t.Parallel()
	h := servertest.Start(t, servertest.Options{Settings: map[string]string{
		"audit.path": filepath.Join(t.TempDir(), "audit.log"), "exporting.guard.min-free-disk": "1%",
		"exporting.guard.disk-path": embedded.DataPath,
	}})
	route := h.Route(t, servertest.GRPC)
	for _, paused := range []*exportgatev1.PauseRequest{{Hold: "backup"}, {}} {
		if got := route.Pause(t.Context(), paused); !got.OK() {
			t.Fatal(got)
		}
	}
	if got := route.Resume(t.Context(), &exportgatev1.ResumeRequest{Hold: "nobody"}); got.OK() {
		t.Fatal(got)
	}
	body := get(t, "http://"+h.Server.HTTPAddr().String()+"/actuator/prometheus")
	if !strings.Contains(body, "exportgate_hold_settled{") {
		t.Errorf("there is no hold in\n%s", body)
	}
	promtool(t, body, "check", "metrics")
}

// get asks for something by HTTP.
func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, request)
}

// send returns what a request that has to succeed is answered with.
func send(t *testing.T, request *http.Request) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err := errors.Join(err, response.Body.Close()); err != nil || response.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s (%v)\n%s", request.Method, request.URL, response.Status, err, body)
	}
	return string(body)
}
