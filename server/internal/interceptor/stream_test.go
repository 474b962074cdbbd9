package interceptor

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/caller"
	"github.com/exportgate/exportgate/server/internal/limits"
)

// still is a stream on which nothing happens.
type still struct {
	grpc.ServerStream
	ctx context.Context
}

// Context is the stream's.
func (s still) Context() context.Context { return s.ctx }

// watch runs a stream through a chain, without a transport.
func watch(ctx context.Context, c *Chain, method string, handler func(context.Context) error) error {
	return ChainStream(c.Stream())(nil, still{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: method, IsServerStream: true},
		func(_ any, stream grpc.ServerStream) error { //nolint:contextcheck // Its context is what the chain made of the other.
			return handler(stream.Context())
		})
}

// from is the context of a call from an address, with a token.
func from(ctx context.Context, address, token string) context.Context {
	ctx = peer.NewContext(ctx, &peer.Peer{Addr: net.TCPAddrFromAddrPort(addrPort(address))})
	if token == "" {
		return ctx
	}
	return metadata.NewIncomingContext(ctx, metadata.Pairs("authorization", "Bearer "+token))
}

func TestStreamsEnd(t *testing.T) {
	guarded, tokens := lock(t)
	const method = exportgatev1.ExportingService_WatchStatus_FullMethodName
	tests := []struct {
		name, token string
		open        bool
		life        time.Duration
		method      string
		ends        bool
	}{
		{"after an hour", "viewer", false, 0, method, true},
		{"after what is configured", "viewer", false, time.Minute, method, true},
		{"not where everybody is let in", "", true, time.Minute, method, false},
		{"not of a probe", "viewer", false, time.Minute, grpc_health_v1.Health_Watch_FullMethodName, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			guard := guarded
			if test.open {
				guard = open(t)
			}
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{Logger: discard(), Guard: guard, StreamLife: test.life})
				ctx, cancel := context.WithTimeout(from(t.Context(), "192.0.2.7:1", tokens[test.token]), 24*time.Hour)
				defer cancel()
				began := time.Now()
				var cause error
				err := watch(ctx, c, test.method, func(ctx context.Context) error {
					<-ctx.Done()
					cause = ctx.Err()
					return status.FromContextError(context.Cause(ctx)).Err()
				})
				most := c.options.StreamLife
				lasted := time.Since(began)
				switch {
				case !test.ends && lasted != 24*time.Hour:
					t.Errorf("it ended after %v: %v", lasted, err)
				case test.ends && (lasted > most || lasted < most*9/10 || status.Code(err) != codes.Unavailable):
					t.Errorf("it ended after %v with %v, want UNAVAILABLE after %v less a tenth", lasted, err, most)
				case cause == nil:
					t.Error("the handler was not told")
				}
			})
		})
	}
}

// TestWatchersAreLimited proves that streams count until they end, by who the caller is.
func TestWatchersAreLimited(t *testing.T) {
	guard, tokens := lock(t)
	c := New(Options{Logger: discard(), Guard: guard, Limits: limits.New(limits.Options{Watchers: 1})})
	const method = exportgatev1.ExportingService_WatchStatus_FullMethodName
	end := make(chan struct{})
	first, begun := make(chan error, 1), make(chan struct{})
	go func() {
		first <- watch(from(t.Context(), "192.0.2.7:1", tokens["viewer"]), c, method, func(ctx context.Context) error {
			if who := caller.From(ctx); who.Name != "token:viewer" || who.Role != caller.Viewer {
				t.Errorf("the handler sees the caller %+v", who)
			}
			close(begun)
			<-end
			return nil
		})
	}()
	<-begun
	at := func(address, token string) codes.Code {
		return status.Code(watch(from(t.Context(), address, tokens[token]), c, method, func(context.Context) error { return nil }))
	}
	if got := at("192.0.2.8:2", "viewer"); got != codes.ResourceExhausted {
		t.Errorf("a second stream from elsewhere got %v", got)
	}
	if got := at("192.0.2.7:1", "operator"); got != codes.OK {
		t.Errorf("another's stream from there got %v", got)
	}
	close(end)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if got := at("192.0.2.7:1", "viewer"); got != codes.OK {
		t.Errorf("a stream after the first got %v", got)
	}
}

// TestAddressesAreCallers proves that where nobody has a name, networks have limits of their own.
func TestAddressesAreCallers(t *testing.T) {
	c := New(Options{Logger: discard(), Guard: open(t), Limits: limits.New(limits.Options{CallsPerSecond: 1, Burst: 1})})
	at := func(address string) codes.Code {
		return status.Code(watch(from(t.Context(), address, ""), c, exportgatev1.ExportingService_WatchStatus_FullMethodName,
			func(context.Context) error { return nil }))
	}
	for address, want := range map[string]codes.Code{"192.0.2.7:1": codes.OK, "[2001:db8::1]:1": codes.OK} {
		if got := at(address); got != want {
			t.Errorf("%s got %v", address, got)
		}
	}
	for _, address := range []string{"192.0.2.7:2", "[2001:db8::ffff]:1"} {
		if got := at(address); got != codes.ResourceExhausted {
			t.Errorf("%s, whose network has called, got %v", address, got)
		}
	}
	if got := at("192.0.2.8:1"); got != codes.OK {
		t.Errorf("another address got %v", got)
	}
}

// TestConnectionsAreBusy proves that a call which was let in keeps its connection, through both doors, and that others do
// not.
func TestConnectionsAreBusy(t *testing.T) {
	guard, tokens := lock(t)
	for _, door := range []string{"grpc", "http"} {
		for token, busy := range map[string]bool{"operator": true, "": false} {
			displaced := 0
			listening, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l := limits.NewDoor(listening, limits.ListenerOptions{Max: 1, Displaced: func() { displaced++ }})
			connect := func() net.Conn {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = c.Close() })
				return c
			}
			connect()
			accepted, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			var outside context.Context
			o := Options{Logger: discard(), Guard: guard, ClientContext: func(context.Context) context.Context { return outside }}
			inside := from(t.Context(), "192.0.2.7:1", tokens[token])
			if door == "http" {
				outside = limits.ConnContext(inside, accepted)
			} else {
				inside = peer.NewContext(inside, &peer.Peer{Addr: accepted.RemoteAddr()})
			}
			done, next := make(chan error), connect()
			handler := func(context.Context) error {
				go func() {
					_, err := l.Accept() // which finds the only place taken
					done <- err
				}()
				readEnd(t, next)
				return nil
			}
			err = watch(inside, New(o), exportgatev1.ExportingService_WatchStatus_FullMethodName, handler)
			if busy != (err == nil) {
				t.Errorf("%s: with the token of %q: %v", door, token, err)
			}
			if !busy {
				if _, err := l.Accept(); err != nil || displaced != 1 {
					t.Errorf("%s: %d connections were displaced, %v; want the one of the refused call", door, displaced, err)
				}
			}
			_ = l.Close()
			if busy {
				if err := <-done; err == nil || displaced != 0 {
					t.Errorf("%s: the connection of a call was displaced", door)
				}
			}
			_ = accepted.Close()
		}
	}
}
