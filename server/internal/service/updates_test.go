package service

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// TestUpdatesShareTheStatus proves that streams with the same status send the same message for it, by which the doors know
// it, and each its own events.
func TestUpdatesShareTheStatus(t *testing.T) {
	kept := []reconcile.Event{{Kind: reconcile.EventResumed, Message: "one"}, {Kind: reconcile.EventResumed, Message: "two"}}
	first := &reconcile.Status{View: &exporting.View{Topology: &exporting.Topology{}}, Events: kept}
	second := &reconcile.Status{View: &exporting.View{Topology: &exporting.Topology{}}}
	var u updates
	one := u.response(reconcile.Update{Status: first, Events: kept[1:], Cursor: "a.3"})
	two := u.response(reconcile.Update{Status: first, Events: kept, Missed: true, Cursor: "a.3"})
	three := u.response(reconcile.Update{Status: second, Cursor: "a.3"})

	if one.GetStatus() != two.GetStatus() || one.GetStatus() == three.GetStatus() {
		t.Error("it is not one message for one status")
	}
	want := []*exportgatev1.WatchStatusResponse{
		{Status: one.GetStatus(), Events: toEvents(kept[1:]), Cursor: "a.3"},
		{Status: one.GetStatus(), Events: toEvents(kept), MissedEvents: true, Cursor: "a.3"},
		{Status: three.GetStatus(), Cursor: "a.3"},
	}
	got := []*exportgatev1.WatchStatusResponse{one, two, three}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("responses (-want +got):\n%s", diff)
	}
	if n := len(one.GetStatus().GetEvents()); n > 0 {
		t.Errorf("the status has %d events beside those of the stream", n)
	}
}
