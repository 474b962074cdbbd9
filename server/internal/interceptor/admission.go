package interceptor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/exportgate/exportgate/server/internal/audit"
	"github.com/exportgate/exportgate/server/internal/auth"
	"github.com/exportgate/exportgate/server/internal/caller"
	"github.com/exportgate/exportgate/server/internal/limits"
	"github.com/exportgate/exportgate/server/internal/tracing"
)

// admitUnary lets a unary call in, or refuses it.
func (c *Chain) admitUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, end, err := c.admit(ctx, req, false)
	if err != nil {
		return nil, err
	}
	resp, err := handler(ctx, req)
	end(err)
	return resp, err
}

// errOutlived ends the context of a stream. To its handler it is a time that is over.
var errOutlived = fmt.Errorf("the stream has lasted as long as it may: %w", context.DeadlineExceeded)

// admitStream is admitUnary for streams, and ends them in time.
func (c *Chain) admitStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, end, err := c.admit(stream.Context(), nil, true)
	if err != nil {
		return err
	}
	if callOf(ctx).who.Name != "" {
		life := c.options.StreamLife - rand.N(c.options.StreamLife/10+1) //nolint:gosec // It is to spread, not to surprise.
		outliving, cancel := context.WithTimeoutCause(ctx, life, errOutlived)
		defer cancel()
		ctx = outliving
	}
	err = handler(srv, &endingStream{stream, ctx})
	if errors.Is(context.Cause(ctx), errOutlived) {
		err = status.Error(codes.Unavailable, "the stream has lasted as long as it may until it is looked at again who calls: connect again")
	}
	end(err)
	return err
}

// admit lets a call in: who calls and whether it may, then how often, because that counts by who it is, then the line that
// says so before anything is touched. Whoever is let in must call end with what became of it; for a call that is refused
// there is nothing to end.
func (c *Chain) admit(ctx context.Context, request any, stream bool) (_ context.Context, end func(error), err error) {
	reported := callOf(ctx)
	leave, err := c.enter(ctx, reported, request, stream)
	if err != nil {
		return ctx, nil, c.refuse(ctx, reported, request, err)
	}
	ctx = caller.With(ctx, reported.who)
	if c.options.Audit == nil || !reported.changes {
		return ctx, func(error) { leave() }, nil
	}
	entry := reported.entry(ctx, request)
	ctx, err = c.options.Audit.Intent(ctx, entry)
	if err != nil {
		leave()
		return ctx, nil, c.refuse(ctx, reported, request, err)
	}
	return ctx, func(err error) {
		c.options.Audit.Outcome(entry, err)
		leave()
	}, nil
}

// enter finds out who calls, and begins the call by its limits. What a caller is denied counts by its limits too, so that it
// cannot ask for that without end. Probes have none: they come from one address for all, and must not fail because of
// others.
func (c *Chain) enter(ctx context.Context, reported *call, request any, stream bool) (leave func(), err error) {
	if c.options.Guard.Public(reported.operation) {
		reported.who, err = c.options.Guard.Admit(ctx, credentialsOf(ctx, reported.address), reported.operation, request)
		return func() {}, err
	}
	var denied *auth.DeniedError
	if reported.who, err = c.identify(ctx, reported.operation, reported.address, request); err != nil && !errors.As(err, &denied) {
		return nil, err
	}
	key := reported.who.Name
	if key == "" {
		key = caller.Network(reported.address)
	}
	end, exceeded := c.options.Limits.Begin(key, stream)
	if exceeded != nil {
		return nil, exceeded
	}
	if denied != nil {
		end()
		return nil, denied
	}
	idle := limits.Busy(reported.outside) //nolint:contextcheck // It is that of the connection, and only looked into.
	return func() { idle(); end() }, nil
}

// identify asks the guard, unless too many invalid credentials came from where this one comes from.
func (c *Chain) identify(ctx context.Context, operation, address string, request any) (caller.Caller, error) {
	credentials := credentialsOf(ctx, address)
	if len(credentials.Authorization) == 0 || c.options.Guard.Open() {
		return c.options.Guard.Admit(ctx, credentials, operation, request)
	}
	from, credential := caller.Network(address), strings.Join(credentials.Authorization, "\n")
	if err := c.options.Limits.Attempt(from, credential); err != nil {
		return caller.Caller{}, err
	}
	who, err := c.options.Guard.Admit(ctx, credentials, operation, request)
	var invalid *auth.UnauthenticatedError
	switch {
	case errors.As(err, &invalid):
		c.options.Limits.Attempted(from, credential, false)
	case who.Name != "":
		c.options.Limits.Attempted(from, credential, true)
	}
	return who, err
}

// refuse turns a call away: the caller gets a status, and the log line, the counter and the audit log what it was.
func (c *Chain) refuse(ctx context.Context, reported *call, request any, err error) error {
	st, why := c.refusal(ctx, reported, err)
	reported.refused, reported.why = true, why
	c.turnedAway(ctx, reported, request, st)
	return st.Err()
}

// turnedAway tells who counts and who remembers.
func (c *Chain) turnedAway(ctx context.Context, reported *call, request any, st *status.Status) {
	if c.options.Refused != nil {
		c.options.Refused(reasonOf(st))
	}
	if c.options.Audit != nil {
		c.options.Audit.Refused(reported.entry(ctx, request), st.Err())
	}
}

// entry is the call as the audit log tells of it.
func (c *call) entry(ctx context.Context, request any) *audit.Call {
	message, _ := request.(proto.Message)
	return &audit.Call{
		Caller: c.who, Address: c.address, UserAgent: userAgent(ctx), Door: c.door, Operation: c.operation,
		RequestID: requestID(ctx), TraceID: tracing.ID(ctx), Request: message, Changes: c.changes,
	}
}
