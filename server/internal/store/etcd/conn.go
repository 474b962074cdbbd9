package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/server/internal/hold"
)

// maxMessage bounds what is read of etcd at once: a few ledgers.
const maxMessage = 16 << 20

// retryPause is between two attempts of a request.
const retryPause = 100 * time.Millisecond

// conn is a client of etcd whose requests end in time, and of which it is known whether they changed anything.
type conn struct {
	*clientv3.Client

	leases             etcdserverpb.LeaseClient
	timeout            time.Duration
	endpoints          string
	username, password string
	token              *token
}

func dial(o *Options) (*conn, error) {
	token := &token{asking: make(chan struct{}, 1)}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   o.Endpoints,
		DialTimeout: o.DialTimeout,
		// gRPC asks no sooner. What hangs meanwhile is asked of another member after half its time.
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 3 * time.Second, // On Linux also how long what was sent may stay unacknowledged.
		MaxCallRecvMsgSize:   maxMessage,
		MaxUnaryRetries:      1, // One attempt. The client would also repeat writes that may have happened.
		Logger:               zap.NewNop(),
		// The client's own user name would make it fail where etcd is away.
		DialOptions: []grpc.DialOption{
			grpc.WithTransportCredentials(o.transport()),
			grpc.WithStatsHandler(observer{}),
			grpc.WithPerRPCCredentials(token),
			grpc.WithConnectParams(grpc.ConnectParams{
				// The usual two minutes would be long after a short outage.
				Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
				MinConnectTimeout: o.DialTimeout,
			}),
		},
	})
	if err != nil {
		return nil, err
	}
	return &conn{
		Client: client, leases: clientv3.RetryLeaseClient(client), timeout: o.RequestTimeout,
		endpoints: strings.Join(o.Endpoints, ", "), username: o.Username, password: o.Password, token: token,
	}, nil
}

func (c *conn) close() error {
	if err := c.Close(); err != nil && !errors.Is(err, context.Canceled) { // It cancels its own context.
		return fmt.Errorf("etcd: %w", err)
	}
	return nil
}

// effect is what a second attempt of a request does to the first.
type effect bool

const (
	once       effect = false // it may do what the first has done
	repeatable effect = true  // it may be done again
)

// request makes a request, in time, and again while it is certain that nothing came of it and another member, or the same
// one a moment later, may do better. A request to do once that may have happened, or may come later, fails with a
// [*hold.UncertainError].
func (c *conn) request(ctx context.Context, e effect, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	for {
		with := c.token.value.Load()
		sent, err := c.attempt(ctx, e, do)
		switch {
		case err == nil:
			return nil
		case e == once && sent && !refused(err):
			return &hold.UncertainError{Err: c.describe(err)}
		case c.username != "" && unauthenticated(err):
			if err := c.authenticate(ctx, with); err != nil {
				return c.describe(err)
			}
		case !passing(err):
			return c.describe(err)
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return c.describe(err)
		}
	}
}

// attempt reports also whether the request was on its way to a member.
func (c *conn) attempt(ctx context.Context, e effect, do func(context.Context) error) (sent bool, err error) {
	if e == repeatable { // A member that hangs leaves time for another one.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout/2)
		defer cancel()
	}
	ctx, seen := observe(ctx)
	// A member that has lost its leader says so at once, instead of letting the request wait.
	err = do(clientv3.WithRequireLeader(ctx))
	return seen.sent.Load(), seen.explain(err)
}

func (c *conn) describe(err error) error { return fmt.Errorf("etcd at %s: %w", c.endpoints, err) }

// refused is a failure that a member gives before it does anything, or instead. That there is no space is none: the write
// that first meets the limit may be made all the same.
func refused(err error) bool {
	return unauthenticated(err) || is(err,
		rpctypes.ErrGRPCNoLeader, rpctypes.ErrGRPCNotCapable, rpctypes.ErrGRPCNotSupportedForLearner,
		rpctypes.ErrGRPCRequestTooManyRequests, rpctypes.ErrGRPCRequestTooLarge, rpctypes.ErrGRPCPermissionDenied)
}

// passing is a failure that is of the moment, or of one member.
func passing(err error) bool {
	if is(err, rpctypes.ErrGRPCRequestTooManyRequests, rpctypes.ErrGRPCNotSupportedForLearner) {
		return true
	}
	switch code(err) { //nolint:exhaustive // All others are for good.
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Internal:
		return true
	}
	return false
}

func code(err error) codes.Code {
	if failure, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return failure.Code()
	}
	if s, ok := status.FromError(err); ok {
		return s.Code()
	}
	return status.FromContextError(err).Code()
}

// is reports whether an error is one of etcd's.
func is(err error, failures ...error) bool {
	failure, ok := errors.AsType[rpctypes.EtcdError](err)
	return ok && slices.ContainsFunc(failures, func(f error) bool { return rpctypes.ErrorDesc(f) == failure.Error() })
}
