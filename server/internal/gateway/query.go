package gateway

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// parseQuery fills a request message from a query, or says what is wrong with it. The message's descriptor is the list
// of parameters, each under its own name and its JSON name. Nothing is ignored: an unknown, repeated, empty or
// unparsable parameter is refused, so that a mistyped one never changes what the call does.
func parseQuery(query string, message proto.Message) *status.Status {
	values, err := url.ParseQuery(query)
	if err != nil {
		return invalid("", "malformed query: %s", clip(err.Error()))
	}
	m := message.ProtoReflect()
	seen := map[protoreflect.FieldNumber]bool{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		field := findParameter(m.Descriptor(), name)
		switch {
		case field == nil:
			return invalid(name, "unknown parameter %s: %s", quote(name), parametersOf(m.Descriptor()))
		case seen[field.Number()] || len(values[name]) > 1:
			return invalid(name, "parameter %s is given more than once", name)
		}
		seen[field.Number()] = true
		value, ok := parseValue(field, values[name][0])
		if !ok {
			return invalid(name, "parameter %s is %s, but takes %s", name, quote(values[name][0]), valuesOf(field))
		}
		m.Set(field, value)
	}
	return nil
}

// encodeQuery is the inverse of parseQuery, in the one spelling that grpc-gateway's own parser reads as well.
func encodeQuery(message proto.Message) string {
	values := url.Values{}
	message.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		values.Set(string(field.Name()), encodeValue(field, value))
		return true
	})
	return values.Encode()
}

// checkParameters reports a field that no query can carry. It is asked once, when the routes are made.
func checkParameters(message proto.Message) error {
	for field := range parameters(message.ProtoReflect().Descriptor()) {
		if !carried(field) {
			return fmt.Errorf("no query parameter can be a %s, as %s is", field.Kind(), field.FullName())
		}
	}
	return nil
}

func findParameter(d protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if field := d.Fields().ByName(protoreflect.Name(name)); field != nil {
		return field
	}
	return d.Fields().ByJSONName(name)
}

// parameters ranges over the fields of a request in the order of the proto file.
func parameters(d protoreflect.MessageDescriptor) func(yield func(protoreflect.FieldDescriptor) bool) {
	return func(yield func(protoreflect.FieldDescriptor) bool) {
		for i := range d.Fields().Len() {
			if !yield(d.Fields().Get(i)) {
				return
			}
		}
	}
}

// parametersOf tells which parameters a request takes.
func parametersOf(d protoreflect.MessageDescriptor) string {
	var names []string
	for field := range parameters(d) {
		names = append(names, string(field.Name()))
	}
	switch len(names) {
	case 0:
		return "none is taken here"
	case 1:
		return "only " + names[0] + " is taken here"
	}
	return strings.Join(names, ", ") + " are taken here"
}
