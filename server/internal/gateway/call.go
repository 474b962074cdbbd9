package gateway

import (
	"context"
	"net/http"
	"net/url"

	"google.golang.org/protobuf/proto"
)

// call serves a path whose request goes to the service. What reaches grpc-gateway is a request made anew of what was
// understood, so that none of its leniency towards queries, bodies and headers has anything to work on. The operation is the
// gRPC method that it comes to.
func (h *handler) call(method, path, operation string, request proto.Message) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		message := request.ProtoReflect().New().Interface()
		if st := parseQuery(r.URL.RawQuery, message); st != nil {
			h.misunderstood(w, r, operation, st)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), h.timeout)
		defer cancel()
		ctx = withAnswer(withPeer(ctx, r), h.chooseAnswer(r))
		understood := &http.Request{
			Method: method,
			URL:    &url.URL{Path: generatedBase + path, RawQuery: encodeQuery(message)},
			Header: innerHeaders(r),
			Body:   http.NoBody,
		}
		h.calls.ServeHTTP(unheeded{w}, understood.WithContext(ctx))
	}
}

// unheeded takes an answer whether its client takes it or not: one that leaves, or that asks over HTTP/2 for a header alone.
// grpc-gateway would write a line about each to standard error, at any client's bidding.
type unheeded struct{ http.ResponseWriter }

// Write never fails.
func (w unheeded) Write(p []byte) (int, error) {
	_, _ = w.ResponseWriter.Write(p)
	return len(p), nil
}

// Unwrap is for [http.ResponseController].
func (w unheeded) Unwrap() http.ResponseWriter { return w.ResponseWriter }
