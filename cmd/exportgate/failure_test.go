package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// failing makes every call end with one error.
func failing(code codes.Code, message string, details ...protoadapt.MessageV1) *fake {
	st, err := status.New(code, message).WithDetails(details...)
	if err == nil {
		err = st.Err()
	}
	return &fake{
		pause: func(context.Context, *exportgatev1.PauseRequest) (*exportgatev1.PauseResponse, error) {
			return nil, err
		},
		getStatus: func(context.Context) (*exportgatev1.GetStatusResponse, error) { return nil, err },
	}
}

func reason(name string, metadata map[string]string) protoadapt.MessageV1 {
	return protoadapt.MessageV1Of(&errdetails.ErrorInfo{Reason: name, Domain: "exportgate", Metadata: metadata})
}

func notSettled(outcome string) *fake {
	return failing(codes.DeadlineExceeded, "2 of 9 replicas did not follow within 30s",
		reason("REPLICAS_NOT_SETTLED", map[string]string{
			"failed": "2", "total": "9", "hold": "operator", "outcome": outcome,
		}),
		protoadapt.MessageV1Of(&exportgatev1.ReplicaFailure{
			Partition: 1, Broker: "2", Role: exportgatev1.Role_ROLE_FOLLOWER, Phase: exportgatev1.Phase_PHASE_EXPORTING,
			Wanted: exportgatev1.Phase_PHASE_PAUSED, Error: "the broker took the change and did not follow",
		}),
		protoadapt.MessageV1Of(&exportgatev1.ReplicaFailure{
			Broker: "\x1b[2J1", Role: exportgatev1.Role_ROLE_UNKNOWN, Phase: exportgatev1.Phase_PHASE_UNKNOWN,
			Wanted: exportgatev1.Phase_PHASE_PAUSED, Error: "connection refused\nexportgate: all is well",
		}),
		protoadapt.MessageV1Of(&exportgatev1.ReplicaFailure{
			Partition: 3, Tenant: "other", Wanted: exportgatev1.Phase_PHASE_PAUSED,
		}))
}

func TestFailures(t *testing.T) {
	tests := []struct {
		name string
		fake *fake
	}{
		{"reverted", notSettled("reverted")},
		{"kept", notSettled("kept")},
		{"unenforced", notSettled("unenforced")},
		{"incomplete", failing(codes.Unavailable, "partition 2 has 2 of 3 replicas",
			reason("INCOMPLETE_TOPOLOGY", map[string]string{"missing": "partition 2: 2 of 3 replicas"}),
			protoadapt.MessageV1Of(&errdetails.RetryInfo{RetryDelay: durationpb.New(5 * time.Second)}))},
		{"unsafe", failing(codes.FailedPrecondition, "brokers 0, 2 read SOFT_PAUSED",
			reason("UNSAFE_TRANSITION", map[string]string{"brokers": "0,2"}))},
		{"held", failing(codes.FailedPrecondition, "named holds keep exporting paused",
			reason("HELD_BY_OTHERS", map[string]string{"holds": "backup-42,debug"}))},
		{"store", failing(codes.Unavailable, "the ledger cannot be written: no space left on device",
			reason("STORE_UNAVAILABLE", map[string]string{"written": "no"}))},
		{"store-unknown", failing(codes.DeadlineExceeded, "the ledger did not answer",
			reason("STORE_UNAVAILABLE", map[string]string{"written": "unknown"}))},
		{"hostile", failing(codes.Internal, "\x1b]0;owned\aboom\u202e",
			reason("\x1b[2J", map[string]string{"\x1b[3J": "\x1b[4J"}))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := run(t, nil, "pause", "--server", serve(t, test.fake))
			if want := map[string]int{"held": exitHeldByOthers}[test.name]; got.code != max(want, exitFailed) || got.stdout != "" {
				t.Errorf("got exit code %d and standard output %q", got.code, got.stdout)
			}
			golden(t, "failure-"+test.name, got.stderr)
		})
	}
}

