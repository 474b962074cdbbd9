package gateway

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
)

// maxText is how many bytes of text a parameter takes: as many as the longest, a reason, may have. What a name may look
// like is for the service to say.
const maxText = 1000

// carried reports whether a query can carry a field. A field of a new kind needs a case in each function below.
func carried(field protoreflect.FieldDescriptor) bool {
	if field.IsList() || field.IsMap() {
		return false
	}
	kind := field.Kind()
	return kind == protoreflect.BoolKind || kind == protoreflect.EnumKind || kind == protoreflect.StringKind ||
		isDuration(field)
}

// parseValue reads one value by the kind of its field. Empty text is never a value: that is a script whose variable was
// not set, and resume?hold= would release somebody else's pause.
func parseValue(field protoreflect.FieldDescriptor, text string) (protoreflect.Value, bool) {
	switch {
	case field.Kind() == protoreflect.EnumKind:
		return parseEnum(field.Enum(), text)
	case field.Kind() == protoreflect.StringKind:
		return protoreflect.ValueOfString(text), isText(text)
	case isDuration(field):
		return parseDuration(text)
	}
	return parseBool(text)
}

// valuesOf tells what a parameter takes.
func valuesOf(field protoreflect.FieldDescriptor) string {
	switch {
	case field.Kind() == protoreflect.EnumKind:
		return enumWords(field.Enum())
	case field.Kind() == protoreflect.StringKind:
		return textWords()
	case isDuration(field):
		return "a time above zero with its unit, like 90s, 30m, 2h or 1h30m"
	}
	return "true (on, yes, 1) or false (off, no, 0)"
}

// encodeValue is the inverse of parseValue.
func encodeValue(field protoreflect.FieldDescriptor, value protoreflect.Value) string {
	switch {
	case field.Kind() == protoreflect.EnumKind:
		return string(field.Enum().Values().ByNumber(value.Enum()).Name())
	case isDuration(field):
		duration, _ := value.Message().Interface().(*durationpb.Duration)
		return duration.AsDuration().String()
	}
	return value.String()
}

// parseBool reads Spring's spellings of a boolean (edges.md 2.2, trap 4).
func parseBool(text string) (protoreflect.Value, bool) {
	switch strings.ToLower(text) {
	case "true", "on", "yes", "1":
		return protoreflect.ValueOfBool(true), true
	case "false", "off", "no", "0":
		return protoreflect.ValueOfBool(false), true
	}
	return protoreflect.Value{}, false
}

// isText reports whether a client's text can be stored, logged and shown as the one line that it is.
func isText(text string) bool {
	breaks := func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) }
	return text != "" && len(text) <= maxText && utf8.ValidString(text) && !strings.ContainsFunc(text, breaks)
}

func textWords() string {
	return fmt.Sprintf("1 to %d bytes of UTF-8 text on one line, without control characters; leave it out to give none", maxText)
}

// isDuration reports whether a field is a google.protobuf.Duration.
func isDuration(field protoreflect.FieldDescriptor) bool {
	return field.Message() != nil && field.Message().FullName() == proto.MessageName((*durationpb.Duration)(nil))
}

// parseDuration reads Go's notation. A bare number is refused, since it means seconds to some and milliseconds to
// others, and so is 0, which means never to some and at once to others.
func parseDuration(text string) (protoreflect.Value, bool) {
	duration, err := time.ParseDuration(text)
	if err != nil || duration <= 0 {
		return protoreflect.Value{}, false
	}
	return protoreflect.ValueOfMessage(durationpb.New(duration).ProtoReflect()), true
}

// parseEnum reads the name of a value in any case, with or without the prefix that all names of the enum share.
func parseEnum(enum protoreflect.EnumDescriptor, text string) (protoreflect.Value, bool) {
	for i := range enum.Values().Len() {
		value := enum.Values().Get(i)
		if strings.EqualFold(text, string(value.Name())) || strings.EqualFold(text, enumWord(enum, value)) {
			return protoreflect.ValueOfEnum(value.Number()), true
		}
	}
	return protoreflect.Value{}, false
}

// enumWord is the name of a value without the prefix, in lower case: "revert" for ON_FAILURE_REVERT.
func enumWord(enum protoreflect.EnumDescriptor, value protoreflect.EnumValueDescriptor) string {
	prefix := strings.TrimSuffix(string(enum.Values().ByNumber(0).Name()), "UNSPECIFIED")
	return strings.ToLower(strings.TrimPrefix(string(value.Name()), prefix))
}

// enumWords lists the values that one would want to give.
func enumWords(enum protoreflect.EnumDescriptor) string {
	var words []string
	for i := range enum.Values().Len() {
		if value := enum.Values().Get(i); value.Number() != 0 {
			words = append(words, enumWord(enum, value))
		}
	}
	return strings.Join(words, " or ")
}
