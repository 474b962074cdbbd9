package gateway

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/reason"
)

// httpStatus is the table of design.md 3. The code decides alone: the reason of an ErrorInfo says more to programs, but
// no reason has an HTTP status other than its code's.
//
// It differs from grpc-gateway's own table where that would mislead: a failed precondition is a conflict with the state
// of the cluster (409), not a malformed request (400), and an operation that is not served is not found (404), so that
// nobody retries it as a failure of the server (501).
func httpStatus(code codes.Code) int {
	switch code {
	case codes.OK:
		return http.StatusOK
	case codes.InvalidArgument, codes.OutOfRange:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.NotFound, codes.Unimplemented:
		return http.StatusNotFound
	case codes.FailedPrecondition, codes.Aborted, codes.AlreadyExists:
		return http.StatusConflict
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Canceled:
		return statusClientClosedRequest
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	case codes.Unknown, codes.Internal, codes.DataLoss:
	}
	return http.StatusInternalServerError
}

// statusClientClosedRequest is nginx's word for a client that did not wait. Only logs and tests ever see it.
const statusClientClosedRequest = 499

// invalid refuses a parameter, or with an empty name the request as a whole.
func invalid(parameter, format string, args ...any) *status.Status {
	var metadata map[string]string
	if parameter != "" {
		metadata = map[string]string{"parameter": clip(parameter)}
	}
	return reason.With(status.Newf(codes.InvalidArgument, format, args...),
		exportgatev1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, metadata)
}

// shuttingDown ends what would last for ever. The service says the same of calls that it does not begin any more.
func shuttingDown() *status.Status {
	return reason.With(status.New(codes.Unavailable, "the server is shutting down: connect again"),
		exportgatev1.ErrorReason_ERROR_REASON_SHUTTING_DOWN, nil)
}

// sayHow tells the client in headers how to come back from a failure. A limit of calls says when; one of holds has no time.
func sayHow(w http.ResponseWriter, r *http.Request, st *status.Status) {
	_, timed := delayOf(st)
	switch {
	case st.Code() == codes.Unauthenticated:
		w.Header().Set("Www-Authenticate", challenge(r))
	case st.Code() == codes.Unavailable, st.Code() == codes.ResourceExhausted && timed:
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter(st)))
	}
}

// retryAfter is how many seconds a client should wait: what the service says, else the default. Never 0, which clients
// take for at once.
func retryAfter(st *status.Status) int {
	const unsaid = 5 // about the time in which a broker that restarts, or another pass of the reconciler, shows
	if delay, ok := delayOf(st); ok {
		return max(1, int(math.Ceil(delay.Seconds())))
	}
	return unsaid
}

// delayOf is after what time a status says to try again, if it does.
func delayOf(st *status.Status) (time.Duration, bool) {
	for _, detail := range st.Details() {
		if retry, ok := detail.(*errdetails.RetryInfo); ok && retry.GetRetryDelay().IsValid() {
			return retry.GetRetryDelay().AsDuration(), true
		}
	}
	return 0, false
}

// statusJSON is the google.rpc.Status as protobuf JSON. A detail of an unknown type, or text that is not UTF-8, cannot
// be encoded; the message matters more than either.
func statusJSON(st *status.Status) json.RawMessage {
	body, err := protoJSON().Marshal(st.Proto())
	if err == nil {
		return body
	}
	plain := status.New(st.Code(), strings.ToValidUTF8(st.Message(), "\uFFFD"))
	if body, err = protoJSON().Marshal(plain.Proto()); err != nil {
		return nil
	}
	return body
}

// quote shows a client its own text, as much of it as helps.
func quote(text string) string { return fmt.Sprintf("%q", clip(text)) }

// clip bounds a client's text in an answer or a log line.
func clip(text string) string {
	const enough = 64
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= enough {
		return text
	}
	return strings.ToValidUTF8(text[:enough], "") + "..."
}
