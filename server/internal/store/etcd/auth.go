package etcd

import (
	"context"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/credentials"
)

// token goes with every request once etcd has given one, which it does for a username and a password. It becomes invalid
// when a member restarts, and as others change users and roles.
type token struct {
	value  atomic.Pointer[string]
	asking chan struct{} // capacity 1: etcd makes passwords costly to check
}

var _ credentials.PerRPCCredentials = (*token)(nil)

// GetRequestMetadata implements [credentials.PerRPCCredentials].
func (t *token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	if value := t.value.Load(); value != nil {
		return map[string]string{rpctypes.TokenFieldNameGRPC: *value}, nil
	}
	return nil, nil
}

// RequireTransportSecurity implements [credentials.PerRPCCredentials]: etcd allows it, and loopback needs it.
func (t *token) RequireTransportSecurity() bool { return false }

// authenticate asks for a token, unless the one that was refused has been replaced meanwhile.
func (c *conn) authenticate(ctx context.Context, refused *string) error {
	select {
	case c.token.asking <- struct{}{}:
		defer func() { <-c.token.asking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if c.token.value.Load() != refused {
		return nil
	}
	answer, err := c.Authenticate(ctx, c.username, c.password)
	if err == nil {
		c.token.value.Store(&answer.Token)
	}
	return err
}

// unauthenticated is a refusal that a new token cures.
func unauthenticated(err error) bool {
	return is(err, rpctypes.ErrGRPCUserEmpty, rpctypes.ErrGRPCInvalidAuthToken, rpctypes.ErrGRPCAuthOldRevision)
}
