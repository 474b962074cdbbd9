package peers

import "testing"

func TestNeeded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		ci, need string
		want     bool
	}{
		{"", "", false},
		{"true", "", true},
		{"woodpecker", "", true},
		{"", "1", true},
		{"false", "", false},
		{"0", "0", false},
		{"false", "1", true},
	} {
		env := map[string]string{"CI": test.ci, NeedVariable: test.need}
		if got := needed(func(name string) string { return env[name] }); got != test.want {
			t.Errorf("CI=%q, %s=%q: needed is %v", test.ci, NeedVariable, test.need, got)
		}
	}
}

func TestProgram(t *testing.T) {
	if path := Program(t, "coreutils", "no-such-program", "cat"); path == "" {
		t.Error("cat has no path")
	}
	for need, want := range map[string]string{"": "skipped", "1": "failed"} {
		t.Setenv("CI", "")
		t.Setenv(NeedVariable, need)
		var got verdict
		Program(&got, "nothing", "no-such-program")
		if got.is != want {
			t.Errorf("with %s=%q, a test without its peer is %q, want %q", NeedVariable, need, got.is, want)
		}
	}
}

// verdict is a test that only remembers what became of it.
type verdict struct {
	testing.TB

	is string
}

func (v *verdict) Helper()               {}
func (v *verdict) Skipf(string, ...any)  { v.is = "skipped" }
func (v *verdict) Fatalf(string, ...any) { v.is = "failed" }
