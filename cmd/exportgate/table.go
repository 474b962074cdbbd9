package main

import (
	"strings"
	"unicode/utf8"
)

// style is the colour of a text.
type style string

// The styles: what is as usual has none.
const (
	plain   style = ""
	heading style = "1"  // bold
	paused  style = "33" // yellow
	failed  style = "31" // red
	loud    style = "1;31"
)

// cell is a piece of text in one style.
type cell struct {
	text  string
	style style
}

// width counts characters as columns.
func (c cell) width() int { return utf8.RuneCountInString(c.text) }

// table is rows of cells in columns. Rows may be of different lengths.
type table [][]cell

// gap is the number of spaces between two columns.
const gap = 2

// widths are those of the columns.
func (t table) widths() []int {
	var widths []int
	for _, row := range t {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], c.width())
		}
	}
	return widths
}

// width is that of the whole table.
func (t table) width() int {
	total := -gap
	for _, width := range t.widths() {
		total += width + gap
	}
	return max(total, 0)
}

// write writes the table with each line behind an indent and without spaces at its end.
func (t table) write(b *strings.Builder, indent string, colours bool) {
	widths := t.widths()
	for _, row := range t {
		b.WriteString(indent)
		pad := 0
		for i, c := range row {
			if c.text == "" {
				pad += widths[i] + gap
				continue
			}
			b.WriteString(strings.Repeat(" ", pad))
			c.write(b, colours)
			pad = widths[i] - c.width() + gap
		}
		b.WriteByte('\n')
	}
}

// write writes the text in its style.
func (c cell) write(b *strings.Builder, colours bool) {
	if !colours || c.style == plain {
		b.WriteString(c.text)
		return
	}
	b.WriteString("\x1b[" + string(c.style) + "m" + c.text + "\x1b[0m")
}
