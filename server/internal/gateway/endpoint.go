package gateway

import (
	"context"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/server/internal/reason"
)

// endpoint is what is answered without the exporting service.
type endpoint struct {
	// act does what the request is for, if that is more than to look. Its error is a status, and is the answer.
	act func(*http.Request) error
	// answer tells what there is to see, or that it is done.
	answer http.HandlerFunc
}

// admitted serves an endpoint to whoever may have it. A call passes interceptors; this is the same for what is no call. It
// is over before the answer where something was done, so that nobody is told of what the audit log does not have.
func (h *handler) admitted(operation string, e endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(asCall(r.Context(), r), h.timeout)
		defer cancel()
		ctx, end, err := h.admit(ctx, operation)
		setRequestID(ctx, w)
		if err != nil {
			h.fail(w, r, reason.Status(err))
			return
		}
		ended := false
		finish := func(err error) {
			if !ended {
				ended = true
				end(err)
			}
		}
		defer finish(status.Error(codes.Internal, "internal error")) // unless it came to its end without a panic
		r = r.WithContext(ctx)
		if e.act != nil {
			err := e.act(r)
			finish(err)
			if err != nil {
				h.fail(w, r, reason.Status(err))
				return
			}
		}
		e.answer(w, r)
		finish(nil)
	}
}

// setRequestID tells the client the id that its request was admitted, or refused, with.
func setRequestID(ctx context.Context, w http.ResponseWriter) {
	if id := requestID(ctx); id != "" && printable(id) {
		w.Header().Set(headerRequestID, id)
	}
}

// requestID is the id of a request that was admitted; empty where it has none.
func requestID(ctx context.Context) string {
	if ids := metadata.ValueFromIncomingContext(ctx, "x-request-id"); len(ids) == 1 {
		return ids[0]
	}
	return ""
}

// admitAll is for a door that nothing guards.
func admitAll(ctx context.Context, _ string) (context.Context, func(error), error) {
	return ctx, func(error) {}, nil
}
