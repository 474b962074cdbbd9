package gateway

import (
	"net/http"
	"net/textproto"
	"strings"

	"google.golang.org/grpc/metadata"
)

// The headers that pass between HTTP and gRPC, and no others: what a client could slip into the metadata, a service
// might take for the word of the server (edges.md 2.2, trap 9).
const (
	headerAuthorization = "Authorization"
	headerUserAgent     = "User-Agent"
	headerRequestID     = "X-Request-Id"
	headerTraceParent   = "Traceparent"
	headerTraceState    = "Tracestate"
)

// innerHeaders are the headers of the request that grpc-gateway sees. The Accept header is settled, and the
// Content-Type is set because grpc-gateway logs what it cannot parse.
func innerHeaders(r *http.Request) http.Header {
	headers := passedOn(r)
	headers.Set("Accept", negotiate(r.Header.Values("Accept")))
	headers.Set("Content-Type", mediaJSON)
	if timeout := r.Header.Get("Grpc-Timeout"); timeout != "" && printable(timeout) {
		headers.Set("Grpc-Timeout", timeout)
	}
	return headers
}

// passedOn are the client's headers that reach the interceptors, each with one value.
func passedOn(r *http.Request) http.Header {
	headers := http.Header{}
	for _, name := range []string{headerAuthorization, headerUserAgent, headerRequestID, headerTraceParent, headerTraceState} {
		value := r.Header.Get(name)
		if name == headerTraceState { // A list, which may come in several lines (W3C Trace Context, 3.3.1.1).
			value = strings.Join(r.Header.Values(name), ",")
		}
		if value != "" && printable(value) {
			headers.Set(name, value)
		}
	}
	return headers
}

// incomingHeader says under which metadata key a request header reaches the service. Authorization is not here:
// grpc-gateway passes it on by itself, and would do it twice.
func incomingHeader(name string) (string, bool) {
	switch name = textproto.CanonicalMIMEHeaderKey(name); name {
	case headerUserAgent, headerRequestID, headerTraceParent, headerTraceState:
		return strings.ToLower(name), true
	}
	return "", false
}

// outgoingHeader says under which name metadata of the service reaches the client.
func outgoingHeader(key string) (string, bool) {
	return headerRequestID, key == "x-request-id"
}

// noHeader lets nothing pass.
func noHeader(string) (string, bool) { return "", false }

// forwardMetadata does for a failed call what grpc-gateway does for one that succeeded.
func forwardMetadata(w http.ResponseWriter, md metadata.MD) {
	for key, values := range md {
		if name, ok := outgoingHeader(key); ok {
			w.Header()[name] = values
		}
	}
}

// printable reports whether a value may travel as gRPC metadata. grpc-gateway would log an error for one that may not,
// at any client's bidding.
func printable(value string) bool {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return false
		}
	}
	return true
}
