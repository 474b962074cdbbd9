package interceptor

import (
	"cmp"
	"context"
	"errors"
	"path"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/audit"
	"github.com/exportgate/exportgate/server/internal/auth"
	"github.com/exportgate/exportgate/server/internal/limits"
	"github.com/exportgate/exportgate/server/internal/reason"
)

// auditRetry is when a pause may find the audit log writable again: it takes somebody to make room on a disk.
const auditRetry = 10 * time.Second

// refusal turns why a call is not let in into what the caller gets, and into what only the log says.
func (c *Chain) refusal(ctx context.Context, reported *call, err error) (st *status.Status, why string) {
	var (
		unauthenticated *auth.UnauthenticatedError
		denied          *auth.DeniedError
		unidentified    *auth.UnavailableError
		exceeded        *limits.ExceededError
		unaudited       *audit.UnavailableError
	)
	switch {
	case errors.As(err, &unauthenticated):
		return withInfo(codes.Unauthenticated, err, exportgatev1.ErrorReason_ERROR_REASON_UNAUTHENTICATED, nil), unauthenticated.Why
	case errors.As(err, &denied):
		return withInfo(codes.PermissionDenied, err, exportgatev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED, map[string]string{
			"caller": clip(denied.Caller.Name), "role": denied.Caller.Role.String(), "operation": path.Base(denied.Operation),
		}), ""
	case errors.As(err, &exceeded):
		return withInfo(codes.ResourceExhausted, err, exportgatev1.ErrorReason_ERROR_REASON_TOO_MANY_CALLS,
			map[string]string{"limit": exceeded.Limit}, retryIn(exceeded.RetryAfter)), ""
	case errors.As(err, &unidentified):
		return withInfo(codes.Unavailable, err, exportgatev1.ErrorReason_ERROR_REASON_IDENTITY_UNAVAILABLE, nil,
			retryIn(unidentified.RetryAfter)), unidentified.Err.Error()
	case errors.As(err, &unaudited):
		return withInfo(codes.Unavailable, err, exportgatev1.ErrorReason_ERROR_REASON_AUDIT_UNAVAILABLE, nil, retryIn(auditRetry)), ""
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()), err.Error()
	}
	c.options.Logger.ErrorContext(ctx, "unexpected error", "method", reported.operation, "request_id", requestID(ctx), "error", err)
	return status.New(codes.Internal, "internal error; the server's log has more"), err.Error()
}

func retryIn(delay time.Duration) protoadapt.MessageV1 {
	return &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)}
}

func withInfo(code codes.Code, err error, why exportgatev1.ErrorReason, metadata map[string]string,
	details ...protoadapt.MessageV1,
) *status.Status {
	return reason.With(status.New(code, strings.ToValidUTF8(err.Error(), "?")), why, metadata, details...)
}

// clip bounds a name in a trailer, where clients limit what they read.
func clip(name string) string {
	const enough = 256
	return strings.ToValidUTF8(name[:min(len(name), enough)], "?")
}

// reasonOf is why a call was turned away, for a counter: what the ErrorInfo names as the cause, else its reason.
func reasonOf(st *status.Status) string {
	info := reason.Of(st)
	return cmp.Or(info.GetMetadata()["cause"], info.GetReason(), st.Code().String())
}
