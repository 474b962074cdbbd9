package server

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Secret is text that no log and no print-out shows: however it is formatted, it reads ********, or nothing if it is
// empty. Convert it to a string to use it.
type Secret string

// mask stands for a secret.
const mask = "********"

// Format implements [fmt.Formatter], for every verb.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, s.masked()) // As fmt has it: whoever prints looks at the error.
}

// MarshalText implements [encoding.TextMarshaler], which JSON and slog ask for.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.masked()), nil }

func (s Secret) masked() string {
	if s == "" {
		return ""
	}
	return mask
}

// parseSecret refuses the mask: it comes from a configuration that was printed, and would be believed until it is used.
func parseSecret(text string) (Secret, error) {
	if text == mask {
		return "", fmt.Errorf("%s is what is printed instead of a secret: write the secret itself", mask)
	}
	return Secret(text), nil
}

// maxSecret in bytes is far above any password, and far below what it would hurt to read by mistake.
const maxSecret = 4096

// readSecret takes the only line of a file.
func readSecret(path string) (Secret, error) {
	content, err := readSmall(path, maxSecret)
	if err != nil {
		return "", err
	}
	line := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	switch {
	case line == "":
		return "", fmt.Errorf("%s is empty", path)
	case strings.Contains(line, "\n"):
		return "", errors.New(path + " has more than one line")
	}
	return parseSecret(line)
}
