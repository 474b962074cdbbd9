package etcdtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/store/etcd"
	"github.com/exportgate/exportgate/server/internal/store/storetest"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/exportgate/exportgate/server/internal/store/etcd/etcdtest/cluster"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	c := start(t)
	var prefixes atomic.Int32
	storetest.Run(t, func(*testing.T) storetest.Open {
		opts := etcd.Options{Endpoints: c.Endpoints(), Prefix: fmt.Sprint("/test/", prefixes.Add(1)), Name: "test"}
		return func() (hold.Store, error) { return etcd.Open(opts) }
	})
}

func record(revision uint64) hold.Record {
	return hold.Record{Revision: revision, Data: fmt.Appendf(nil, "record %d", revision)}
}

// holds checks what the store holds.
func holds(t *testing.T, s *etcd.Store, revision uint64) {
	t.Helper()
	r, err := s.Read(t.Context())
	if want := record(revision); err != nil || r.Revision != want.Revision || string(r.Data) != string(want.Data) {
		t.Errorf("read revision %d, %q and %v, want revision %d", r.Revision, r.Data, err, revision)
	}
}

// watch watches in the background and sends the revisions that it is told.
func watch(t *testing.T, s *etcd.Store) (revisions <-chan uint64, ended <-chan error, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	told, end := make(chan uint64, 1000), make(chan error, 1)
	go func() { end <- s.Watch(ctx, func(r hold.Record) { told <- r.Revision }) }()
	t.Cleanup(cancel)
	return told, end, cancel
}

// watchOn watches like watch, and again whenever the store was lost, as the ledger does.
func watchOn(t *testing.T, s *etcd.Store) <-chan uint64 {
	t.Helper()
	told, ended := make(chan uint64, 1000), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if err := s.Watch(ctx, func(r hold.Record) { told <- r.Revision }); err != nil {
				t.Logf("lost: %v", err)
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return told
}

// until waits until a watch tells of a revision.
func until(t *testing.T, revisions <-chan uint64, want uint64) {
	t.Helper()
	late := time.After(patience)
	for last := uint64(0); last != want; {
		select {
		case r := <-revisions:
			if r < last || r > want {
				t.Fatalf("told of revision %d after %d, want %d", r, last, want)
			}
			last = r
		case <-late:
			t.Fatalf("not told of revision %d, only %d", want, last)
		}
	}
}

// Without a quorum nothing can be read or written, which is known within the request's time; afterwards all is as before.
func TestQuorumLoss(t *testing.T) {
	t.Parallel()
	c := start(t)
	s := open(t, "a", c.Endpoints()...)
	must(t, s.Swap(t.Context(), record(1)))
	_, ended, _ := watch(t, s)
	c.Stop(0)
	c.Stop(1)

	began := time.Now()
	if r, err := s.Read(t.Context()); err == nil {
		t.Errorf("read revision %d without a quorum", r.Revision)
	}
	err := s.Swap(t.Context(), record(2))
	if err == nil || errors.Is(err, hold.ErrConflict) {
		t.Errorf("a write without a quorum: %v", err)
	}
	if took := time.Since(began); took > 3*timeout {
		t.Errorf("it took %v to fail twice", took)
	}
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), c.Endpoint(2)) {
			t.Errorf("the watch ended with %v, want an error that names the endpoints", err)
		}
	case <-time.After(patience):
		t.Error("the watch goes on without a quorum")
	}

	c.StartMembers(0, 1)
	var last hold.Record
	eventually(t, "read with a quorum", func() (err error) {
		last, err = s.Read(t.Context())
		return err
	})
	if last.Revision == 2 && !isUncertain(err) {
		t.Errorf("a write happened that failed for certain: %v", err)
	}
	must(t, s.Swap(t.Context(), record(last.Revision+1)))
	holds(t, s, last.Revision+1)
}

func isUncertain(err error) bool {
	_, is := errors.AsType[*hold.UncertainError](err)
	return is
}

