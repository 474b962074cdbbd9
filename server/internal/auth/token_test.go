package auth

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// tokenFile is a token file with these lines.
func tokenFile(tb testing.TB, lines ...string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "tokens")
	writeTokens(tb, path, lines...)
	return path
}

func writeTokens(tb testing.TB, path string, lines ...string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func TestNewToken(t *testing.T) {
	token, hash := NewToken()
	other, otherHash := NewToken()
	if token == other || hash == otherHash || len(token) != len(tokenPrefix)+43 || !isStatic(token) || isJWT(token) {
		t.Errorf("tokens %q and %q", token, other)
	}
	entries, err := parseTokens([]byte("a " + otherHash + "\nb " + hash + "\nc sha256:" + strings.Repeat("0", 64)))
	if err != nil {
		t.Fatal(err)
	}
	if e, found := find(entries, token); !found || e.name != "b" {
		t.Errorf("found %v, %q", found, e.name)
	}
	for _, wrong := range []string{"", tokenPrefix, token[:len(token)-1], token + "A", strings.ToLower(token), hash} {
		if e, found := find(entries, wrong); found {
			t.Errorf("%q is taken for %q", wrong, e.name)
		}
	}
	if _, found := find(nil, token); found {
		t.Error("found where there are none")
	}
}

func TestParseTokens(t *testing.T) {
	a, b := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("B", 64)
	token, _ := NewToken()
	tests := map[string]struct {
		content string
		names   string
		err     string
	}{
		"none":              {"", "", ""},
		"comments":          {"# x\n\n  # y\n\t\n", "", ""},
		"two":               {"one " + a + "\ntwo\t" + b, "one two", ""},
		"other line ends":   {"one " + a + "\r\n two   " + b + " \r\n", "one two", ""},
		"name alone":        {"\none", "", "line 2: not a name and a hash"},
		"three words":       {"one " + a + " # mine", "", "line 1: not a name"},
		"other hash":        {"one md5:" + strings.Repeat("a", 64), "", "line 1: not a name and a hash"},
		"short hash":        {"one " + a[:len(a)-2], "", "line 1: not a name and a hash"},
		"long hash":         {"one " + a + "aa", "", "line 1: not a name and a hash"},
		"not a number":      {"one sha256:" + strings.Repeat("g", 64), "", "line 1: not a name and a hash"},
		"bad name":          {"a/b " + a, "", "line 1: a name is"},
		"name twice":        {"one " + a + "\n#\none " + b, "", `line 3: "one" is the name of line 1 too`},
		"hash twice":        {"one " + a + "\ntwo " + a, "", "line 2: the hash is that of line 1 too"},
		"a token":           {"one " + token, "", "line 1: a token itself"},
		"a token as a name": {token + " " + a, "", "line 1: a token itself"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			entries, err := parseTokens([]byte(test.content))
			var names []string
			for _, e := range entries {
				names = append(names, e.name)
			}
			if got := strings.Join(names, " "); got != test.names || (err == nil) != (test.err == "") {
				t.Fatalf("names %q, error %v", got, err)
			}
			if err != nil && (!strings.HasPrefix(err.Error(), test.err) || strings.Contains(err.Error(), token)) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// The file is read again when it changes; what cannot be read leaves the old tokens in use.
func TestTokensAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		oldToken, oldHash := NewToken()
		newToken, newHash := NewToken()
		path := tokenFile(t, "backup "+oldHash)
		var lines bytes.Buffer
		g := newGuard(t, nil, Options{TokensFile: path, Logger: slog.New(slog.NewJSONHandler(&lines, nil))})
		expect := func(what string, before, after, broken bool) {
			t.Helper()
			<-time.After(lookInterval + time.Millisecond)
			synctest.Wait()
			_, oldErr := g.authenticate(t.Context(), bearer(oldToken))
			_, newErr := g.authenticate(t.Context(), bearer(newToken))
			if (why(t, oldErr) == "") != before || (why(t, newErr) == "") != after || (g.State().TokensErr != nil) != broken || g.State().Tokens != 1 {
				t.Errorf("%s: old token %v, new token %v, state %+v", what, oldErr, newErr, g.State())
			}
		}
		expect("at first", true, false, false)
		writeTokens(t, path, "backup "+oldHash, "backup "+newHash)
		expect("a broken file", true, false, true)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect("no file", true, false, true)
		writeTokens(t, path, "backup "+oldHash)
		expect("as it was", true, false, false)
		writeTokens(t, path, strings.Repeat("#", maxTokenFile+1))
		expect("too large a file", true, false, true)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		expect("a pipe, which nobody writes to", true, false, true)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		writeTokens(t, path, "backup "+newHash)
		expect("a new one", false, true, false)
		told := lines.String()
		if strings.Count(told, "\n") != 6 || strings.Contains(told, oldToken) || strings.Contains(told, newToken) {
			t.Errorf("told:\n%s", told)
		}
	})
}

func TestTokensThatCannotBeRead(t *testing.T) {
	for name, path := range map[string]string{
		"no file": filepath.Join(t.TempDir(), "x"), "a directory": t.TempDir(), "a bad line": tokenFile(t, "x"),
	} {
		if _, err := New(Options{TokensFile: path}); err == nil || !strings.HasPrefix(err.Error(), "auth.tokens-file: ") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func FuzzTokens(f *testing.F) {
	_, hash := NewToken()
	f.Add([]byte("# name hash\nbackup " + hash + "\n"))
	f.Add([]byte("a " + hash + "\r\n\x00\xff"))
	f.Fuzz(func(t *testing.T, content []byte) {
		entries, err := parseTokens(content)
		if err != nil && entries != nil {
			t.Fatal("entries of a broken file")
		}
		for i, e := range entries {
			if !tokenName.MatchString(e.name) || checkName(prefixToken+e.name) != nil {
				t.Errorf("name %q", e.name)
			}
			for _, other := range entries[:i] {
				if e.name == other.name || e.hash == other.hash {
					t.Errorf("%+v twice", e)
				}
			}
		}
	})
}
