package telemetry_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the table of docs/metrics.md")

// family is a metric as a scrape describes it.
type family struct {
	kind, help string
	labels     []string
}

var (
	described = regexp.MustCompile(`(?m)^# (HELP|TYPE) (exportgate_\w+) (.*)$`)
	sampled   = regexp.MustCompile(`(?m)^(exportgate_\w+)\{(.*)\} \S+$`)
	labelled  = regexp.MustCompile(`(\w+)="(?:[^"\\]|\\.)*"`)
	suffix    = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// families are the metrics of a scrape, by name.
func families(page string) map[string]family {
	found := map[string]family{}
	for _, line := range described.FindAllStringSubmatch(page, -1) {
		f := found[line[2]]
		if line[1] == "HELP" {
			f.help = line[3]
		} else {
			f.kind = line[3]
		}
		found[line[2]] = f
	}
	for _, line := range sampled.FindAllStringSubmatch(page, -1) {
		name := line[1]
		if _, plain := found[name]; !plain {
			name = suffix.ReplaceAllString(name, "")
		}
		f := found[name]
		for _, label := range labelled.FindAllStringSubmatch(line[2], -1) {
			if label[1] != "le" && !slices.Contains(f.labels, label[1]) {
				f.labels = append(f.labels, label[1])
			}
		}
		found[name] = f
	}
	return found
}

// TestDocumentation proves that the table of docs/metrics.md is what a scrape tells. Run with -update to rewrite it.
func TestDocumentation(t *testing.T) {
	const begin, end = "<!-- metrics: begin -->\n", "<!-- metrics: end -->\n"
	path := filepath.Join("..", "..", "..", "docs", "metrics.md")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(content), begin)
	table, tail, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatalf("%s lacks the lines %q and %q", path, begin, end)
	}
	var want strings.Builder
	want.WriteString("| metric | type | labels | what it tells |\n|---|---|---|---|\n")
	found := families(scrape(t, everything(t)))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		f := found[name]
		labels := ""
		if len(f.labels) > 0 {
			labels = "`" + strings.Join(f.labels, "`, `") + "`"
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s |\n", name, f.kind, labels, f.help)
	}
	if len(found) < 50 {
		t.Errorf("a scrape tells only %d metrics: is everything in the fixture?", len(found))
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+want.String()+end+tail), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), table); diff != "" {
		t.Errorf("%s is not what a scrape tells; run this test with -update (-want +got):\n%s", path, diff)
	}
}
