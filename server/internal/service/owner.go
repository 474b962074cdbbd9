package service

import (
	"context"
	"strings"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/exportgate/exportgate/server/internal/caller"
)

// ownOnly reports whether who calls may touch its own holds alone. Where nothing proves who calls everybody may touch all:
// an address is nobody's.
func ownOnly(ctx context.Context) bool {
	who := caller.From(ctx)
	return who.Name != "" && who.Role < caller.Operator
}

// ownerLength is how much of what a caller says of itself is kept.
const ownerLength = 200

// owner is who calls: the name that was proven, as it is, because owners are compared. Where nothing proves any it is the
// peer's address and user agent, for people; an address is no name's first word, so that no caller can take another's.
func owner(ctx context.Context) string {
	if name := caller.From(ctx).Name; name != "" {
		return name
	}
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
