package service

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/caller"
	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reason"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// Details travel in a trailer, where clients limit what they read, some to 8 KiB for all headers together. After base64
// these bounds leave room for the rest.
const (
	maxMessage  = 2 << 10
	maxDetails  = 2 << 10
	maxMetadata = 256
)

// invalidError is a parameter that cannot be understood.
type invalidError struct{ parameter, why string }

// Error names the parameter.
func (e *invalidError) Error() string { return e.parameter + ": " + e.why }

// status turns an error into what the client gets. It is the only place that does.
func (s *Service) status(ctx context.Context, err error) error {
	var (
		invalid     *invalidError
		unsafe      *exporting.UnsafeTransitionError
		unsupported *exporting.SoftPauseUnsupportedError
		superseded  *reconcile.SupersededError
		incomplete  *exporting.IncompleteTopologyError
		mixed       *exporting.MixedVersionsError
		unsettled   *reconcile.NotSettledError
		notFound    *reconcile.HoldNotFoundError
		expired     *reconcile.HoldExpiredError
		broken      *reconcile.HoldBrokenError
		others      *reconcile.HeldByOthersError
		unavailable *hold.UnavailableError
		tooMany     *hold.TooManyError
		diskLow     *reconcile.DiskLowError
		notOwner    *hold.NotOwnerError
	)
	switch {
	case errors.As(err, &invalid):
		return withInfo(codes.InvalidArgument, err, exportgatev1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT,
			map[string]string{"parameter": invalid.parameter})
	case errors.As(err, &unsafe):
		return withInfo(codes.FailedPrecondition, err, exportgatev1.ErrorReason_ERROR_REASON_UNSAFE_TRANSITION,
			map[string]string{"brokers": brokerList(unsafe.Brokers)})
	case errors.As(err, &unsupported):
		return withInfo(codes.FailedPrecondition, err, exportgatev1.ErrorReason_ERROR_REASON_SOFT_PAUSE_UNSUPPORTED,
			map[string]string{"brokers": brokerList(unsupported.Brokers), "version": unsupported.Version})
	case errors.As(err, &superseded):
		return withInfo(codes.Aborted, err, exportgatev1.ErrorReason_ERROR_REASON_SUPERSEDED,
			map[string]string{"hold": superseded.Hold})
	case errors.As(err, &incomplete):
		return withInfo(codes.Unavailable, err, exportgatev1.ErrorReason_ERROR_REASON_INCOMPLETE_TOPOLOGY,
			map[string]string{"missing": strings.Join(incomplete.Missing, "; ")})
	case errors.As(err, &mixed):
		return withInfo(codes.Unavailable, err, exportgatev1.ErrorReason_ERROR_REASON_MIXED_VERSIONS,
			map[string]string{"versions": strings.Join(mixed.Versions, ",")})
	case errors.As(err, &unsettled):
		return withInfo(codes.DeadlineExceeded, err, exportgatev1.ErrorReason_ERROR_REASON_REPLICAS_NOT_SETTLED,
			map[string]string{
				"failed": strconv.Itoa(len(unsettled.Failures)), "total": strconv.Itoa(unsettled.Total),
				"hold": unsettled.Hold, "outcome": string(unsettled.Outcome),
			}, toFailures(unsettled.Failures)...)
	case errors.As(err, &notFound):
		return withInfo(codes.NotFound, err, exportgatev1.ErrorReason_ERROR_REASON_HOLD_NOT_FOUND,
			map[string]string{"hold": notFound.Hold})
	case errors.As(err, &expired):
		return withInfo(codes.FailedPrecondition, err, exportgatev1.ErrorReason_ERROR_REASON_HOLD_EXPIRED,
			map[string]string{"hold": expired.Hold, "time": expired.At.UTC().Format(time.RFC3339)})
	case errors.As(err, &broken):
		return withInfo(codes.FailedPrecondition, err, exportgatev1.ErrorReason_ERROR_REASON_HOLD_BROKEN,
			map[string]string{
				"hold": broken.Hold, "continuity": broken.Continuity.String(), "evidence": strings.Join(broken.Evidence, "; "),
			})
	case errors.As(err, &others):
		return withInfo(codes.FailedPrecondition, err, exportgatev1.ErrorReason_ERROR_REASON_HELD_BY_OTHERS,
			map[string]string{"holds": strings.Join(others.Holds, ",")})
	case errors.As(err, &unavailable):
		code, written := codes.Unavailable, "no"
		if unavailable.Uncertain { // UNAVAILABLE would say that nothing was touched.
			code, written = codes.DeadlineExceeded, "unknown"
		}
		s.log.WarnContext(ctx, "the ledger cannot be written", "error", unavailable)
		return withInfo(code, err, exportgatev1.ErrorReason_ERROR_REASON_STORE_UNAVAILABLE, map[string]string{"written": written})
	case errors.As(err, &diskLow):
		return withInfo(codes.FailedPrecondition, err, exportgatev1.ErrorReason_ERROR_REASON_DISK_LOW,
			map[string]string{"brokers": brokerList(diskLow.Brokers), "min_free": diskLow.MinFree, "found": diskLow.Found})
	case errors.As(err, &tooMany):
		return withInfo(codes.ResourceExhausted, err, exportgatev1.ErrorReason_ERROR_REASON_TOO_MANY_HOLDS,
			map[string]string{"limit": strconv.Itoa(tooMany.Limit)})
	case errors.As(err, &notOwner):
		who := caller.From(ctx)
		return withInfo(codes.PermissionDenied, err, exportgatev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED,
			map[string]string{"hold": notOwner.Hold, "caller": who.Name, "role": who.Role.String()})
	case errors.Is(err, reconcile.ErrShuttingDown):
		return withInfo(codes.Unavailable, err, exportgatev1.ErrorReason_ERROR_REASON_SHUTTING_DOWN, nil)
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the caller went away; what it asked for goes on")
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "the caller's time was over; what it asked for goes on")
	}
	s.log.ErrorContext(ctx, "unexpected error", "error", err)
	return status.Error(codes.Internal, "internal error; the server's log has more")
}

func brokerList(ids []exporting.BrokerID) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = string(id)
	}
	return strings.Join(words, ",")
}

// toFailures converts as many failures as fit into a trailer.
func toFailures(failures []exporting.Failure) []protoadapt.MessageV1 {
	var details []protoadapt.MessageV1
	size := 0
	for _, f := range failures {
		detail := &exportgatev1.ReplicaFailure{
			Partition: f.Partition.ID, Tenant: f.Partition.Tenant, Broker: string(f.Broker), Role: toRole(f.Role),
			Phase: toPhase(f.Phase), Wanted: toPhase(f.Wanted), Error: truncate(f.Reason, maxMetadata),
		}
		if size += proto.Size(detail) + len("type.googleapis.com/exportgate.v1.ReplicaFailure"); size > maxDetails {
			break
		}
		details = append(details, protoadapt.MessageV1Of(detail))
	}
	return details
}

func withInfo(code codes.Code, err error, why exportgatev1.ErrorReason, metadata map[string]string,
	details ...protoadapt.MessageV1,
) error {
	for _, key := range slices.Collect(maps.Keys(metadata)) {
		metadata[key] = truncate(metadata[key], maxMetadata)
	}
	return reason.With(status.New(code, truncate(err.Error(), maxMessage)), why, metadata, details...).Err()
}

// truncate shortens a text to a number of bytes, at a rune's edge, and shows that it did.
func truncate(s string, limit int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit-len("…")], "") + "…"
}
