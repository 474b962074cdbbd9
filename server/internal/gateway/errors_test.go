package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

func TestHTTPStatus(t *testing.T) {
	want := map[codes.Code]int{
		codes.OK: 200, codes.Canceled: 499, codes.Unknown: 500, codes.InvalidArgument: 400, codes.DeadlineExceeded: 504,
		codes.NotFound: 404, codes.AlreadyExists: 409, codes.PermissionDenied: 403, codes.ResourceExhausted: 429,
		codes.FailedPrecondition: 409, codes.Aborted: 409, codes.OutOfRange: 400, codes.Unimplemented: 404,
		codes.Internal: 500, codes.Unavailable: 503, codes.DataLoss: 500, codes.Unauthenticated: 401,
		codes.Code(99): 500,
	}
	got := map[codes.Code]int{}
	for code := range want {
		got[code] = httpStatus(code)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// TestReasons walks the reasons of the contract over the wire: each has the HTTP status that its comment promises.
func TestReasons(t *testing.T) {
	type row struct {
		code codes.Code
		http int
	}
	refused, unavailable := row{codes.FailedPrecondition, 409}, row{codes.Unavailable, 503}
	table := map[exportgatev1.ErrorReason][]row{
		exportgatev1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT:       {{codes.InvalidArgument, 400}},
		exportgatev1.ErrorReason_ERROR_REASON_UNSAFE_TRANSITION:      {refused},
		exportgatev1.ErrorReason_ERROR_REASON_SOFT_PAUSE_UNSUPPORTED: {refused},
		exportgatev1.ErrorReason_ERROR_REASON_SUPERSEDED:             {{codes.Aborted, 409}},
		exportgatev1.ErrorReason_ERROR_REASON_INCOMPLETE_TOPOLOGY:    {unavailable},
		exportgatev1.ErrorReason_ERROR_REASON_MIXED_VERSIONS:         {unavailable},
		exportgatev1.ErrorReason_ERROR_REASON_REPLICAS_NOT_SETTLED:   {{codes.DeadlineExceeded, 504}},
		exportgatev1.ErrorReason_ERROR_REASON_SHUTTING_DOWN:          {unavailable},
		exportgatev1.ErrorReason_ERROR_REASON_HOLD_NOT_FOUND:         {{codes.NotFound, 404}},
		exportgatev1.ErrorReason_ERROR_REASON_HOLD_EXPIRED:           {refused},
		exportgatev1.ErrorReason_ERROR_REASON_HOLD_BROKEN:            {refused},
		exportgatev1.ErrorReason_ERROR_REASON_HELD_BY_OTHERS:         {refused},
		exportgatev1.ErrorReason_ERROR_REASON_STORE_UNAVAILABLE:      {unavailable, {codes.DeadlineExceeded, 504}},
		exportgatev1.ErrorReason_ERROR_REASON_TOO_MANY_HOLDS:         {{codes.ResourceExhausted, 429}},
		exportgatev1.ErrorReason_ERROR_REASON_UNAUTHENTICATED:        {{codes.Unauthenticated, 401}},
		exportgatev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED:      {{codes.PermissionDenied, 403}},
		exportgatev1.ErrorReason_ERROR_REASON_TOO_MANY_CALLS:         {{codes.ResourceExhausted, 429}},
		exportgatev1.ErrorReason_ERROR_REASON_AUDIT_UNAVAILABLE:      {unavailable},
		exportgatev1.ErrorReason_ERROR_REASON_IDENTITY_UNAVAILABLE:   {unavailable},
		exportgatev1.ErrorReason_ERROR_REASON_DISK_LOW:               {refused},
	}
	service := &fake{}
	d := openDoor(t, service, Options{})
	for number, name := range exportgatev1.ErrorReason_name {
		reason := exportgatev1.ErrorReason(number)
		if reason == exportgatev1.ErrorReason_ERROR_REASON_UNSPECIFIED {
			continue
		}
		word := strings.TrimPrefix(name, "ERROR_REASON_")
		if len(table[reason]) == 0 {
			t.Errorf("%s is not in the table of this test", name)
		}
		for _, want := range table[reason] {
			service.answer = func(context.Context) error {
				st, err := status.New(want.code, "why").WithDetails(&errdetails.ErrorInfo{Reason: word})
				if err != nil {
					return err
				}
				return st.Err()
			}
			for method, path := range map[string]string{http.MethodPost: "/exporting/pause", http.MethodGet: pathWatch} {
				got := send(t, method, d.url+path, nil, "Accept", mediaEvents)
				body := decode(t, got.body)
				if got.code != want.http || body["status"] != float64(want.http) || !strings.Contains(got.body, word) {
					t.Errorf("%s of %s: answer is %d %s, want %d twice and the reason", name, path, got.code, got.body, want.http)
				}
				if again := got.header.Get("Retry-After"); (again != "") != (want.http == http.StatusServiceUnavailable) {
					t.Errorf("%s of %s: Retry-After is %q with %d", name, path, again, got.code)
				}
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	tests := []struct {
		name  string
		code  codes.Code
		delay *durationpb.Duration
		want  string
	}{
		{"unsaid", codes.Unavailable, nil, "5"},
		{"whole seconds", codes.Unavailable, durationpb.New(30 * time.Second), "30"},
		{"rounded up", codes.Unavailable, durationpb.New(1500 * time.Millisecond), "2"},
		{"at once", codes.Unavailable, durationpb.New(0), "1"},
		{"in the past", codes.Unavailable, durationpb.New(-time.Minute), "1"},
		{"of a limit", codes.ResourceExhausted, durationpb.New(1500 * time.Millisecond), "2"},
		{"of a limit that no time lifts", codes.ResourceExhausted, nil, ""},
		{"of another failure", codes.Internal, durationpb.New(time.Second), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			st := status.New(test.code, "later")
			if test.delay != nil {
				var err error
				if st, err = st.WithDetails(&errdetails.RetryInfo{RetryDelay: test.delay}); err != nil {
					t.Fatal(err)
				}
			}
			d := openDoor(t, &fake{answer: func(context.Context) error { return st.Err() }}, Options{
				Admit: func(ctx context.Context, _ string) (context.Context, func(error), error) { return ctx, nil, st.Err() },
			})
			for _, path := range []string{"/exporting", "/exporting/watch", "/info"} {
				got := send(t, http.MethodGet, d.url+path, nil).header.Get("Retry-After")
				if got != test.want {
					t.Errorf("Retry-After of %s is %q, want %q", path, got, test.want)
				}
			}
		})
	}
}

// TestStatusThatCannotBeEncoded proves that the message survives what its details do not.
func TestStatusThatCannotBeEncoded(t *testing.T) {
	tests := map[string]*spb.Status{
		"a detail of an unknown type": {
			Code: 13, Message: "kept", Details: []*anypb.Any{{TypeUrl: "type.googleapis.com/no.such.Type", Value: []byte("x")}},
		},
		"text that is not UTF-8": {Code: 13, Message: "kept\xff"},
	}
	for name, st := range tests {
		t.Run(name, func(t *testing.T) {
			got := decode(t, string(statusJSON(status.FromProto(st))))
			message, _ := got["message"].(string)
			if got["code"] != 13.0 || !strings.HasPrefix(message, "kept") {
				t.Errorf("got %v, want the code and the message", got)
			}
		})
	}
}

func TestClip(t *testing.T) {
	if got := clip(strings.Repeat("é", 100)); len(got) > 70 || !strings.HasSuffix(got, "é...") {
		t.Errorf("got %q", got)
	}
	if got := clip("short\xff"); got != "short\uFFFD" {
		t.Errorf("got %q", got)
	}
}
