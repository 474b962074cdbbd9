package interceptor

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"

	"github.com/exportgate/exportgate/server/internal/reason"
)

// Admit lets in what only HTTP has, as the chain lets in a call: it is logged, measured, limited, audited, and refused for
// the same reasons. The operation is the HTTP method and the path below the base path, "GET /prometheus", without what a
// caller may choose freely. The context has the peer, the TLS state and the metadata that a gRPC call would have.
//
// The context that is returned has the caller and, in its metadata, the request id. Whoever is let in calls end once, with
// the error that it answers with or nil, and before it answers where something was changed, so that nobody is told of what
// the audit log does not have. An error is a status, and then there is nothing to end.
func (c *Chain) Admit(ctx context.Context, operation string) (_ context.Context, end func(error), err error) {
	ctx, finish := c.report(ctx, operation)
	ctx, leave, err := c.admit(ctx, nil, false)
	if err != nil {
		finish(err)
		return ctx, nil, err
	}
	return ctx, func(err error) {
		leave(err)
		finish(err)
	}, nil
}

// Refused tells of a request that the HTTP door turned away before anybody looked at who sent it: it is logged, counted and
// audited like a call that was not let in. The operation is as for Admit, or a gRPC full method; the error is a status, whose
// ErrorInfo says why, as a "cause" in its metadata where the reason is not enough.
func (c *Chain) Refused(ctx context.Context, operation string, err error) {
	ctx, finish := c.report(ctx, operation)
	reported := callOf(ctx)
	reported.refused = true
	c.turnedAway(ctx, reported, nil, reason.Status(err))
	finish(err)
}

// Allows reports whether the caller may do something that it does not do now, as what to show it may depend on that. It
// leaves no trace, but of invalid credentials too many are not looked at, as ever.
func (c *Chain) Allows(ctx context.Context, operation string) bool {
	_, err := c.identify(ctx, operation, peerOf(ctx), nil)
	return err == nil
}

// report begins what looks at a call, and returns what ends it.
func (c *Chain) report(ctx context.Context, operation string) (_ context.Context, finish func(error)) {
	began, meta := time.Now(), endpoint(operation)
	var reporters []interceptors.Reporter
	for _, r := range c.reporters() {
		var reporter interceptors.Reporter
		reporter, ctx = r.ServerReporter(ctx, meta)
		reporters = append(reporters, reporter)
	}
	callOf(ctx).door = doorHTTP
	return ctx, func(err error) {
		for _, r := range slices.Backward(reporters) {
			r.PostCall(err, time.Since(began))
		}
	}
}

// endpoint describes a call through the HTTP door. What only that has is a service without methods.
func endpoint(operation string) interceptors.CallMeta {
	if strings.HasPrefix(operation, "/") {
		return interceptors.NewServerCallMeta(operation, nil, nil)
	}
	return interceptors.CallMeta{Typ: interceptors.Unary, Service: operation}
}
