package audit

import (
	"os"
	"strings"
	"testing"
)

// The example of docs/audit.md is a log: it has every kind of line, no field that there is not, and it replays.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "```json\n")
	example, _, _ = strings.Cut(example, "```")
	shown := map[Kind]bool{}
	for _, line := range parse(t, example) {
		shown[line.Kind] = true
	}
	for _, kind := range []Kind{KindIntent, KindOutcome, KindRefused, KindChange, KindLedger, KindEvent} {
		if !shown[kind] {
			t.Errorf("no example of %s", kind)
		}
	}
	state, err := Replay(strings.NewReader(example))
	if err != nil || state.Revision != 3 || len(state.Holds) != 0 || len(state.History) != 1 {
		t.Errorf("it leads to %+v, %v", state, err)
	}
}
