package interceptor

import (
	"context"
	"crypto/rand"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/exportgate/exportgate/server/internal/auth"
)

const keyRequestID = "x-request-id"

// withPeer gives a call through an in-process channel, which is that of the HTTP door, the peer that its caller put into
// the context.
func (c calls) withPeer(ctx context.Context, reported *call) context.Context {
	if c.options.ClientContext == nil {
		return ctx
	}
	client := c.options.ClientContext(ctx)
	if client == nil {
		return ctx
	}
	reported.door, reported.outside = doorHTTP, client
	if p, ok := peer.FromContext(client); ok {
		return peer.NewContext(ctx, p)
	}
	return ctx
}

// peerOf is the address of who calls; empty where it is not known.
func peerOf(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		return p.Addr.String()
	}
	return ""
}

// credentialsOf is what proves who calls: the certificate of the connection, and the metadata "authorization". Other keys
// that some proxy may have written, or whoever wants to pass for one (x-forwarded-client-cert, grpc-metadata-...), prove
// nothing and are never read.
func credentialsOf(ctx context.Context, address string) auth.Credentials {
	came := auth.Credentials{Address: address, Authorization: metadata.ValueFromIncomingContext(ctx, "authorization")}
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			came.TLS = &info.State
		}
	}
	return came
}

// userAgent is what the caller says it is, as much of it as a log line needs.
func userAgent(ctx context.Context) string {
	const enough = 256
	agent := first(ctx, "user-agent")
	return agent[:min(len(agent), enough)]
}

// withRequestID settles the id of a call: the caller's if it is well-formed, else a new one. It is in the metadata of
// the call from there on, and in the answer's.
func withRequestID(ctx context.Context) context.Context {
	id := first(ctx, keyRequestID)
	if !wellFormed(id) {
		id = rand.Text()
	}
	// What only HTTP has comes without a transport of gRPC, and its door sets the header.
	if grpc.ServerTransportStreamFromContext(ctx) != nil {
		_ = grpc.SetHeader(ctx, metadata.Pairs(keyRequestID, id)) // It fails where the call was given up: nobody waits for it then.
	}
	md, ok := metadata.FromIncomingContext(ctx) // a copy
	if !ok {
		md = metadata.MD{}
	}
	md.Set(keyRequestID, id)
	return metadata.NewIncomingContext(ctx, md)
}

// requestID is the id that withRequestID settled.
func requestID(ctx context.Context) string { return first(ctx, keyRequestID) }

func first(ctx context.Context, key string) string {
	if values := metadata.ValueFromIncomingContext(ctx, key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// wellFormed accepts what can go into logs, headers and file names as it is: 1 to 128 of [A-Za-z0-9._-].
func wellFormed(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