// TestCodesOfHolds proves that a script can tell how its hold ended, whichever form of output it asked for.
func TestCodesOfHolds(t *testing.T) {
	for name, want := range map[string]int{
		"HOLD_BROKEN": exitBroken, "HOLD_EXPIRED": exitExpired, "HELD_BY_OTHERS": exitHeldByOthers,
		"HOLD_NOT_FOUND": exitNotFound, "SUPERSEDED": exitFailed, "TOO_MANY_HOLDS": exitFailed, "FROM_A_LATER_RELEASE": exitFailed,
	} {
		for _, output := range []string{"table", "json"} {
			address := serve(t, failing(codes.FailedPrecondition, "no", reason(name, map[string]string{"hold": "a"})))
			if got := run(t, nil, "pause", "-o", output, "--server", address); got.code != want {
				t.Errorf("%s, %s: got exit code %d, want %d", name, output, got.code, want)
			}
		}
	}
}

// TestNextSteps proves that each reason of the API leads to a next step of its own.
func TestNextSteps(t *testing.T) {
	seen := map[string]string{}
	for number, name := range exportgatev1.ErrorReason_name {
		if number == 0 {
			continue
		}
		metadata := map[string]string{"outcome": "resuming"}
		next := nextAfter(&errdetails.ErrorInfo{Reason: strings.TrimPrefix(name, "ERROR_REASON_"), Metadata: metadata})
		if other, ok := seen[next]; ok || next == nextAfter(&errdetails.ErrorInfo{Reason: "FROM_A_LATER_RELEASE"}) {
			t.Errorf("%s has no next step of its own: %q, as %s", name, next, other)
		}
		seen[next] = name
	}
}

func TestJSON(t *testing.T) {
	want := mixed()
	want.Holds[0].Owner = "\u009b31m\u202e\U000e0001"
	address := serve(t, showing(want))
	got := run(t, nil, "status", "-o", "json", "--server", address)
	if got.code != exitOK || got.stderr != "" {
		t.Fatalf("got exit code %d and %q", got.code, got.stderr)
	}
	golden(t, "status-json", got.stdout)
	var document struct {
		Status struct {
			Settled *bool
			Holds   []struct{ Owner string }
		}
	}
	if err := json.Unmarshal([]byte(got.stdout), &document); err != nil {
		t.Fatal(err)
	}
	if s := document.Status; s.Settled == nil || *s.Settled || s.Holds[0].Owner != want.GetHolds()[0].GetOwner() {
		t.Errorf("got %+v", s)
	}
}

func TestJSONOfFailures(t *testing.T) {
	unknown := &anypb.Any{TypeUrl: "type.googleapis.com/exportgate.v9.Unknown", Value: []byte{8, 1}}
	tests := []struct {
		name    string
		fake    *fake
		code    codes.Code
		details int
	}{
		{"with details", notSettled("reverted"), codes.DeadlineExceeded, 4},
		{"without", failing(codes.Internal, "boom"), codes.Internal, 0},
		{"with an unknown one", &fake{pause: func(
			context.Context, *exportgatev1.PauseRequest,
		) (*exportgatev1.PauseResponse, error) {
			st := status.New(codes.Aborted, "later").Proto()
			st.Details = append(st.Details, unknown)
			return nil, status.ErrorProto(st)
		}}, codes.Aborted, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := run(t, nil, "pause", "-o", "json", "--server", serve(t, test.fake))
			var document struct {
				Code    codes.Code
				Message string
				Details []map[string]any
			}
			if err := json.Unmarshal([]byte(got.stdout), &document); err != nil {
				t.Fatalf("%v in %q", err, got.stdout)
			}
			if got.code != exitFailed || document.Code != test.code || len(document.Details) != test.details {
				t.Errorf("got exit code %d and %+v", got.code, document)
			}
			if !strings.Contains(got.stderr, "pause failed: "+document.Message) {
				t.Errorf("got standard error %q", got.stderr)
			}
		})
	}
}

// TestOutputThatCannotBeWritten proves that an answer nobody got is not success.
func TestOutputThatCannotBeWritten(t *testing.T) {
	address := serve(t, showing(mixed()))
	for _, output := range []string{"table", "json"} {
		var stderr strings.Builder
		code := execute(t.Context(), newRootCommand(console{
			stdout: screen{Writer: brokenPipe{}}, stderr: screen{Writer: &stderr},
		}), []string{"status", "-o", output, "--server", address})
		if code != exitFailed || !strings.Contains(stderr.String(), "write the answer: broken pipe") {
			t.Errorf("%s: got exit code %d and %q", output, code, stderr.String())
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }
