package gateway

import (
	"net/http"
	"net/textproto"

	"google.golang.org/grpc/metadata"
)

// The headers that pass between HTTP and gRPC, and no others: what a client could slip into the metadata, a service
// might take for the word of the server (edges.md 2.2, trap 9).
const (
	headerUserAgent = "User-Agent"
	headerRequestID = "X-Request-Id"
)

// setCommonHeaders sets what every answer has: states must not be cached, and JSON must not be taken for a page.
func setCommonHeaders(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

// innerHeaders are the headers of the request that grpc-gateway sees. The Accept header is settled, and the
// Content-Type is set because grpc-gateway logs what it cannot parse.
func innerHeaders(r *http.Request) http.Header {
	headers := http.Header{
		"Accept":       {negotiate(r.Header.Values("Accept"))},
		"Content-Type": {mediaJSON},
	}
	for _, name := range []string{headerUserAgent, headerRequestID, "Grpc-Timeout"} {
		if value := r.Header.Get(name); value != "" && printable(value) {
			headers.Set(name, value)
		}
	}
	return headers
}

// incomingHeader says under which metadata key a request header reaches the service.
func incomingHeader(name string) (string, bool) {
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case headerUserAgent:
		return "user-agent", true
	case headerRequestID:
		return "x-request-id", true
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
