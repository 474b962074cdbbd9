package etcd

import (
	"context"
	"errors"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/exportgate/exportgate/server/internal/hold"
)

// Watch implements [hold.Store]. The store is lost once the record cannot be read within the request timeout, which is
// tried as often: a watch alone would wait for ever on a connection that was cut.
func (s *Store) Watch(ctx context.Context, changed func(hold.Record)) error {
	t := &teller{changed: changed}
	for {
		if err := s.follow(ctx, t); ctx.Err() == nil && !errors.Is(err, errBroken) {
			return err
		}
		select { // What etcd has compacted, or a member without a leader broke off, begins anew.
		case <-time.After(retryPause):
		case <-ctx.Done():
			return nil
		}
	}
}

// teller tells of each record at most once, in order.
type teller struct {
	changed func(hold.Record)
	any     bool
	last    uint64
}

func (t *teller) tell(r hold.Record) {
	if !t.any || r.Revision > t.last {
		t.any, t.last = true, r.Revision
		t.changed(r)
	}
}

// errBroken is the end of a watch that can begin anew.
var errBroken = errors.New("etcd ended the watch")

// follow tells of the record and then of what is written to it.
func (s *Store) follow(ctx context.Context, t *teller) error {
	r, revision, err := s.get(ctx)
	if err != nil {
		return err
	}
	t.tell(r)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := s.conn.watch(ctx, cancel, s.key, revision+1)
	poll := time.NewTicker(s.conn.timeout)
	defer poll.Stop()
	for {
		select {
		case answer, ok := <-events:
			if !ok || answer.Err() != nil {
				return errBroken
			}
			for _, event := range answer.Events {
				if event.GetType() == clientv3.EventTypeDelete {
					return errBroken // It is read, and said what that means.
				}
				r, err := s.accept(event.GetKv(), 0)
				if err != nil {
					return err
				}
				t.tell(r)
			}
		case <-poll.C:
			r, _, err := s.get(ctx)
			if err != nil {
				return err
			}
			t.tell(r)
		}
	}
}

// watch begins to watch from a revision on. Where that cannot begin in time it cancels, which is the end of the channel.
func (c *conn) watch(ctx context.Context, cancel context.CancelFunc, key string, from int64, opts ...clientv3.OpOption,
) clientv3.WatchChan {
	late := time.AfterFunc(c.timeout, cancel)
	defer late.Stop()
	return c.Watch(clientv3.WithRequireLeader(ctx), key, append(opts, clientv3.WithRev(from), clientv3.WithFragment())...)
}
