package prometheus_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/exportgate/exportgate/server/servertest"

	"github.com/exportgate/exportgate/server/servertest/peers"
)

// build makes the program as it is delivered.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "exportgate")
	command := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/exportgate")
	command.Dir = root
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("the program does not build: %v\n%s", err, output)
	}
	return path
}

// dev is `exportgate dev`, as `make run` starts it, but for its ports.
type dev struct {
	*peers.Process

	program             string
	http, grpc, trouble string // addresses
}

func startDev(t *testing.T, program string, args ...string) *dev {
	t.Helper()
	d := &dev{program: program, Process: peers.Start(t, program, append([]string{
		"dev", "--server.port=0", "--grpc.port=0", "--control-address=127.0.0.1:0",
	}, args...)...)}
	d.http = d.Says(t, `(?m)^  HTTP +http://([^/]+)/actuator/exporting$`)[1]
	d.grpc = d.Says(t, `(?m)^  gRPC +(\S+)$`)[1]
	d.trouble = d.Says(t, `(?m)^  trouble +http://([^/]+)/`)[1]
	return d
}

// command runs the program as somebody on call does.
func (d *dev) command(t *testing.T, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), d.program, append(args, "--server", d.grpc)...)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("exportgate %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

// pauseBehind pauses at the brokers themselves, as somebody does who knows nothing of Exportgate.
func (d *dev) pauseBehind(t *testing.T) {
	t.Helper()
	state := get(t, "http://"+d.trouble+"/")
	brokers := regexp.MustCompile(`(?m)^broker \d.* (http://\S+)`).FindAllStringSubmatch(state, -1)
	if len(brokers) != 3 {
		t.Fatalf("%d brokers in\n%s", len(brokers), state)
	}
	for _, broker := range brokers {
		post(t, broker[1]+"/partitions/pauseExporting")
	}
}

// server is a real Prometheus.
type server struct {
	*peers.Process

	api string
}

// startPrometheus follows the README: its own commands shorten the alerts and write the configuration, but in a directory of
// the test's and for the server's true address.
func startPrometheus(t *testing.T, target string) *server {
	t.Helper()
	path := peers.Program(t, "prometheus", "prometheus")
	readme, err := os.ReadFile(deployed + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`(?ms)^sed .*^END$`).FindString(string(readme))
	if !strings.Contains(commands, "cat > ") {
		t.Fatal("the README has no commands to try the alerts with any more")
	}
	dir := t.TempDir()
	commands = strings.NewReplacer("/tmp/", dir+"/", "localhost:9600", target, "deploy/prometheus/", deployed).Replace(commands)
	if output, err := exec.CommandContext(t.Context(), "sh", "-euc", commands).CombinedOutput(); err != nil {
		t.Fatalf("%s\n%v\n%s", commands, err, output)
	}
	p := &server{Process: peers.Start(t, path, "--config.file="+dir+"/prometheus.yml", "--storage.tsdb.path="+dir+"/data",
		"--web.listen-address=127.0.0.1:0")}
	p.api = "http://" + p.Says(t, `msg="Listening on" address=(\S+)`)[1] + "/api/v1"
	p.Says(t, "Server is ready to receive web requests")
	return p
}

// ask asks the API for data.
func ask[T any](t *testing.T, p *server, path string) T {
	t.Helper()
	var answer struct {
		Status string
		Data   T
	}
	if err := json.Unmarshal([]byte(get(t, p.api+path)), &answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s: %q, %v", path, answer.Status, err)
	}
	return answer.Data
}

// firing are the names of the alerts that fire, in order.
func (p *server) firing(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, alert := range ask[struct {
		Alerts []struct {
			Labels map[string]string
			State  string
		}
	}](t, p, "/alerts").Alerts {
		if alert.State == "firing" {
			names = append(names, alert.Labels["alertname"])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// awaitFiring waits until these alerts fire, and no others.
func (p *server) awaitFiring(t *testing.T, when string, want ...string) {
	t.Helper()
	var got []string
	servertest.Await(t, fmt.Sprintf("%s: %v fire", when, want), func() bool {
		now := p.firing(t)
		if !slices.Equal(now, got) {
			t.Logf("%s: %v fire", when, now)
		}
		got = now
		return slices.Equal(got, want)
	})
}

// A real Prometheus scrapes what `make run` starts, and the alerts fire when something is wrong and resolve when it is right
// again.
func TestAlerts(t *testing.T) {
	t.Parallel()
	program := build(t)
	d := startDev(t, program, "--audit.path="+filepath.Join(t.TempDir(), "audit.log"))
	p := startPrometheus(t, d.http)
	servertest.Await(t, "a scrape", func() bool {
		targets := ask[struct {
			ActiveTargets []struct{ Health, LastError string }
		}](t, p, "/targets").ActiveTargets
		if len(targets) == 1 && targets[0].LastError != "" {
			t.Fatal(targets[0].LastError)
		}
		return len(targets) == 1 && targets[0].Health == "up"
	})

	d.command(t, "pause")
	p.awaitFiring(t, "after a pause", "ExportingPausedTooLong", "HoldWithoutExpiry")
	t.Run("dashboard", func(t *testing.T) { checkDashboard(t, p) })
	d.command(t, "resume")
	p.awaitFiring(t, "after a resume")

	d.pauseBehind(t)
	p.awaitFiring(t, "after somebody paused at the brokers", "ExportingPausedTooLong", "ForeignPause")
	d.command(t, "resume")
	p.awaitFiring(t, "after that was resumed")

	post(t, "http://"+d.trouble+"/brokers/2/stop")
	p.awaitFiring(t, "without a broker", "BrokerUnreachable")
	post(t, "http://"+d.trouble+"/brokers/2/start")
	p.awaitFiring(t, "with the broker")

	d.End()
	p.awaitFiring(t, "without Exportgate", "ExportgateDown")
}

// checkDashboard asks for what every panel asks for.
func checkDashboard(t *testing.T, p *server) {
	t.Helper()
	content, err := os.ReadFile(root + "/deploy/grafana/exportgate.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		t.Fatal(err)
	}
	// What this server has not got: several of it, certificates, an identity provider, tokens, the disk guard. Nothing failed.
	absent := regexp.MustCompile(`_term|_server_clock|_certificate|_trust|_tokens|_identity|_broker_disk|outcome!="ok"|code!="OK"|_expires_`)
	asked := 0
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			expr := strings.NewReplacer("$job", ".+", "$instance", ".+", "$__rate_interval", "1m").Replace(target.Expr)
			result := ask[struct{ Result []any }](t, p, "/query?query="+url.QueryEscape(expr)).Result
			if len(result) == 0 && !absent.MatchString(expr) {
				t.Errorf("panel %q has nothing to show: %s", panel.Title, expr)
			}
			asked++
		}
	}
	if asked < 40 {
		t.Errorf("only %d queries", asked)
	}
	if jobs := ask[[]string](t, p, "/label/job/values?match[]=exportgate_build_info"); !slices.Equal(jobs, []string{"exportgate"}) {
		t.Errorf("the dashboard's variable may be %v", jobs)
	}
}

// post asks for something to be done.
func post(t *testing.T, url string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	send(t, request)
}
