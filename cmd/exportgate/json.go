package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// writeJSON writes a message as the HTTP door does, with every field, indented.
func writeJSON(w io.Writer, message proto.Message) error {
	return formJSON(w, message, func(to *bytes.Buffer, from []byte) error { return json.Indent(to, from, "", "  ") })
}

// writeJSONLine writes a message as writeJSON does, on one line.
func writeJSONLine(w io.Writer, message proto.Message) error {
	return formJSON(w, message, json.Compact)
}

// formJSON writes a message in the form that the spaces are given: protojson varies them on purpose.
func formJSON(w io.Writer, message proto.Message, space func(*bytes.Buffer, []byte) error) error {
	encoded, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	var document bytes.Buffer
	if err := space(&document, encoded); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	document.WriteByte('\n')
	if _, err := w.Write(escapeUnprintable(document.Bytes())); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// escapeUnprintable writes what could steer a terminal as \u escapes, which mean the same in JSON.
func escapeUnprintable(document []byte) []byte {
	escaped := make([]byte, 0, len(document))
	for _, r := range string(document) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			escaped = utf8.AppendRune(escaped, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			escaped = fmt.Appendf(escaped, `\u%04x\u%04x`, high, low)
		default:
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		}
	}
	return escaped
}

// knownDetails drops the details of a status that this program has no descriptor of: they cannot be written as JSON.
func knownDetails(s *status.Status) *status.Status {
	known := &status.Status{Code: s.GetCode(), Message: s.GetMessage()}
	for _, detail := range s.GetDetails() {
		if _, err := detail.UnmarshalNew(); err == nil {
			known.Details = append(known.Details, detail)
		}
	}
	return known
}
