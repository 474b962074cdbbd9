package service

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/caller"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

func TestOwner(t *testing.T) {
	long := "jwt:https://issuer.example.org#" + strings.Repeat("a", ownerLength)
	tests := map[string]struct {
		address net.Addr
		agent   string
		who     caller.Caller
		want    string
		ownOnly bool
	}{
		"nobody":             {want: "somebody"},
		"an address":         {address: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 4711}, agent: "curl/8", want: "10.0.0.7:4711 (curl/8)"},
		"a name in disguise": {agent: "token:backup", want: "(token:backup)"},
		"everybody":          {agent: "curl/8", who: caller.Caller{Role: caller.Operator}, want: "(curl/8)"},
		"a holder":           {agent: "curl/8", who: caller.Caller{Name: "token:backup", Role: caller.Holder}, want: "token:backup", ownOnly: true},
		"a long name":        {who: caller.Caller{Name: long, Role: caller.Holder}, want: long, ownOnly: true}, // Cut, it would be another's.
		"an operator":        {who: caller.Caller{Name: "dns:ops", Role: caller.Operator}, want: "dns:ops"},
		"who may nothing":    {who: caller.Caller{Name: "dns:ops"}, want: "dns:ops", ownOnly: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ctx := caller.With(t.Context(), test.who)
			if test.address != nil {
				ctx = peer.NewContext(ctx, &peer.Peer{Addr: test.address})
			}
			if test.agent != "" {
				ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("user-agent", test.agent))
			}
			if got := owner(ctx); got != test.want || ownOnly(ctx) != test.ownOnly {
				t.Errorf("owner %q, of its own only %v", got, ownOnly(ctx))
			}
		})
	}
}

// asked remembers what it is asked for.
type asked struct {
	Controller

	pause  reconcile.PauseRequest
	resume reconcile.ResumeRequest
}

func (a *asked) Pause(_ context.Context, req reconcile.PauseRequest) (reconcile.Result, error) {
	a.pause = req
	return reconcile.Result{}, reconcile.ErrShuttingDown
}

func (a *asked) Resume(_ context.Context, req reconcile.ResumeRequest) (reconcile.Result, error) {
	a.resume = req
	return reconcile.Result{}, reconcile.ErrShuttingDown
}

// What is known of the caller goes along with what it asks for.
func TestCallerGoesAlong(t *testing.T) {
	for role, ownOnly := range map[caller.Role]bool{caller.Holder: true, caller.Operator: false} {
		a := &asked{}
		s := New(a, slog.New(slog.DiscardHandler))
		ctx := caller.With(t.Context(), caller.Caller{Name: "token:me", Role: role, MaxTTL: time.Minute})
		_, _ = s.Pause(ctx, &exportgatev1.PauseRequest{Hold: "a"})
		if a.pause.Owner != "token:me" || a.pause.OwnOnly != ownOnly || a.pause.MaxTTL != time.Minute {
			t.Errorf("%v: asked for %+v", role, a.pause)
		}
		_, _ = s.Resume(ctx, &exportgatev1.ResumeRequest{Hold: "a"})
		if a.resume.Owner != "token:me" || a.resume.OwnOnly != ownOnly {
			t.Errorf("%v: asked for %+v", role, a.resume)
		}
	}
}
