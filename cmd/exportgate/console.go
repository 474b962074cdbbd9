package main

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// console is what a verb may know of the world that the program runs in.
type console struct {
	env            []string
	stdout, stderr screen
}

// lookup returns the value of an environment variable; empty where it is not set.
func (c console) lookup(name string) string {
	for _, variable := range c.env {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

// colourful reports whether colours reach a person who did not ask for none (https://no-color.org).
func (c console) colourful() bool { return c.draws(c.stdout) && c.lookup("NO_COLOR") == "" }

// draws reports whether a screen is a terminal that knows escape sequences.
func (c console) draws(s screen) bool { return s.columns != nil && c.lookup("TERM") != "dumb" }

// screen is a writer that may be a terminal.
type screen struct {
	io.Writer

	// columns is the present width of the terminal; nil where there is none. It is asked before each use, because
	// terminals are resized.
	columns func() int
}

// screenOf finds out whether a file is a terminal.
func screenOf(file *os.File) screen {
	fd := int(file.Fd())
	if !term.IsTerminal(fd) {
		return screen{Writer: file}
	}
	return screen{Writer: file, columns: func() int {
		if width, _, err := term.GetSize(fd); err == nil && width > 0 {
			return width
		}
		return defaultColumns
	}}
}

// say writes a text. An error is in vain: this is where it would be told.
func (s screen) say(text string) { _, _ = io.WriteString(s, text) }

// defaultColumns is the width of a terminal that does not tell its own, such as a serial line.
const defaultColumns = 80

// width is how many columns a line may have; 0 is without limit.
func (s screen) width() int {
	if s.columns == nil {
		return 0
	}
	return s.columns()
}
