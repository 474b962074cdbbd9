package etcd

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// campaign announces this server again and again, and whenever it gets a hint that the driver is gone.
func (e *Election) campaign(ctx context.Context, l *lease, hint <-chan struct{}) error {
	beat := time.NewTicker(l.ttl / beats)
	defer beat.Stop()
	for {
		if err := e.announce(ctx, l); err != nil {
			return err
		}
		select {
		case <-beat.C:
		case <-hint:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// announce tells the others this server's clock and takes the driver's key where there is none. That etcd does not answer is
// no failure here: the lease's end is.
//
// An earlier attempt may have taken the key without our knowing, so that what counts is whose lease the key hangs on.
func (e *Election) announce(ctx context.Context, l *lease) error {
	key := e.driverKey()
	var answer *clientv3.TxnResponse
	err := e.conn.request(ctx, repeatable, func(ctx context.Context) (err error) {
		server := clientv3.OpPut(e.serverKey(l), stamp{e.name, time.Now().UnixNano()}.encode(), clientv3.WithLease(l.id))
		answer, err = e.conn.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
			Then(server, clientv3.OpPut(key, e.name, clientv3.WithLease(l.id)), clientv3.OpGet(key)).
			Else(server, clientv3.OpGet(key)).
			Commit()
		return err
	})
	switch {
	case is(err, rpctypes.ErrGRPCLeaseNotFound):
		return errGone
	case err != nil:
		return nil //nolint:nilerr // It is tried again at the next beat.
	}
	driver := found(answer)
	e.servers.orphaned(driver != nil && driver.GetLease() == 0)
	ours := driver.GetLease() == int64(l.id)
	switch term := e.termOf(l); {
	case term == 0 && ours:
		e.win(l, uint64(driver.GetCreateRevision())) //nolint:gosec // etcd's revisions are positive.
	case term != 0 && (!ours || uint64(driver.GetCreateRevision()) != term): //nolint:gosec // As above.
		return errTaken
	}
	return nil
}

// found is the key that a transaction read last, nil if there is none.
func found(answer *clientv3.TxnResponse) *mvccpb.KeyValue {
	if last := len(answer.Responses) - 1; last >= 0 {
		if kvs := answer.Responses[last].GetResponseRange().GetKvs(); len(kvs) > 0 {
			return kvs[0]
		}
	}
	return nil
}

// listen follows what the others do, and ends with an error if somebody takes the driver's key away from this server.
func (e *Election) listen(ctx context.Context, l *lease, hint chan<- struct{}) error {
	for {
		if err := e.follow(ctx, l, hint); errors.Is(err, errTaken) {
			return err
		}
		select { // What is missed meanwhile is found at the next beat.
		case <-time.After(retryPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (e *Election) follow(ctx context.Context, l *lease, hint chan<- struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var answer *clientv3.GetResponse
	err := e.conn.request(ctx, repeatable, func(ctx context.Context) (err error) {
		answer, err = e.conn.Get(ctx, e.prefix+"servers/", clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(maxServers))
		return err
	})
	if err != nil {
		return err
	}
	e.servers.reset(answer.Kvs)
	for answer := range e.conn.watch(ctx, cancel, e.prefix, answer.Header.GetRevision()+1, clientv3.WithPrefix()) {
		if err := answer.Err(); err != nil {
			return err
		}
		for _, event := range answer.Events {
			key := string(event.GetKv().GetKey())
			gone := event.GetType() == clientv3.EventTypeDelete
			switch term := e.termOf(l); {
			case key == e.serverKey(l):
			case key != e.driverKey():
				e.servers.saw(key, event.GetKv().GetValue(), gone, time.Now())
			case term != 0 && event.GetKv().GetModRevision() > int64(term): //nolint:gosec // It was one of these revisions.
				return errTaken
			case gone:
				select {
				case hint <- struct{}{}:
				default:
				}
			}
		}
	}
	return errBroken
}
