package audit

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/caller"
	"github.com/exportgate/exportgate/server/internal/hold"
)

func pausing() *Call {
	return &Call{
		Caller: caller.Caller{Name: "token:backup", Role: caller.Holder}, Address: "192.0.2.7:4711", UserAgent: "curl/8", Door: "http",
		Operation: "/exportgate.v1.ExportingService/Pause", RequestID: "r-1", TraceID: "t-1", Changes: true,
		Request: &exportgatev1.PauseRequest{Hold: "backup-42", Reason: "nightly"},
	}
}

func resuming() *Call {
	c := pausing()
	c.Operation, c.Request = "/exportgate.v1.ExportingService/Resume", &exportgatev1.ResumeRequest{}
	return c
}

func failure(t *testing.T, code codes.Code, reason, message string) error {
	t.Helper()
	st, err := status.New(code, message).WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: "exportgate"})
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}

// A call that changes something has a line before and one after, with all that an auditor asks for.
func TestCallHasTwoLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, b := options(t)
		l := opening(t, o)
		c := pausing()
		if _, err := l.Intent(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if got := kinds(read(t, o.Path)); len(got) != 1 {
			t.Errorf("before anything is touched the file has %v", got)
		}
		<-time.After(1500 * time.Millisecond)
		l.Outcome(c, failure(t, codes.DeadlineExceeded, "REPLICAS_NOT_SETTLED", "2 of 9 replicas did not follow"))
		who := Line{
			Server: "a", RequestID: "r-1", TraceID: "t-1", Caller: "token:backup", Role: "holder", Address: "192.0.2.7:4711",
			UserAgent: "curl/8", Door: "http", Operation: "/exportgate.v1.ExportingService/Pause", Hold: "backup-42", Reason: "nightly",
			Before: &Snapshot{Target: "PAUSED", Observed: "MIXED", Holds: []string{"operator"}},
		}
		intent, outcome := who, who
		intent.Kind, intent.Seq = KindIntent, 1
		outcome.Kind, outcome.Seq = KindOutcome, 2
		outcome.Code, outcome.ErrorReason, outcome.Message = "DEADLINE_EXCEEDED", "REPLICAS_NOT_SETTLED", "2 of 9 replicas did not follow"
		outcome.Seconds, outcome.After = 1.5, who.Before
		lines := read(t, o.Path)
		if diff := cmp.Diff([]*Line{&intent, &outcome}, lines, cmpopts.IgnoreFields(Line{}, "Time")); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
		if began := lines[0].Time; lines[1].Time.Sub(began) != 1500*time.Millisecond || began.Location() != time.UTC {
			t.Errorf("the lines are of %v and %v", lines[0].Time, lines[1].Time)
		}
		if b.stderr.String() != "" || b.failed != 0 || l.State().Err != nil {
			t.Errorf("state %+v, %d failed, standard error %q", l.State(), b.failed, b.stderr.String())
		}
	})
}

