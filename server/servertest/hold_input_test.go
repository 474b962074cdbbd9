package servertest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// What a call must not say of holds is refused by both doors in the same words for programs, and touches nothing.
func TestNonsenseAboutHolds(t *testing.T) {
	t.Parallel()
	pauses := map[string]struct {
		request   *exportgatev1.PauseRequest
		parameter string
	}{
		"a name with a space":      {place("backup 1", embedded.SoftPaused), "hold"},
		"a name with a slash":      {place("../backup", embedded.SoftPaused), "hold"},
		"a name of other letters":  {place("sicherung-für-heute", embedded.SoftPaused), "hold"},
		"a name that is an option": {place("-backup", embedded.SoftPaused), "hold"},
		"a name with a newline":    {place("backup\n1", embedded.SoftPaused), "hold"},
		"a name that is too long":  {place(strings.Repeat("x", 129), embedded.SoftPaused), "hold"},
		"a ttl of nothing":         {lasting(soft(), 0), "ttl"},
		"a ttl in the past":        {lasting(soft(), -time.Second), "ttl"},
		"a ttl of centuries":       {lasting(soft(), 200*365*24*time.Hour), "ttl"},
		"a reason of two lines":    {&exportgatev1.PauseRequest{Reason: "nightly\nbackup"}, "reason"},
		"a reason that is endless": {&exportgatev1.PauseRequest{Reason: strings.Repeat("x", 1001)}, "reason"},
		"a uid that is none":       {&exportgatev1.PauseRequest{Renew: "no uid"}, "renew"},
		"renew with a hold":        {&exportgatev1.PauseRequest{Renew: "ABC", Hold: "backup-1"}, "renew"},
		"renew with a phase":       {&exportgatev1.PauseRequest{Renew: "ABC", Soft: true}, "renew"},
		"renew with a reason":      {&exportgatev1.PauseRequest{Renew: "ABC", Reason: "nightly"}, "renew"},
	}
	resumes := map[string]struct {
		request   *exportgatev1.ResumeRequest
		parameter string
	}{
		"a name with a space":     {release("backup 1"), "hold"},
		"a name that is too long": {release(strings.Repeat("x", 129)), "hold"},
		"force with a hold":       {&exportgatev1.ResumeRequest{Hold: "backup-1", Force: true}, "force"},
	}
	h := servertest.Start(t, servertest.Options{})
	for _, door := range servertest.Doors() {
		t := try{T: t, door: door}
		route := h.Route(t, door)
		for name, test := range pauses {
			t.expectInvalid("pause with "+name, route.Pause(t.Context(), test.request), test.parameter)
		}
		for name, test := range resumes {
			t.expectInvalid("resume with "+name, route.Resume(t.Context(), test.request), test.parameter)
		}
	}
	t2 := try{T: t, door: servertest.GRPC}
	route := h.Route(t, servertest.GRPC)
	absurd := &exportgatev1.PauseRequest{Ttl: &durationpb.Duration{Seconds: 1, Nanos: -1}}
	t2.expectInvalid("a ttl that contradicts itself", route.Pause(t.Context(), absurd), "ttl")
	for _, form := range servertest.Forms() {
		_, o := h.Watch(t, form, strings.Repeat("x", 101)).Next()
		t2.expectInvalid(string(form)+" with a cursor that is too long", o, "cursor")
	}
	for _, query := range []string{
		"pause?ttl=90", "pause?ttl=never", "pause?ttl=", "pause?hold=", "pause?renew=", "pause?reason=", "pause?hold=a&hold=b",
		"pause?ttl=1h&TTL=2h", "pause?uid=ABC", "pause?force=true", "resume?hold=", "resume?ttl=1h", "resume?force=maybe",
	} {
		if a := exchange(t, h, http.MethodPost, "/actuator/exporting/"+query); a.code != http.StatusBadRequest {
			t.Errorf("%s: got %+v", query, a)
		}
	}
	t2.expectUntouched(h)
	if s := t2.status(h); len(s.GetHolds())+len(s.GetHistory()) > 0 {
		t.Errorf("there are holds: %v", s)
	}
}

// expectInvalid fails the test unless a call was refused because of a parameter.
func (t try) expectInvalid(what string, o servertest.Outcome, parameter string) {
	t.Helper()
	if o.Err != nil || o.Code != codes.InvalidArgument || o.Reason != invalid || o.Metadata["parameter"] != parameter {
		t.Errorf("by %s, %s: got %v, want %s of %s", t.door, what, o, invalid, parameter)
	}
}

// There is an end to how many holds the ledger takes; it is said, and what is there can be renewed and released, also where
// every name and reason is as long as it may be.
func TestTooManyHolds(t *testing.T) {
	t.Parallel()
	const most = 100
	one := embedded.Options{Brokers: 1, Partitions: 1, Version: "8.9"}
	h := servertest.Start(t, servertest.Options{Cluster: one, Settings: within("1m")})
	long := func(i int) *exportgatev1.PauseRequest {
		request := place(fmt.Sprintf("%0128d", i), embedded.SoftPaused)
		request.Reason = strings.Repeat("x", 1000)
		return request
	}
	var placed []<-chan servertest.Outcome
	for i := range most {
		route := h.Route(t, servertest.Doors()[i%2])
		placed = append(placed, later(func() servertest.Outcome { return route.Pause(t.Context(), long(i)) }))
	}
	for i, o := range placed {
		if o := <-o; !o.OK() || o.Hold.GetId() != long(i).GetHold() {
			t.Fatalf("hold %d: %v", i, o)
		}
	}
	for _, door := range servertest.Doors() {
		t := try{T: t, door: door}
		route := h.Route(t, door)
		o := route.Pause(t.Context(), long(most))
		t.expect(o, codes.ResourceExhausted, tooMany)
		if o.Metadata["limit"] != "100" {
			t.Errorf("the limit is not told: %v", o)
		}
		t.expect(route.Pause(t.Context(), soft()), codes.ResourceExhausted, tooMany)
		t.expect(route.Pause(t.Context(), long(0)), codes.OK, "")
		t.expect(route.Resume(t.Context(), resume()), codes.FailedPrecondition, heldBy)
		t.expect(route.Resume(t.Context(), release(long(1).GetHold())), codes.OK, "")
		t.expect(route.Pause(t.Context(), long(1)), codes.OK, "")
	}
	o := h.Route(t, servertest.GRPC).Resume(t.Context(), force())
	try{T: t, door: servertest.GRPC}.expectSuccess(h, o, embedded.Exporting)
	if len(o.Forced) != most {
		t.Errorf("force ended %d holds", len(o.Forced))
	}
}
