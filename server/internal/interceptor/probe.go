package interceptor

import (
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/exportgate/exportgate/server/internal/caller"
	"github.com/exportgate/exportgate/server/internal/limits"
)

// The bounds of streams that watch the health. Anybody may open one, and each takes 12 KB for as long as its client likes.
const (
	healthWatches    = 200  // of an address: a client opens one a connection
	allHealthWatches = 4096 // what then has to share are clients that look for a server, and not calls
)

// probes counts the streams that watch the health.
type probes struct{ each, all *limits.Limits }

func newProbes() probes {
	return probes{each: limits.New(limits.Options{Watchers: healthWatches}), all: limits.New(limits.Options{Watchers: allHealthWatches})}
}

// begin begins a stream from an address, which lasts until end is called.
func (p probes) begin(address string) (end func(), err error) {
	leave, err := p.each.Begin(caller.Network(address), true)
	if err != nil {
		return nil, ofHealth(err)
	}
	leaveAll, err := p.all.Begin("", true)
	if err != nil {
		leave()
		return nil, ofHealth(err)
	}
	return func() { leaveAll(); leave() }, nil
}

// ofHealth names the limit that was exceeded.
func ofHealth(err error) error {
	if exceeded, ok := errors.AsType[*limits.ExceededError](err); ok {
		return &limits.ExceededError{Limit: limits.HealthWatches, RetryAfter: exceeded.RetryAfter}
	}
	return err
}

// limitProbes bounds the streams of those who need not prove who they are. Questions that have one answer are not.
func (c *Chain) limitProbes(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	reported := callOf(stream.Context())
	if reported.operation != grpc_health_v1.Health_Watch_FullMethodName {
		return handler(srv, stream)
	}
	end, err := c.probes.begin(reported.address)
	if err != nil {
		return c.refuse(stream.Context(), reported, nil, err)
	}
	defer end()
	return handler(srv, stream)
}
