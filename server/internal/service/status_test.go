package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/caller"
	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

func TestStatusOfErrors(t *testing.T) {
	failure := exporting.Failure{
		Partition: exporting.PartitionID{ID: 2}, Broker: "1", Phase: exporting.PhaseExporting,
		Wanted: exporting.PhasePaused, Reason: "reads EXPORTING",
	}
	tests := []struct {
		err      error
		code     codes.Code
		reason   string
		metadata map[string]string
		message  string // part of it
	}{
		{
			&invalidError{"on_failure", "7 is not known"}, codes.InvalidArgument, "INVALID_ARGUMENT",
			map[string]string{"parameter": "on_failure"},
			"on_failure: 7",
		},
		{
			&exporting.UnsafeTransitionError{Brokers: []exporting.BrokerID{"0", "2"}}, codes.FailedPrecondition, "UNSAFE_TRANSITION",
			map[string]string{"brokers": "0,2"},
			"resume first",
		},
		{
			&exporting.SoftPauseUnsupportedError{Brokers: []exporting.BrokerID{"1"}, Version: "8.4.2"}, codes.FailedPrecondition,
			"SOFT_PAUSE_UNSUPPORTED",
			map[string]string{"brokers": "1", "version": "8.4.2"},
			"8.4.2",
		},
		{&reconcile.SupersededError{Hold: "operator"}, codes.Aborted, "SUPERSEDED", map[string]string{"hold": "operator"}, "operator"},
		{
			&exporting.IncompleteTopologyError{Missing: []string{"broker 1: dead"}}, codes.Unavailable, "INCOMPLETE_TOPOLOGY",
			map[string]string{"missing": "broker 1: dead"},
			"broker 1: dead",
		},
		{
			&exporting.MixedVersionsError{Versions: []string{"8.9.3", "8.10+"}}, codes.Unavailable, "MIXED_VERSIONS",
			map[string]string{"versions": "8.9.3,8.10+"},
			"8.9.3, 8.10+",
		},
		{
			&reconcile.NotSettledError{
				Hold: "operator", Outcome: reconcile.OutcomeKept, Wanted: exporting.PhasePaused, Failures: []exporting.Failure{failure}, Total: 9,
			}, codes.DeadlineExceeded, "REPLICAS_NOT_SETTLED",
			map[string]string{"failed": "1", "total": "9", "hold": "operator", "outcome": "kept"},
			"partition 2 on broker 1: reads EXPORTING",
		},
		{
			&reconcile.HoldNotFoundError{Hold: "b"}, codes.NotFound, "HOLD_NOT_FOUND", map[string]string{"hold": "b"}, `no hold "b"`,
		},
		{
			&reconcile.HoldNotFoundError{Hold: "b", Released: "released yesterday"}, codes.NotFound, "HOLD_NOT_FOUND",
			map[string]string{"hold": "b"},
			"released yesterday",
		},
		{
			&reconcile.HoldExpiredError{Hold: "b", At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, codes.FailedPrecondition,
			"HOLD_EXPIRED",
			map[string]string{"hold": "b", "time": "2026-01-02T03:04:05Z"},
			"2026-01-02T03:04:05Z",
		},
		{
			&reconcile.HoldBrokenError{Hold: "b", Continuity: hold.Unknown, Evidence: []string{"x", "y"}}, codes.FailedPrecondition,
			"HOLD_BROKEN",
			map[string]string{"hold": "b", "continuity": "UNKNOWN", "evidence": "x; y"},
			"may not have kept",
		},
		{
			&reconcile.HeldByOthersError{Holds: []string{"a", "b"}}, codes.FailedPrecondition, "HELD_BY_OTHERS",
			map[string]string{"holds": "a,b"},
			"a, b",
		},
		{
			&hold.UnavailableError{Err: errors.New("disk full")}, codes.Unavailable, "STORE_UNAVAILABLE",
			map[string]string{"written": "no"},
			"nothing was touched",
		},
		{
			&hold.UnavailableError{Err: errors.New("timeout"), Uncertain: true}, codes.DeadlineExceeded, "STORE_UNAVAILABLE",
			map[string]string{"written": "unknown"},
			"ask for the status",
		},
		{&hold.TooManyError{Limit: 100}, codes.ResourceExhausted, "TOO_MANY_HOLDS", map[string]string{"limit": "100"}, "100"},
		{
			&hold.NotOwnerError{Hold: "b"}, codes.PermissionDenied, "PERMISSION_DENIED",
			map[string]string{"hold": "b", "caller": "token:me", "role": "holder"},
			`hold "b" is another's`,
		},
		{reconcile.ErrShuttingDown, codes.Unavailable, "SHUTTING_DOWN", nil, "shutting down"},
		{context.Canceled, codes.Canceled, "", nil, "goes on"},
		{context.DeadlineExceeded, codes.DeadlineExceeded, "", nil, "goes on"},
		{errors.New("secret of the house"), codes.Internal, "", nil, "internal error"},
	}
	s := New(nil, slog.New(slog.DiscardHandler))
	for _, test := range tests {
		for _, err := range []error{test.err, fmt.Errorf("wrapped: %w", test.err)} {
			t.Run(test.reason, func(t *testing.T) {
				ctx := caller.With(t.Context(), caller.Caller{Name: "token:me", Role: caller.Holder})
				st := status.Convert(s.status(ctx, err))
				if st.Code() != test.code || !strings.Contains(st.Message(), test.message) {
					t.Errorf("%v: %s", st.Code(), st.Message())
				}
				if strings.Contains(st.Message(), "secret") {
					t.Error("an unexpected error was shown to the client")
				}
				info := &errdetails.ErrorInfo{}
				if details := st.Details(); len(details) > 0 {
					info, _ = details[0].(*errdetails.ErrorInfo)
				}
				want := &errdetails.ErrorInfo{}
				if test.reason != "" {
					want = &errdetails.ErrorInfo{Reason: test.reason, Domain: "exportgate", Metadata: test.metadata}
				}
				if !proto.Equal(info, want) {
					t.Errorf("info %v, want %v", info, want)
				}
				if _, known := exportgatev1.ErrorReason_value["ERROR_REASON_"+info.GetReason()]; test.reason != "" && !known {
					t.Errorf("reason %s is not in the contract", info.GetReason())
				}
			})
		}
	}
}

// However many replicas fail, and whatever brokers say, the status fits into what clients accept as headers.
func TestStatusFitsIntoATrailer(t *testing.T) {
	var failures []exporting.Failure
	for i := range 9000 {
		failures = append(failures, exporting.Failure{
			Partition: exporting.PartitionID{ID: int32(i / 3)}, Broker: exporting.BrokerID(fmt.Sprint("broker-", i%100)),
			Reason: fmt.Sprintf("%d %s", i, strings.Repeat("\xffü", 200)),
		})
	}
	err := &reconcile.NotSettledError{Failures: failures, Total: 9000, Outcome: reconcile.OutcomeReverting}
	st := status.Convert(New(nil, slog.New(slog.DiscardHandler)).status(t.Context(), err))
	if size := proto.Size(st.Proto()); size > 6<<10 {
		t.Errorf("the status has %d bytes", size)
	}
	replicas := 0
	for _, d := range st.Details() {
		if _, ok := d.(*exportgatev1.ReplicaFailure); ok {
			replicas++
		}
	}
	if replicas == 0 {
		t.Error("no replica is named in the details")
	}
}
