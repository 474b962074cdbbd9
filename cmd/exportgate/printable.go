package main

import (
	"strconv"
	"strings"
	"unicode"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// printable makes text of other people fit to be shown on one line of a terminal: what could steer it, or reorder what
// is shown, appears as an escape.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// printableCopy makes every text in a message printable, but for the keys of maps. All that people see of a message
// goes through it, so that nobody who draws a field has to remember.
func printableCopy[M proto.Message](message M) M {
	clean := proto.CloneOf(message)
	makePrintable(clean.ProtoReflect())
	return clean
}

func makePrintable(message protoreflect.Message) {
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap():
			value.Map().Range(func(key protoreflect.MapKey, item protoreflect.Value) bool {
				value.Map().Set(key, printableValue(field.MapValue(), item))
				return true
			})
		case field.IsList():
			for i := range value.List().Len() {
				value.List().Set(i, printableValue(field, value.List().Get(i)))
			}
		default:
			message.Set(field, printableValue(field, value))
		}
		return true
	})
}

func printableValue(field protoreflect.FieldDescriptor, value protoreflect.Value) protoreflect.Value {
	if field.Kind() == protoreflect.StringKind {
		return protoreflect.ValueOfString(printable(value.String()))
	}
	if field.Kind() == protoreflect.MessageKind {
		makePrintable(value.Message())
	}
	return value
}
