package etcd

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/server/internal/hold"
)

// What may have happened is never repeated, nor called a failure for certain.
func TestRequest(t *testing.T) {
	unavailable := status.Error(codes.Unavailable, "connection reset")
	late := status.Error(codes.DeadlineExceeded, "late")
	tests := []struct {
		name      string
		effect    effect
		sent      bool
		err       error
		repeated  bool
		uncertain bool
	}{
		{"read fails for the moment", repeatable, true, unavailable, true, false},
		{"read is late", repeatable, true, late, true, false},
		{"read has no leader", repeatable, true, rpctypes.ErrNoLeader, true, false},
		{"read is refused", repeatable, true, rpctypes.ErrPermissionDenied, false, false},
		{"write was not sent", once, false, unavailable, true, false},
		{"write was late before it was sent", once, false, late, true, false},
		{"write is broken off", once, true, unavailable, false, true},
		{"write is late", once, true, late, false, true},
		{"write timed out at etcd", once, true, rpctypes.ErrTimeoutDueToLeaderFail, false, true},
		{"write found etcd stopping", once, true, rpctypes.ErrStopped, false, true},
		{"write found etcd full", once, true, rpctypes.ErrNoSpace, false, true},
		{"write fails unknown", once, true, errors.New("unknown"), false, true},
		{"write has no leader", once, true, rpctypes.ErrNoLeader, true, false},
		{"write was too much", once, true, rpctypes.ErrTooManyRequests, true, false},
		{"write is too large", once, true, rpctypes.ErrRequestTooLarge, false, false},
		{"write is refused", once, true, rpctypes.ErrPermissionDenied, false, false},
		{"write without a user", once, true, rpctypes.ErrUserEmpty, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &conn{token: &token{}, timeout: 3 * time.Second, endpoints: "https://etcd:2379"}
				began, attempts := time.Now(), 0
				err := c.request(t.Context(), test.effect, func(ctx context.Context) error {
					attempts++
					if deadline, ok := ctx.Deadline(); !ok || deadline.After(began.Add(c.timeout)) {
						t.Errorf("attempt %d ends at %v", attempts, deadline)
					}
					if test.sent {
						observer{}.HandleRPC(ctx, &stats.OutHeader{})
					}
					return test.err
				})
				if !errors.Is(err, test.err) || !strings.Contains(err.Error(), c.endpoints) {
					t.Errorf("got %v, want %v with the endpoints", err, test.err)
				}
				if _, uncertain := errors.AsType[*hold.UncertainError](err); uncertain != test.uncertain {
					t.Errorf("uncertain: %v", uncertain)
				}
				if repeated := attempts > 1; repeated != test.repeated || attempts > 31 {
					t.Errorf("%d attempts", attempts)
				}
				if took := time.Since(began); took > c.timeout || test.repeated && took < c.timeout {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A member that hangs leaves a read the time to ask another one, and a write all its own.
func TestRequestThatHangs(t *testing.T) {
	for e, want := range map[effect]int{once: 1, repeatable: 2} {
		synctest.Test(t, func(t *testing.T) {
			c := &conn{token: &token{}, timeout: 3 * time.Second}
			began, attempts := time.Now(), 0
			err := c.request(t.Context(), e, func(ctx context.Context) error {
				attempts++
				observer{}.HandleRPC(ctx, &stats.OutHeader{})
				<-ctx.Done()
				observer{}.HandleRPC(ctx, &stats.End{Error: status.Error(codes.DeadlineExceeded, "no member answers")})
				return ctx.Err()
			})
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no member answers") {
				t.Errorf("got %v, want the reason in it", err)
			}
			if attempts != want || time.Since(began) != c.timeout {
				t.Errorf("%d attempts in %v, want %d", attempts, time.Since(began), want)
			}
		})
	}
}

// A request that fails once is repeated soon, and that is all.
func TestRequestThatRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &conn{token: &token{}, timeout: 3 * time.Second}
		attempts := 0
		err := c.request(t.Context(), once, func(context.Context) error {
			if attempts++; attempts < 3 {
				return rpctypes.ErrNoLeader
			}
			return nil
		})
		if err != nil || attempts != 3 {
			t.Errorf("%d attempts and %v", attempts, err)
		}
	})
}