// A write that reaches no member certainly did not happen; one that is not answered may come later.
func TestUncertainWrites(t *testing.T) {
	t.Parallel()
	c := start(t)
	proxies, endpoints := cluster.Proxies(t, c.Endpoints())
	s, direct := open(t, "a", endpoints...), open(t, "b", c.Endpoints()...)
	must(t, s.Swap(t.Context(), record(1)))

	for _, p := range proxies {
		p.Hang()
	}
	if err := s.Swap(t.Context(), record(2)); !isUncertain(err) {
		t.Errorf("a write that was not answered: %v, want it uncertain", err)
	}
	holds(t, direct, 1)
	for _, p := range proxies {
		p.Cut()
	}
	eventually(t, "a write that reaches nobody is certain to fail", func() error {
		switch err := s.Swap(t.Context(), record(2)); {
		case isUncertain(err): // Of the connections that hung some may not have noticed yet.
			return err
		case err == nil, !strings.Contains(err.Error(), "balancer error"), !strings.Contains(err.Error(), endpoints[0]):
			t.Errorf("a write that reached nobody: %v, want an error that names the endpoints and why", err)
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := direct.Swap(ctx, record(2)); err == nil || isUncertain(err) {
		t.Errorf("a write whose context was over: %v", err)
	}
	for _, p := range proxies {
		p.Heal()
	}
	eventually(t, "write after all is well", func() error {
		r, err := s.Read(t.Context())
		if err != nil {
			return err
		}
		return s.Swap(t.Context(), record(r.Revision+1))
	})
}

// One member of three that hangs costs reads half their time at most.
func TestOneMemberHangs(t *testing.T) {
	t.Parallel()
	c := start(t)
	proxies, endpoints := cluster.Proxies(t, c.Endpoints())
	s := open(t, "a", endpoints...)
	must(t, s.Swap(t.Context(), record(1)))
	for range 9 {
		holds(t, s, 1) // Every connection is there.
	}
	proxies[0].Hang()
	for range 9 {
		holds(t, s, 1)
	}
}

// What was compacted while the connections were cut is not missed: the watch begins anew.
func TestCompactionUnderAWatch(t *testing.T) {
	t.Parallel()
	c := start(t)
	proxies, endpoints := cluster.Proxies(t, c.Endpoints())
	s, direct, raw := open(t, "a", endpoints...), open(t, "b", c.Endpoints()...), client(t, c)
	must(t, direct.Swap(t.Context(), record(1)))
	revisions, ended, stop := watch(t, s)
	until(t, revisions, 1)
	for _, p := range proxies {
		p.Hang() // Not for long: the store is not lost.
	}
	for revision := uint64(2); revision <= 10; revision++ {
		must(t, direct.Swap(t.Context(), record(revision)))
	}
	answer, err := raw.Get(t.Context(), prefix)
	must(t, err)
	_, err = raw.Compact(t.Context(), answer.Header.GetRevision())
	must(t, err)
	for _, p := range proxies {
		p.Cut() // The watch has to be made again, from before the compaction.
		p.Heal()
	}
	until(t, revisions, 10)
	must(t, direct.Swap(t.Context(), record(11)))
	until(t, revisions, 11)
	stop()
	must(t, <-ended)
}

// client is a plain client, for what others do to the keys.
func client(t *testing.T, c *cluster.Cluster) *clientv3.Client {
	t.Helper()
	raw, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints(), Logger: zap.NewNop()})
	must(t, err)
	t.Cleanup(func() { _ = raw.Close() }) // It returns that it was closed.
	return raw
}

// Whichever member stops, the store comes back, and no write that was acknowledged is lost.
func TestMembersRestart(t *testing.T) {
	t.Parallel()
	c := start(t)
	s, other := open(t, "a", c.Endpoints()...), open(t, "b", c.Endpoints()...)
	revisions := watchOn(t, other)
	last := uint64(0)
	write := func() {
		eventually(t, "write", func() error {
			r, err := s.Read(t.Context())
			if err != nil {
				return err
			}
			if r.Revision < last {
				t.Fatalf("revision %d after %d was acknowledged", r.Revision, last)
			}
			last = r.Revision
			if err := s.Swap(t.Context(), record(last+1)); err != nil {
				return err
			}
			last++
			return nil
		})
	}
	for range 3 {
		write()
		leader := c.Leader()
		if leader < 0 {
			t.Fatal("no member leads")
		}
		c.Stop(leader)
		write()
		write()
		c.StartMembers(leader)
		eventually(t, "a leader", func() error {
			if c.Leader() < 0 {
				return errors.New("no member leads")
			}
			return nil
		})
	}
	holds(t, other, last)
	late := time.After(patience)
	for told := uint64(0); told != last; {
		select {
		case told = <-revisions:
		case <-late:
			t.Fatalf("not told of revision %d", last)
		}
	}
}
