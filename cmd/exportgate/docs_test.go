package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"
)

// example is something to type, as a document has it.
type example struct {
	text string
	// mention is true in the middle of a sentence, where a verb may stand for itself.
	mention bool
}

// What documents have to type: blocks for a shell, and words of a sentence.
var (
	block   = regexp.MustCompile("(?ms)^ *```(\\w*)\n(.*?)^ *```$")
	mention = regexp.MustCompile("`(exportgate\\s[^`]+)`")
	// placeholder is what alerts leave open.
	placeholder = regexp.MustCompile(`\{\{[^}]*\}\}`)
)

// examples are those of one document.
func examples(document string) []example {
	var found []example
	for _, match := range block.FindAllStringSubmatch(document, -1) {
		if match[1] == "sh" {
			found = append(found, example{text: match[2]})
		}
	}
	for _, match := range mention.FindAllStringSubmatch(block.ReplaceAllString(document, ""), -1) {
		text := strings.Join(strings.Fields(placeholder.ReplaceAllString(match[1], "NAME")), " ") // without line breaks
		found = append(found, example{strings.Replace(text, " VERB", " status", 1), true})
	}
	return found
}

// commandLines are the arguments of this program, wherever an example runs it. What is no example for a shell is an error.
func commandLines(text string) ([][]string, error) {
	script, err := syntax.NewParser().Parse(strings.NewReader(text), "")
	if err != nil {
		return nil, err
	}
	var found [][]string
	syntax.Walk(script, func(node syntax.Node) bool {
		call, is := node.(*syntax.CallExpr)
		if !is {
			return true
		}
		var words []string
		for _, word := range call.Args {
			words = append(words, plainText(word.Parts))
		}
		begins := func(i int) bool { // by itself, or as in "go run ./cmd/exportgate" and "kubectl exec pod -- exportgate"
			return filepath.Base(words[i]) == "exportgate" && (i == 0 || words[i-1] == "run" || words[i-1] == "--")
		}
		for i := range words {
			if begins(i) {
				found = append(found, words[i+1:])
				break
			}
		}
		return true
	})
	return found, nil
}

// plainText is a word without its quotes. What the shell would put in is a word that names and durations may be.
func plainText(parts []syntax.WordPart) string {
	var b strings.Builder
	for _, part := range parts {
		switch part := part.(type) {
		case *syntax.Lit:
			b.WriteString(part.Value)
		case *syntax.SglQuoted:
			b.WriteString(part.Value)
		case *syntax.DblQuoted:
			b.WriteString(plainText(part.Parts))
		default:
			b.WriteString("1h")
		}
	}
	return b.String()
}

// accepts tells what is wrong with a command line: verbs, flags, their values, arguments. It runs nothing.
func accepts(args []string, mention bool) error {
	root := newRootCommand(console{})
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if mention && len(rest) == 0 {
		return nil
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// documents are those that tell people what to type.
func documents(t *testing.T) []string {
	t.Helper()
	var paths []string
	for _, pattern := range []string{"*.md", "docs/*.md", "deploy/*/*.md", "deploy/prometheus/exportgate.rules.yml"} {
		matches, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil || len(matches) == 0 {
			t.Fatalf("there is no %s: %v", pattern, err)
		}
		paths = append(paths, matches...)
	}
	return paths
}

// TestDocumentedCommands proves that every example for a shell is one, and that what people are told to type is taken.
func TestDocumentedCommands(t *testing.T) {
	count := 0
	for _, path := range documents(t) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, example := range examples(string(content)) {
			lines, err := commandLines(example.text)
			if err != nil {
				t.Errorf("%s: a shell does not take this: %v\n%s", path, err, example.text)
			}
			count += len(lines)
			for _, args := range lines {
				if err := accepts(args, example.mention); err != nil {
					t.Errorf("%s: exportgate %s: %v", path, strings.Join(args, " "), err)
				}
			}
		}
	}
	if count < 50 {
		t.Errorf("only %d command lines were found: what became of the others?", count)
	}
}

func TestExamples(t *testing.T) {
	document := "Type `exportgate\n  pause --hold {{ $labels.hold }}`, or `exportgate VERB --help`, not `make run`:\n" +
		"```sh\nuid=$(.tmp/exportgate status -o json | jq -r .x) # exportgate dev\n" +
		"exportgate pause --renew \"$uid\" --reason 'a b' && go run ./cmd/exportgate hold a -- exportgate x; ls exportgate\n```\n" +
		"```yaml\nexportgate: resume\n```\n"
	var got []string
	for _, example := range examples(document) {
		lines, err := commandLines(example.text)
		if err != nil {
			t.Error(err)
		}
		for _, args := range lines {
			got = append(got, fmt.Sprintf("%q %t", args, example.mention))
		}
	}
	want := []string{
		`["status" "-o" "json"] false`,
		`["pause" "--renew" "1h" "--reason" "a b"] false`,
		`["hold" "a" "--" "exportgate" "x"] false`,
		`["pause" "--hold" "NAME"] true`,
		`["status" "--help"] true`,
	}
	if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if _, err := commandLines("for"); err == nil {
		t.Error("half a loop is taken for an example")
	}
}

func TestAccepts(t *testing.T) {
	for line, want := range map[string]string{
		"status":                         "",
		"status -o json --history":       "",
		"resume --force":                 "",
		"pause --hold a --ttl 2h --soft": "",
		"hold a --soft -- ./backup.sh":   "",
		"serve --server.port=-1":         "",
		"completion bash":                "",
		"--help":                         "",
		"stauts":                         "unknown command",
		"status --al":                    "unknown flag",
		"status now":                     "takes no arguments",
		"pause --ttl 2":                  "must be a duration",
		"pause --renew a --hold b":       "contradict each other",
		"hold a ./backup.sh":             "hold takes a name",
		"serve --server.prot=1":          "unknown flag",
	} {
		if err := accepts(strings.Fields(line), false); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
	if accepts([]string{"hold"}, true) != nil || accepts([]string{"hold"}, false) == nil {
		t.Error("a verb may be mentioned alone, and not be typed so")
	}
}
