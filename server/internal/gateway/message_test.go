package gateway

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// TestMessages proves that a message in parts says the same as one that is encoded whole.
func TestMessages(t *testing.T) {
	event := &exportgatev1.Event{Time: timestamppb.Now(), Message: "one"}
	tests := map[string]*exportgatev1.WatchStatusResponse{
		"whole":            {Status: statusAt("").GetStatus(), Events: []*exportgatev1.Event{event}, MissedEvents: true, Cursor: "a.1"},
		"the status alone": {Status: statusAt("").GetStatus()},
		"an empty status":  {Status: &exportgatev1.Status{}, Cursor: "a.1"},
		"without a status": {Cursor: "a.1"},
		"empty":            {},
	}
	m := newMessages()
	for name, response := range tests {
		t.Run(name, func(t *testing.T) {
			wanted, err := protoJSON().Marshal(response)
			if err != nil {
				t.Fatal(err)
			}
			parts, err := m.parts(response)
			if err != nil {
				t.Fatal(err)
			}
			var want, got bytes.Buffer
			if err := json.Compact(&want, wanted); err != nil {
				t.Fatal(err)
			}
			if err := json.Compact(&got, bytes.Join(parts, nil)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.String(), got.String()); diff != "" {
				t.Errorf("JSON (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMessagesShareTheStatus proves that streams which differ in their events send the same bytes of a status.
func TestMessagesShareTheStatus(t *testing.T) {
	m := newMessages()
	first := func(response *exportgatev1.WatchStatusResponse) *byte {
		parts, err := m.parts(response)
		if err != nil {
			t.Fatal(err)
		}
		return &parts[0][0]
	}
	status := statusAt("").GetStatus()
	one := first(&exportgatev1.WatchStatusResponse{Status: status, Cursor: "a.1"})
	if two := first(&exportgatev1.WatchStatusResponse{Status: status, Cursor: "a.2"}); one != two {
		t.Error("the status was encoded twice")
	}
	if other := first(statusAt("")); one == other {
		t.Error("another status has the same bytes")
	}
}
