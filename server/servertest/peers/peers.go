// Package peers is about programs of other people's that tests run: where they are, what becomes of a test on a machine that
// has not got one, and how they are started and ended. The packages below it test Exportgate together with one peer each; they
// are a module of their own, so that what only they need is in nobody's go.sum.
//
// It must not know what a peer is for.
package peers

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// NeedVariable is the environment variable that says, with the value 1, that every peer has to be there.
const NeedVariable = "EXPORTGATE_NEED_PEERS"

// Program returns the path of a peer, which goes by one of several names and is in a package of Debian's. Where it is not
// installed the test is skipped and says what to install; in CI, or with [NeedVariable], it fails, for there a promise that
// nobody checks must not look kept.
func Program(tb testing.TB, debian string, names ...string) string {
	tb.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	report := tb.Skipf
	if needed(os.Getenv) {
		report = tb.Fatalf
	}
	report("%s is not installed, and this needs a real one (Debian: apt-get install %s)", strings.Join(names, " or "), debian)
	return ""
}

// needed reports whether a peer that is missing is a failure. CI services set CI to some word or other.
func needed(env func(string) string) bool {
	ci := env("CI")
	return env(NeedVariable) == "1" || ci != "" && ci != "false" && ci != "0"
}
