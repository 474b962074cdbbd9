package reason

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

func TestWith(t *testing.T) {
	const why = exportgatev1.ErrorReason_ERROR_REASON_TOO_MANY_CALLS
	plain := status.New(codes.ResourceExhausted, "too many")
	if Of(plain) != nil {
		t.Error("a status without a reason has one")
	}
	st := With(plain, why, map[string]string{"limit": "burst"}, &errdetails.RetryInfo{RetryDelay: durationpb.New(1)})
	info := Of(st)
	if info.GetReason() != "TOO_MANY_CALLS" || info.GetDomain() != "exportgate" || info.GetMetadata()["limit"] != "burst" ||
		st.Code() != plain.Code() || st.Message() != plain.Message() || len(st.Details()) != 2 {
		t.Errorf("it is %v", st.Proto())
	}
	for name, broken := range map[string]*status.Status{
		"text that is none": With(plain, why, map[string]string{"limit": "\xff"}),
		"no failure":        With(status.New(codes.OK, ""), why, nil),
	} {
		if len(broken.Details()) != 0 {
			t.Errorf("%s: it has details: %v", name, broken.Details())
		}
	}
}

func TestStatus(t *testing.T) {
	denied := status.Error(codes.PermissionDenied, "no")
	tests := []struct {
		err  error
		want codes.Code
	}{
		{nil, codes.OK},
		{denied, codes.PermissionDenied},
		{fmt.Errorf("a call: %w", denied), codes.PermissionDenied},
		{context.Canceled, codes.Canceled},
		{fmt.Errorf("a call: %w", context.DeadlineExceeded), codes.DeadlineExceeded},
		{errors.New("odd"), codes.Unknown},
	}
	for _, test := range tests {
		if got := Status(test.err).Code(); got != test.want {
			t.Errorf("%v is %v, want %v", test.err, got, test.want)
		}
	}
}
