package service

import (
	"context"
	"strings"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// ownerLength is how much of what a caller says of itself is kept.
const ownerLength = 200

// owner is who calls, as far as anybody can tell without authentication: the peer's address and user agent.
func owner(ctx context.Context) string {
	var words []string
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		words = append(words, p.Addr.String())
	}
	if agents := metadata.ValueFromIncomingContext(ctx, "user-agent"); len(agents) > 0 && agents[0] != "" {
		words = append(words, "("+agents[0]+")")
	}
	if len(words) == 0 {
		return "somebody"
	}
	o := strings.ToValidUTF8(strings.Join(words, " "), "?")
	return strings.ToValidUTF8(o[:min(len(o), ownerLength)], "")
}
