package telemetry_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What Prometheus itself and the brokers tell, which rules may use.
var foreign = []string{"up", "disk_free_bytes", "disk_total_bytes"}

// What is no metric in an expression, in the order in which it can be taken away: strings, then matchers, durations and lists
// of labels, then functions, and at last the words of PromQL.
var (
	noMetrics = []*regexp.Regexp{
		regexp.MustCompile(`"(?:[^"\\]|\\.)*"`),
		regexp.MustCompile(`\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`),
		regexp.MustCompile(`\w+\s*\(`),
		regexp.MustCompile(`\b(?:and|or|unless|bool|offset)\b|\b[0-9.]+(?:e[0-9]+)?\b`),
	}
	word = regexp.MustCompile(`[a-zA-Z_:][\w:]*`)
)

// metricsOf are the names of the metrics in an expression.
func metricsOf(expr string) []string {
	for _, no := range noMetrics {
		expr = no.ReplaceAllString(expr, " ")
	}
	return word.FindAllString(expr, -1)
}

func TestMetricsOf(t *testing.T) {
	for expr, want := range map[string]string{
		`up{job=~".*a{2}.*"} == 0 or absent(up)`:                                   "up up",
		`max by (job, phase) (a_b:c{x="y"}) / on (job) group_left (z) rate(d[5m])`: "a_b:c d",
		`histogram_quantile(0.95, sum by (le) (rate(e_bucket[$__rate_interval])))`: "e_bucket",
		`predict_linear(f[30m], 4 * 3600) < 1e9 and time() - g unless h2`:          "f g h2",
		`label_values(h{job=~"$job"}, instance)`:                                   "h instance",
	} {
		if got := strings.Join(metricsOf(expr), " "); got != want {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}

// told are the names of all samples that a server can tell.
func told(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^([a-zA-Z_]\w*)[{ ]`).FindAllStringSubmatch(scrape(t, everything(t)), -1) {
		names[line[1]] = true
	}
	return names
}

func checkNames(t *testing.T, told map[string]bool, where, expr string) {
	t.Helper()
	names := metricsOf(expr)
	if len(names) == 0 {
		t.Errorf("%s uses no metric: %s", where, expr)
	}
	for _, name := range names {
		if !told[name] && !slices.Contains(foreign, name) {
			t.Errorf("%s uses %s, which nobody tells: %s", where, name, expr)
		}
	}
}

func deployed(t *testing.T, path ...string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{"..", "..", "..", "deploy"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

type alert struct {
	Alert, Expr         string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []alert }
	}
	if err := yaml.Unmarshal(deployed(t, "prometheus", "exportgate.rules.yml"), &file); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 30 {
		t.Fatalf("only %d alerts", len(all))
	}
	return all
}

// Every alert uses what a server tells, says how bad it is and what to do, leads to the on-call's page, and has tests with its
// true durations.
func TestRules(t *testing.T) {
	told := told(t)
	tests := string(deployed(t, "prometheus", "exportgate.rules.test.yml"))
	seen := map[string]bool{}
	for _, a := range alerts(t) {
		if seen[a.Alert] {
			t.Errorf("%s is there twice", a.Alert)
		}
		seen[a.Alert] = true
		checkNames(t, told, a.Alert, a.Expr)
		if severity := a.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s has severity %q", a.Alert, severity)
		}
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s does not say what is the matter: %v", a.Alert, a.Annotations)
		}
		if !strings.HasSuffix(a.Annotations["runbook_url"], "/docs/operations.md#"+strings.ToLower(a.Alert)) {
			t.Errorf("%s leads to %s", a.Alert, a.Annotations["runbook_url"])
		}
		for _, firing := range []string{"value: 0", "value: [1-9]"} {
			if !regexp.MustCompile(`alertname="` + a.Alert + `".*` + firing).MatchString(tests) {
				t.Errorf("%s is never tested to have %s", a.Alert, firing)
			}
		}
	}
}

type panel struct {
	ID      int
	Type    string
	Title   string
	Targets []struct{ Expr, RefID string }
	GridPos struct{ H, W, X, Y int }
	Panels  []panel
}

// Every panel of the dashboard asks for what a server tells, and has a place of its own.
func TestDashboard(t *testing.T) {
	told := told(t)
	var dashboard struct {
		SchemaVersion int
		Panels        []panel
		Templating    struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal(deployed(t, "grafana", "exportgate.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("panel %q has the id of another, %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				place := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, is := taken[place]; is || place[0] >= 24 {
					t.Fatalf("panel %q lies over %q, or out of the page", p.Title, other)
				}
				taken[place] = p.Title
			}
		}
		if len(p.Targets) == 0 && p.Type != "row" {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			checkNames(t, told, p.Title, target.Expr)
			if !strings.Contains(target.Expr, `{job=~"$job", instance=~"$instance"`) {
				t.Errorf("panel %q does not heed the variables: %s", p.Title, target.Expr)
			}
		}
	}
	var variables []string
	for _, v := range dashboard.Templating.List {
		variables = append(variables, v.Name)
		if metric, _, ok := strings.Cut(strings.TrimPrefix(v.Definition, "label_values("), "{"); ok {
			checkNames(t, told, v.Name, metric)
		}
	}
	if !slices.Equal(variables, []string{"datasource", "job", "instance"}) || len(dashboard.Panels) < 40 {
		t.Errorf("variables %v, %d panels", variables, len(dashboard.Panels))
	}
}