func TestParameters(t *testing.T) {
	everything := &exportgatev1.PauseRequest{
		Soft: true, Hold: "b", Reason: "why", Ttl: durationpb.New(90 * time.Second), OnFailure: exportgatev1.OnFailure_ON_FAILURE_KEEP,
		ValidateOnly: true,
	}
	unreadable := &exportgatev1.PauseRequest{Hold: "\x1b[2J\u202eb", Reason: strings.Repeat("ä", 600)}
	tests := []struct {
		name         string
		request      proto.Message
		hold, reason string
		want         *Parameters
	}{
		{"a plain pause", &exportgatev1.PauseRequest{}, hold.Operator, "", nil},
		{"everything of a pause", everything, "b", "why", &Parameters{Soft: true, TTL: "1m30s", OnFailure: "KEEP", ValidateOnly: true}},
		{"a renewal", &exportgatev1.PauseRequest{Renew: "u"}, "", "", &Parameters{Renew: "u"}},
		{"a plain resume", &exportgatev1.ResumeRequest{}, hold.Operator, "", nil},
		{"a resume of a hold", &exportgatev1.ResumeRequest{Hold: "b"}, "b", "", nil},
		{"a resume of everything", &exportgatev1.ResumeRequest{Force: true}, "", "", &Parameters{Force: true}},
		{"a check of one", &exportgatev1.ResumeRequest{ValidateOnly: true}, hold.Operator, "", &Parameters{ValidateOnly: true}},
		{"no message", nil, "", "", nil},
		{"another message", &exportgatev1.GetStatusRequest{}, "", "", nil},
		{"more than is readable", unreadable, "\ufffd[2J\ufffdb", strings.Repeat("ä", 500) + "...", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			line := (&Call{Request: test.request}).line(KindIntent)
			if line.Hold != test.hold || line.Reason != test.reason {
				t.Errorf("hold %q, reason %q, want %q, %q", line.Hold, line.Reason, test.hold, test.reason)
			}
			if diff := compare(test.want, line.Parameters); diff != "" {
				t.Errorf("parameters (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		name                  string
		err                   error
		code, reason, message string
	}{
		{"success", nil, "OK", "", ""},
		{"a reason", failure(t, codes.Aborted, "SUPERSEDED", "later"), "ABORTED", "SUPERSEDED", "later"},
		{"none", status.Error(codes.Internal, "internal"), "INTERNAL", "", "internal"},
		{"the caller left", context.Canceled, "CANCELLED", "", "context canceled"},
		{"no status", errors.New("odd"), "UNKNOWN", "", "odd"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			line := &Line{}
			line.answer(test.err)
			if line.Code != test.code || line.ErrorReason != test.reason || line.Message != test.message {
				t.Errorf("%q, %q, %q, want %q, %q, %q", line.Code, line.ErrorReason, line.Message, test.code, test.reason, test.message)
			}
		})
	}
}

// Calls that only look have no lines, unless they are turned away.
func TestCallThatChangesNothing(t *testing.T) {
	o, _ := options(t)
	l := opening(t, o)
	c := &Call{Operation: "GET /prometheus", Address: "192.0.2.7:1"}
	if _, err := l.Intent(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	l.Outcome(c, nil)
	l.Refused(c, failure(t, codes.PermissionDenied, "PERMISSION_DENIED", "no"))
	closing(t, l)
	lines := read(t, o.Path)
	if len(lines) != 1 || lines[0].Kind != KindRefused || lines[0].Code != "PERMISSION_DENIED" || lines[0].Operation != "GET /prometheus" {
		t.Errorf("lines %+v", lines)
	}
}

// What changes the ledger for a call names that call.
func TestChangeNamesItsCall(t *testing.T) {
	o, _ := options(t)
	l := opening(t, o)
	ctx, err := l.Intent(t.Context(), pausing())
	if err != nil {
		t.Fatal(err)
	}
	l.Change(context.WithoutCancel(ctx), hold.Change{After: hold.State{Revision: 1}})
	l.Change(t.Context(), hold.Change{Before: hold.State{Revision: 1}, After: hold.State{Revision: 2}})
	closing(t, l)
	lines := read(t, o.Path)[1:]
	if c := lines[0]; c.Cause != "call" || c.RequestID != "r-1" || c.TraceID != "t-1" || c.Caller != "token:backup" || c.Operation != "" {
		t.Errorf("the call's change is %+v", c)
	}
	if c := lines[1]; c.Cause != "server" || c.RequestID != "" || c.Caller != "" {
		t.Errorf("the server's change is %+v", c)
	}
}

func TestEvent(t *testing.T) {
	o, _ := options(t)
	l := opening(t, o)
	l.Event(Own{Kind: "repaused", Message: "broker 1 exported", Hold: "backup-42"})
	closing(t, l)
	lines := read(t, o.Path)
	if len(lines) != 1 || lines[0].Event != "repaused" || lines[0].Message != "broker 1 exported" || lines[0].Hold != "backup-42" {
		t.Errorf("lines %+v", lines)
	}
}
