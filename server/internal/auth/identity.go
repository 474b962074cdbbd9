package auth

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// identity is who was proven to call.
type identity struct {
	// names are never none; the first is what the caller is called.
	names []string
	// claims are what a JWT says; nil for others.
	claims map[string]any
}

// maxName bounds a name: it becomes the owner of holds, and is in the ledger as it is.
const maxName = 512

// checkName refuses a name that cannot be shown as it is. To change one would let two callers have the same.
func checkName(name string) error {
	if len(name) > maxName {
		return unauthenticated(fmt.Sprintf("the caller's name is longer than %d bytes", maxName))
	}
	if !utf8.ValidString(name) {
		return unauthenticated("the caller's name is not text")
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return unauthenticated("the caller's name has characters that cannot be shown")
		}
	}
	return nil
}
