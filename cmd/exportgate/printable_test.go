package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "",
		"broker 0 · größer 東京": "broker 0 · größer 東京",
		"a\nb\r\n\tc":          "a b   c",
		"\x1b[31m\x07\x7f":     `\x1b[31m\a\x7f`,
		"\u009b2J":             `\u009b2J`,
		"\u202egnp.exe\u2066":  `\u202egnp.exe\u2066`,
		"\xff":                 "\ufffd",
		`C:\temp 'x'`:          `C:\temp 'x'`,
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestPrintableCopy proves that no text field of a message is forgotten, and that the original stays as it was.
func TestPrintableCopy(t *testing.T) {
	for _, message := range []proto.Message{
		&exportgatev1.Status{}, &exportgatev1.ReplicaFailure{}, &errdetails.ErrorInfo{},
	} {
		fill(message.ProtoReflect(), "\x1b!")
		before, clean := message.ProtoReflect().Descriptor().FullName(), printableCopy(message)
		texts := func(m proto.Message) string {
			encoded, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			return string(encoded)
		}
		if strings.Contains(texts(clean), "\x1b!") || !strings.Contains(texts(clean), `\x1b!`) {
			t.Errorf("%s: got %v", before, clean)
		}
		if !strings.Contains(texts(message), "\x1b!") {
			t.Errorf("%s: the original changed to %v", before, message)
		}
	}
}

// fill puts a text into every text field of a message and of those below it.
func fill(message protoreflect.Message, text string) {
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		switch {
		case field.IsMap():
			message.Mutable(field).Map().Set(
				protoreflect.ValueOfString("key").MapKey(), protoreflect.ValueOfString(text),
			)
		case field.IsList() && field.Message() != nil:
			fill(message.Mutable(field).List().AppendMutable().Message(), text)
		case field.IsList():
			message.Mutable(field).List().Append(protoreflect.ValueOfString(text))
		case field.Message() != nil:
			fill(message.Mutable(field).Message(), text)
		case field.Kind() == protoreflect.StringKind:
			message.Set(field, protoreflect.ValueOfString(text))
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("\x1b]0;owned\a\u202e")
	f.Fuzz(func(t *testing.T, text string) {
		if i := strings.IndexFunc(printable(text), func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q becomes %q", text, printable(text))
		}
		document, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var again, want string
		if err := json.Unmarshal(escapeUnprintable(document), &again); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(document, &want); err != nil || again != want {
			t.Errorf("%q comes back as %q: %v", want, again, err)
		}
	})
}
