package server_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// headings are those of a Markdown document, outside blocks of code.
func headings(document string) [][]string {
	document = regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(document, "")
	return regexp.MustCompile(`(?m)^(#+) (.+)$`).FindAllStringSubmatch(document, -1)
}

// anchor is where GitHub finds a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// anchors are those of a document. A heading that is there twice has only the first.
func anchors(t *testing.T, path string) map[string]bool {
	t.Helper()
	content, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, heading := range headings(string(content)) {
		if found[anchor(heading[2])] {
			t.Errorf("%s has the heading %q twice: links lead to the first", path, heading[2])
		}
		found[anchor(heading[2])] = true
	}
	return found
}

// alertsByGroup are the names of all alerts, in their order, each with what its runbook_url leads to.
func alertsByGroup(t *testing.T) map[string][][2]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "deploy", "prometheus", "exportgate.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert       string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	groups := map[string][][2]string{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			_, leads, _ := strings.Cut(rule.Annotations["runbook_url"], "/docs/operations.md#")
			groups[group.Name] = append(groups[group.Name], [2]string{rule.Alert, leads})
		}
	}
	return groups
}

// TestOperationsHasEveryAlert proves that docs/operations.md has a section for each alert where its runbook_url leads, in the
// order of the rules, and none for an alert that is no more.
func TestOperationsHasEveryAlert(t *testing.T) {
	path := filepath.Join("..", "docs", "operations.md")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	told, group := map[string][][2]string{}, ""
	for _, heading := range headings(string(content)) {
		switch chapter, of := strings.CutPrefix(heading[2], "Alerts: "); {
		case heading[1] == "##" && of:
			group = "exportgate-" + chapter
		case heading[1] == "##":
			group = ""
		case heading[1] == "###" && group != "":
			told[group] = append(told[group], [2]string{heading[2], anchor(heading[2])})
		}
	}
	if diff := cmp.Diff(alertsByGroup(t), told); diff != "" {
		t.Errorf("%s does not tell of the alerts that there are (-rules +page):\n%s", path, diff)
	}
}

// TestOperationsLinks proves that what docs/operations.md leads to is there.
func TestOperationsLinks(t *testing.T) {
	path := filepath.Join("..", "docs", "operations.md")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`\]\(([^)#]*)#?([^)]*)\)`).FindAllStringSubmatch(string(content), -1)
	if len(links) < 10 {
		t.Errorf("only %d links were found", len(links))
	}
	for _, link := range links {
		target := path
		if link[1] != "" {
			target = filepath.Join("..", "docs", link[1])
		}
		if link[2] == "" {
			if _, err := os.Stat(target); err != nil {
				t.Errorf("a link leads to nothing: %v", err)
			}
		} else if !anchors(t, target)[link[2]] {
			t.Errorf("a link leads to %s#%s, which is not there", link[1], link[2])
		}
	}
}
