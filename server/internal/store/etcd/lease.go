package etcd

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// margin is the part of a lease that is given away, for clocks that run at different speeds: a tenth is far more than any
// two differ by.
const margin = 10

// beats is how often a lease is prolonged in its time.
const beats = 5

var (
	errExpired = errors.New("the lease was not prolonged in time")
	errGone    = errors.New("etcd has ended the lease")
	errTaken   = errors.New("somebody else deleted or took the key")
)

// lease is a time that etcd has granted, as seen from here: it ends earlier than at etcd. The clock is the monotonic one,
// which goes on while the process is stopped. It stands still while a machine is suspended: what such a machine writes when
// it wakes is for the next driver to correct.
type lease struct {
	id  clientv3.LeaseID
	ttl time.Duration

	mu    sync.Mutex
	until time.Time
	timer *time.Timer
}

// newLease is a lease that was asked for at an instant. It calls ended once, when it is over by itself.
func newLease(id clientv3.LeaseID, ttl time.Duration, asked time.Time, ended func(*lease)) *lease {
	l := &lease{id: id, ttl: ttl, until: asked.Add(ttl - ttl/margin)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(time.Until(l.until), func() {
		if !l.live() { // It may just have been prolonged.
			ended(l)
		}
	})
	return l
}

// prolong prolongs the lease, as was asked for at an instant. Once it is over it stays so, whatever etcd says: else one that
// wakes up could drive on in a term that it had been seen to lose.
func (l *lease) prolong(asked time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !time.Now().Before(l.until) {
		return false
	}
	if until := asked.Add(l.ttl - l.ttl/margin); until.After(l.until) {
		l.until = until
		l.timer.Reset(time.Until(until))
	}
	return true
}

// end ends the lease now, at the latest.
func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer.Stop()
	if now := time.Now(); now.Before(l.until) {
		l.until = now
	}
}

// Until is when it ends unless it is prolonged, or has ended.
func (l *lease) Until() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

func (l *lease) live() bool { return time.Now().Before(l.Until()) }

// grant asks for a lease, of which it says when it was asked for. One whose answer is lost ends by itself: nobody prolongs it.
func (c *conn) grant(ctx context.Context, ttl time.Duration) (id clientv3.LeaseID, granted time.Duration, asked time.Time, err error) {
	seconds := int64((ttl + time.Second - 1) / time.Second)
	err = c.request(ctx, repeatable, func(ctx context.Context) error {
		asked = time.Now()
		answer, err := c.Grant(ctx, seconds)
		if err == nil {
			id, granted = answer.ID, time.Duration(answer.TTL)*time.Second
		}
		return err
	})
	return id, granted, asked, err
}

// prolong asks once for a lease to be prolonged, and says when it did. [errGone] is for good.
//
// It is not the client's KeepAlive: that tells when answers came, and only the sending proves anything. Each time is a
// stream of its own, so that the next attempt reaches another member.
func (c *conn) prolong(ctx context.Context, id clientv3.LeaseID) (asked time.Time, err error) {
	err = c.request(ctx, repeatable, func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := c.leases.LeaseKeepAlive(ctx)
		if err != nil {
			return clientv3.ContextError(ctx, err)
		}
		asked = time.Now()
		if err := stream.Send(&etcdserverpb.LeaseKeepAliveRequest{ID: int64(id)}); err != nil {
			return clientv3.ContextError(ctx, err)
		}
		answer, err := stream.Recv()
		switch {
		case err != nil:
			return clientv3.ContextError(ctx, err)
		case answer.GetTTL() <= 0:
			return errGone
		}
		return nil
	})
	if is(err, rpctypes.ErrGRPCLeaseNotFound) {
		err = errGone
	}
	return asked, err
}

// revoke ends a lease at etcd, and with it, in one step, the keys that hang on it.
func (c *conn) revoke(ctx context.Context, id clientv3.LeaseID) error {
	err := c.request(ctx, repeatable, func(ctx context.Context) error {
		_, err := c.Revoke(ctx, id)
		return err
	})
	if is(err, rpctypes.ErrGRPCLeaseNotFound) {
		return nil
	}
	return err
}
