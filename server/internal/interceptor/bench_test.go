package interceptor

import (
	"context"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/audit"
	"github.com/exportgate/exportgate/server/internal/limits"
)

// BenchmarkChain calls a handler that does nothing, bare and through the chain: with nothing configured, with all of it, and
// with an audit log on top, for which a call that changes something waits twice.
func BenchmarkChain(b *testing.B) {
	guard, tokens := lock(b)
	log, err := audit.Open(audit.Options{Path: "-", Writer: io.Discard, Logger: discard(), Stderr: io.Discard})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = log.Close() })
	plain := Options{Logger: discard(), Guard: open(b)}
	guarded := Options{
		Logger: discard(), Guard: guard, Started: func(string) {}, Observe: func(string, string, time.Duration) {},
		Limits: limits.New(limits.Options{
			CallsPerSecond: 1 << 30, Burst: 1 << 30, ConcurrentCalls: 10, Watchers: 10, Failures: limits.DefaultFailures,
		}),
	}
	audited := guarded
	audited.Audit = log
	request := &exportgatev1.PauseRequest{Hold: "backup"}
	handler := func(ctx context.Context, _ any) (any, error) { return request, ctx.Err() }
	for _, bench := range []struct {
		name, method string
		call         grpc.UnaryServerInterceptor
	}{
		{"bare", pause, ChainUnary(nil)},
		{"nothing configured", pause, ChainUnary(New(plain).Unary())},
		{"token and limits", pause, ChainUnary(New(guarded).Unary())},
		{"audited read", getStatus, ChainUnary(New(audited).Unary())},
		{"audited pause", pause, ChainUnary(New(audited).Unary())},
	} {
		b.Run(bench.name, func(b *testing.B) {
			ctx := from(b.Context(), "192.0.2.7:4711", tokens["operator"])
			md, _ := metadata.FromIncomingContext(ctx)
			md.Set("user-agent", "bench/1")
			ctx = metadata.NewIncomingContext(ctx, md)
			info := &grpc.UnaryServerInfo{FullMethod: bench.method}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bench.call(ctx, request, info, handler); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
