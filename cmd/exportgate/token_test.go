package main

import (
	"strings"
	"testing"
)

// TestToken proves that a token is on standard output alone, and never the same.
func TestToken(t *testing.T) {
	first, second := run(t, nil, "token", "backup"), run(t, nil, "token", "backup")
	token := strings.TrimSpace(first.stdout)
	switch {
	case first.code != exitOK || !strings.HasPrefix(token, "egt_") || strings.Contains(token, "\n"):
		t.Errorf("got code %d and %q", first.code, first.stdout)
	case first.stdout == second.stdout:
		t.Error("two tokens are the same")
	case strings.Contains(first.stderr, token) || !strings.Contains(first.stderr, "\nbackup sha256:") || !strings.Contains(first.stderr, "token:backup"):
		t.Errorf("standard error says %s", first.stderr)
	}
	for _, args := range [][]string{{"token"}, {"token", "a b"}, {"token", ""}, {"token", "a", "b"}} {
		if got := run(t, nil, args...); got.code != exitUsage || got.stdout != "" {
			t.Errorf("%q: got code %d and %q", args, got.code, got.stdout)
		}
	}
}
