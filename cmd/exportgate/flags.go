package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/protobuf/types/known/durationpb"
)

// The flags' types below refuse bad values while the command line is parsed, so that they are mistakes of usage.

// choice is one of a few words.
type choice struct {
	value string
	words []string
}

var _ pflag.Value = (*choice)(nil)

// String returns the chosen word.
func (c *choice) String() string { return c.value }

// Type is what the help shows for the value.
func (c *choice) Type() string { return strings.Join(c.words, "|") }

// Set chooses a word.
func (c *choice) Set(text string) error {
	if !slices.Contains(c.words, text) {
		return fmt.Errorf("must be one of %s", strings.Join(c.words, ", "))
	}
	c.value = text
	return nil
}

// address is a host and a port.
type address string

var _ pflag.Value = (*address)(nil)

// String returns host:port.
func (a *address) String() string { return string(*a) }

// Type is what the help shows for the value.
func (a *address) Type() string { return "host:port" }

// Set takes host:port.
func (a *address) Set(text string) error {
	host, port, err := net.SplitHostPort(text)
	if number, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil || number == 0 || host == "" ||
		strings.ContainsAny(host, "/@ ") {
		return errors.New("must be host:port, such as localhost:9601")
	}
	*a = address(text)
	return nil
}

// name is the name of a hold, or its uid. It cannot be empty: where a script's variable is, the anonymous hold must not be
// meant.
type name string

var _ pflag.Value = (*name)(nil)

// maxName is how many characters a name has at most.
const maxName = 128

// String returns the name.
func (n *name) String() string { return string(*n) }

// Type is what the help shows for the value.
func (n *name) Type() string { return "name" }

// Set takes what the service takes for a name.
func (n *name) Set(text string) error {
	strange := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("._:-", r)
	}
	if text == "" || len(text) > maxName || strings.ContainsFunc(text, strange) {
		return fmt.Errorf("must be 1 to %d letters, digits, dots, dashes, underscores or colons, such as backup-42", maxName)
	}
	*n = name(text)
	return nil
}

// patience is how long to wait, or to last.
type patience time.Duration

var _ pflag.Value = (*patience)(nil)

// String returns the duration as Go writes it; empty where it is left open.
func (p *patience) String() string {
	if *p == 0 {
		return ""
	}
	return time.Duration(*p).String()
}

// proto is the duration as the service takes it; nil where it is left open.
func (p *patience) proto() *durationpb.Duration {
	if *p == 0 {
		return nil
	}
	return durationpb.New(time.Duration(*p))
}

// Type is what the help shows for the value.
func (p *patience) Type() string { return "duration" }

// Set takes a duration above zero.
func (p *patience) Set(text string) error {
	duration, err := time.ParseDuration(text)
	if err != nil || duration <= 0 {
		return errors.New("must be a duration above zero, such as 30s or 2m")
	}
	*p = patience(duration)
	return nil
}

// number is how many there are of something.
type number int

var _ pflag.Value = (*number)(nil)

// String returns the number; empty where it is left open.
func (n *number) String() string {
	if *n == 0 {
		return ""
	}
	return strconv.Itoa(int(*n))
}

// Type is what the help shows for the value.
func (n *number) Type() string { return "number" }

// Set takes a number above zero.
func (n *number) Set(text string) error {
	parsed, err := strconv.Atoi(text)
	if err != nil || parsed < 1 || parsed > 1000 {
		return errors.New("must be a whole number from 1 to 1000")
	}
	*n = number(parsed)
	return nil
}
