package servertest

import (
	"context"
	"crypto/tls"
	"net/http"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// Identity is how a client speaks to a door, and what proves there who it is. The zero value speaks plaintext, and is nobody.
type Identity struct {
	// TLS is how, with the client's certificate if it shows one; nil for plaintext.
	TLS *tls.Config
	// Headers go with each call: over gRPC as metadata, whose names are lower case.
	Headers http.Header
	// HTTP1 keeps HTTP over TLS at version 1.1.
	HTTP1 bool
}

// Bearer returns the same client with a token.
func (i Identity) Bearer(token string) Identity {
	headers := i.Headers.Clone()
	if headers == nil {
		headers = http.Header{}
	}
	headers.Set("Authorization", "Bearer "+token)
	i.Headers = headers
	return i
}

// As is a route through a door for a client. It ends with the test.
func (h *Harness) As(tb testing.TB, door Door, who Identity) Route {
	tb.Helper()
	route, err := DialAs(door, address(h.Server, door), who)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(route.Close)
	return route
}

// dialOptions are who's for gRPC.
func (i Identity) dialOptions() []grpc.DialOption {
	transport := insecure.NewCredentials()
	if i.TLS != nil {
		transport = credentials.NewTLS(i.TLS)
	}
	var pairs []string
	for name, values := range i.Headers {
		for _, value := range values {
			pairs = append(pairs, name, value)
		}
	}
	with := func(ctx context.Context) context.Context { return metadata.AppendToOutgoingContext(ctx, pairs...) }
	return []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(with(ctx), method, req, reply, conn, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, stream grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return stream(with(ctx), desc, conn, method, opts...)
		}),
	}
}

// Client is for HTTP, and the scheme is that of its URLs. Whoever has it closes its connections.
func (i Identity) Client() (client *http.Client, scheme string) {
	transport := &http.Transport{TLSClientConfig: i.TLS.Clone(), ForceAttemptHTTP2: i.TLS != nil && !i.HTTP1}
	scheme = "http"
	if i.TLS != nil {
		scheme = "https"
	}
	return &http.Client{Transport: headers{transport, i.Headers}}, scheme
}

// headers adds headers to each request: a client's, and those that the context of one call has as outgoing metadata, so that
// this is the same through both doors.
type headers struct {
	*http.Transport

	add http.Header
}

// RoundTrip implements [http.RoundTripper].
func (h headers) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	r = r.Clone(ctx)
	for name, values := range h.add {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	for name, values := range md {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	return h.Transport.RoundTrip(r)
}
