package etcd

import (
	"context"
	"math"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/exportgate/exportgate/server/internal/hold"
)

// Read implements [hold.Store].
func (s *Store) Read(ctx context.Context) (hold.Record, error) {
	r, _, err := s.get(ctx)
	return r, err
}

// get reads the record, linearizably, and etcd's revision as of then, from which on a watch misses nothing.
func (s *Store) get(ctx context.Context) (r hold.Record, revision int64, err error) {
	known := s.known()
	var answer *clientv3.GetResponse
	err = s.conn.request(ctx, repeatable, func(ctx context.Context) (err error) {
		answer, err = s.conn.Get(ctx, s.key)
		return err
	})
	if err != nil {
		return hold.Record{}, 0, err
	}
	var kv *mvccpb.KeyValue
	if len(answer.Kvs) > 0 {
		kv = answer.Kvs[0]
	}
	r, err = s.accept(kv, known)
	return r, answer.Header.GetRevision(), err
}

// Swap implements [hold.Store]. A record's revision is etcd's version of the key, which counts its writes, so that etcd
// itself compares.
func (s *Store) Swap(ctx context.Context, next hold.Record) error {
	switch {
	case len(next.Data) > hold.MaxRecord:
		return &hold.TooManyError{Limit: hold.MaxHolds}
	case next.Revision == 0 || next.Revision > math.MaxInt64:
		return hold.ErrConflict
	}
	last := int64(next.Revision) - 1
	var answer *clientv3.TxnResponse
	err := s.conn.request(ctx, once, func(ctx context.Context) (err error) {
		answer, err = s.conn.Txn(ctx).
			If(clientv3.Compare(clientv3.Version(s.key), "=", last)).
			Then(clientv3.OpPut(s.key, encode(next))).
			Commit()
		return err
	})
	switch {
	case err != nil:
		return err
	case !answer.Succeeded:
		return hold.ErrConflict
	}
	s.know(next.Revision)
	return nil
}
