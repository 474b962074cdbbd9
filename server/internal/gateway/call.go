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
		h.calls.ServeHTTP(w, understood.WithContext(ctx))
	}
}
