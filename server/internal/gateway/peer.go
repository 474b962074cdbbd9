package gateway

import (
	"context"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/reason"
)

// withPeer says who calls, as far as the connection tells: interceptors and the service take the peer of a gRPC call for
// it, and the certificate that it showed.
func withPeer(ctx context.Context, r *http.Request) context.Context {
	p := &peer.Peer{Addr: peerAddr(r.RemoteAddr)}
	if r.TLS != nil {
		p.AuthInfo = credentials.TLSInfo{
			State:          *r.TLS,
			CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		}
	}
	return peer.NewContext(ctx, p)
}

// asCall makes of a request, and its context, what interceptors take for a call that came in over gRPC.
func asCall(ctx context.Context, r *http.Request) context.Context {
	md := metadata.MD{}
	for name, values := range passedOn(r) {
		md.Set(strings.ToLower(name), values...)
	}
	return metadata.NewIncomingContext(withPeer(ctx, r), md)
}

// checkAuthorization refuses credentials of which it is not clear what they are: of two, each part of a chain of proxies
// might believe another one, and one that cannot be passed on would count as none.
func checkAuthorization(r *http.Request) *status.Status {
	switch values := r.Header.Values(headerAuthorization); {
	case len(values) > 1:
		return strange("there are %d Authorization headers: send one", len(values))
	case len(values) == 1 && (values[0] == "" || !printable(values[0])):
		return strange("the Authorization header is empty or has characters that no token has: is a variable unset, or a file not " +
			"read as text?")
	}
	return nil
}

// strange refuses an Authorization header. The cause is for counting.
func strange(format string, args ...any) *status.Status {
	return reason.With(status.Newf(codes.InvalidArgument, format, args...), exportgatev1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT,
		map[string]string{"parameter": headerAuthorization, "cause": causeAuthorization})
}

// challenge is what a client that is not authenticated must do (RFC 6750, section 3).
func challenge(r *http.Request) string {
	scheme, _, _ := strings.Cut(r.Header.Get(headerAuthorization), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return `Bearer realm="exportgate", error="invalid_token"`
	}
	return `Bearer realm="exportgate"`
}

// peerAddr is the address of an HTTP client as net/http gives it.
type peerAddr string

// Network is always "tcp".
func (peerAddr) Network() string { return "tcp" }

// String is the address with its port.
func (a peerAddr) String() string { return string(a) }
