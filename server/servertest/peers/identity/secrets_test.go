package identity_test

import (
	"bytes"
	"encoding/pem"
	"strings"
	"sync"
	"testing"
)

// transcript is all that was written. It may be used by several goroutines.
type transcript struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write implements [io.Writer].
func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
}

func (s *transcript) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.all.Bytes())
}

// secrets are what nobody may be told. They may be used by several goroutines.
type secrets struct {
	mu    sync.Mutex
	known map[string]string // what each is, by its text
}

// add adds a credential, and what of it would be worth something alone: each part of a JWT but its header, which says how it
// is signed, and a static token without its prefix.
func (s *secrets) add(what, credential string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[string]string{}
	}
	parts := []string{credential, strings.TrimPrefix(credential, "egt_")}
	if words := strings.Split(credential, "."); len(words) > 1 {
		parts = append(parts, words[1:]...)
	}
	for _, part := range parts {
		const shortest = 16 // What is shorter is found anywhere.
		if len(part) >= shortest {
			s.known[part] = what
		}
	}
}

// addKey adds a private key in PEM form: its form in a file, and any line of it.
func (s *secrets) addKey(t *testing.T, what string, key []byte) {
	t.Helper()
	if block, _ := pem.Decode(key); block == nil {
		t.Fatalf("%s is not in PEM form", what)
	}
	for line := range strings.Lines(string(key)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") {
			s.add(what, line)
		}
	}
}

// in says which are in a text.
func (s *secrets) in(text []byte) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	for secret, what := range s.known {
		if bytes.Contains(text, []byte(secret)) {
			found = append(found, what)
		}
	}
	return found
}

// A search that finds nothing proves something only if it would find what is there.
func TestSecretsAreFound(t *testing.T) {
	var s secrets
	s.add("a JWT", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzb21lYm9keSJ9.c2lnbmF0dXJlLW9mLWl0")
	s.add("a token", "egt_0123456789abcdef0123456789")
	for text, want := range map[string]int{
		"nothing": 0, "eyJhbGciOiJub25lIn0": 0, "x=eyJzdWIiOiJzb21lYm9keSJ9": 1, `"c2lnbmF0dXJlLW9mLWl0"`: 1,
		"egt_0123456789abcdef0123456789": 2, "0123456789abcdef0123456789": 1,
	} {
		if found := s.in([]byte(text)); len(found) != want {
			t.Errorf("%q has %q", text, found)
		}
	}
}
