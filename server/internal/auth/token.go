package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// tokenPrefix begins every static token, so that scanners of secrets find them where they should not be.
const tokenPrefix = "egt_"

// hashPrefix names how the tokens of a file are hashed.
const hashPrefix = "sha256:"

// NewToken makes a static token, and its hash as a token file has it behind a name.
//
// A token is 256 random bits. Nobody can try so many, so that a plain hash of it can be read by anybody: slow hashes and
// salts are for what people choose, and would let whoever sends garbage keep the server busy.
func NewToken() (token, hash string) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // It never fails.
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(secret)
	sum := sha256.Sum256([]byte(token))
	return token, hashPrefix + hex.EncodeToString(sum[:])
}

// TokenLine is the line of a token file that takes the token of a hash for a name's. An error says what a name is.
func TokenLine(name, hash string) (string, error) {
	line := name + " " + hash
	_, err := parseEntry(line)
	return line, err
}

// entry is a line of a token file.
type entry struct {
	name string
	hash [sha256.Size]byte
}

// find returns the entry of a token. It takes as long whatever the token is, and whichever entry it is: hashes are compared,
// all of them, and in constant time.
func find(entries []entry, token string) (entry, bool) {
	sum := sha256.Sum256([]byte(token))
	found := -1
	for i := range entries {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], entries[i].hash[:]), i, found)
	}
	if found < 0 {
		return entry{}, false
	}
	return entries[found], true
}

// tokenName is what a static token may be called.
var tokenName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// parseTokens reads a token file. Errors name the line, and quote nothing that may be a secret: people put tokens where
// hashes belong.
func parseTokens(content []byte) ([]entry, error) {
	var entries []entry
	names, hashes := map[string]int{}, map[[sha256.Size]byte]int{}
	number := 0
	for line := range bytes.Lines(content) {
		number++
		text := strings.TrimSpace(string(line))
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		e, err := parseEntry(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if before, twice := names[e.name]; twice {
			return nil, fmt.Errorf("line %d: %q is the name of line %d too: a name is one caller's", number, e.name, before)
		}
		if before, twice := hashes[e.hash]; twice {
			return nil, fmt.Errorf("line %d: the hash is that of line %d too: a token is one caller's", number, before)
		}
		names[e.name], hashes[e.hash] = number, number
		entries = append(entries, e)
	}
	return entries, nil
}

var errLine = errors.New("not a name and a hash: write `name sha256:...`, as `exportgate token` prints it")

func parseEntry(text string) (e entry, err error) {
	fields := strings.Fields(text)
	switch {
	case slices.ContainsFunc(fields, isStatic):
		return e, errors.New("a token itself, where its hash belongs: whoever reads the file could use it; make another one")
	case len(fields) != 2:
		return e, errLine
	case !tokenName.MatchString(fields[0]):
		return e, errors.New("a name is 1 to 64 letters, digits, dots, dashes or underscores, and begins with a letter or a digit")
	}
	digits, hashed := strings.CutPrefix(fields[1], hashPrefix)
	sum, err := hex.DecodeString(digits)
	if !hashed || err != nil || len(sum) != sha256.Size {
		return e, errLine
	}
	e.name, e.hash = fields[0], [sha256.Size]byte(sum)
	return e, nil
}
