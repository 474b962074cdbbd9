package main

import (
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// console is what a verb may know of the world that the program runs in.
type console struct {
	env            []string
	stdin          io.Reader // for commands that the program runs; nil is empty
	stdout, stderr screen
	// interactive tells that one of the three is a terminal.
	interactive bool
	// signals delivers, until the function that it returns is called, what would otherwise end the program; nil where
	// nothing does.
	signals func() (<-chan os.Signal, func())
	// clock tells the time; nil is the machine's.
	clock func() time.Time
}

// now is the present time.
func (c console) now() time.Time {
	if c.clock == nil {
		return time.Now()
	}
	return c.clock()
}

// catch begins to catch signals, until the function that it returns is called.
func (c console) catch() (<-chan os.Signal, func()) {
	if c.signals == nil {
		return nil, func() {}
	}
	return c.signals()
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

	// columns and rows are the present size of the terminal; nil where there is none. They are asked before each use,
	// because terminals are resized.
	columns, rows func() int
}

// screenOf finds out whether a file is a terminal.
func screenOf(file *os.File) screen {
	fd := int(file.Fd())
	if !term.IsTerminal(fd) {
		return screen{Writer: file}
	}
	size := func() (columns, rows int) {
		if columns, rows, err := term.GetSize(fd); err == nil && columns > 0 && rows > 0 {
			return columns, rows
		}
		return defaultColumns, defaultRows
	}
	return screen{
		Writer:  file,
		columns: func() int { columns, _ := size(); return columns },
		rows:    func() int { _, rows := size(); return rows },
	}
}

// say writes a text. An error is in vain: this is where it would be told.
func (s screen) say(text string) { _, _ = io.WriteString(s, text) }

// The size of a terminal that does not tell its own, such as a serial line.
const (
	defaultColumns = 80
	defaultRows    = 24
)

// width is how many columns a line may have; 0 is without limit.
func (s screen) width() int {
	if s.columns == nil {
		return 0
	}
	return s.columns()
}

// height is how many lines there is room for; 0 is without limit.
func (s screen) height() int {
	if s.rows == nil {
		return 0
	}
	return s.rows()
}
