package zeebe

import (
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// members walks over the keys, still quoted, and the values of a JSON object that is known to be valid, and begins with its
// brace. It stands in for a decoder where an answer is large, little of it is needed, and a key that comes twice must not
// hide another.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		rest := object[1:]
		for {
			rest = rest[indexOfAny(rest, '"', '}'):]
			if rest[0] == '}' {
				return
			}
			n := valueLength(rest)
			key := rest[:n]
			rest = rest[n:]
			rest = rest[indexOfAny(rest, ':', ':')+1:]
			for isSpace(rest[0]) {
				rest = rest[1:]
			}
			n = valueLength(rest)
			if !yield(key, rest[:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func indexOfAny(text []byte, a, b byte) int {
	for i, c := range text {
		if c == a || c == b {
			return i
		}
	}
	return len(text)
}

// valueLength is the length of the JSON value at the beginning of a valid text.
func valueLength(text []byte) int {
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case inString && c == '\\':
			i++ // What is escaped ends no string.
			continue
		case c == '"':
			inString = !inString
		case inString:
			continue
		case c == '{' || c == '[':
			depth++
			continue
		case c == '}' || c == ']':
			depth--
		case depth > 0 || c != ',' && !isSpace(c):
			continue // Inside of something, or of a number or a literal.
		default:
			return i // After a number or a literal.
		}
		switch {
		case depth < 0:
			return i // The brace of what the number or the literal is in.
		case depth == 0 && !inString:
			return i + 1
		}
	}
	return len(text)
}

// unquote is the text of a JSON string that is known to be valid.
func unquote(quoted []byte) string {
	inside := string(quoted[1 : len(quoted)-1])
	if !strings.ContainsFunc(inside, func(r rune) bool { return r == '\\' || r == '\uFFFD' }) {
		return inside
	}
	var text string
	_ = json.Unmarshal(quoted, &text) // It is valid.
	return text
}

// textOf reads a value that is text or null, which is empty.
func textOf(key string, value []byte) (string, error) {
	switch value[0] {
	case '"':
		return unquote(value), nil
	case 'n':
		return "", nil
	}
	return "", fmt.Errorf("it answered a %s for %s", kindOf(value), key)
}

// numberOf reads a value that is a whole number, or null.
func numberOf(key string, value []byte) (n int64, known bool, err error) {
	if value[0] == 'n' {
		return 0, false, nil
	}
	n, err = strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("it answered a %s for %s", kindOf(value), key)
	}
	return n, true, nil
}

// kindOf names what a value is.
func kindOf(value []byte) string {
	switch value[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	}
	return "number " + excerpt(string(value), shortExcerpt)
}
