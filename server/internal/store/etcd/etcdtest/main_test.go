package etcdtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/reconcile"
	"github.com/exportgate/exportgate/server/internal/store/etcd"
	"go.uber.org/goleak"

	"github.com/exportgate/exportgate/server/internal/store/etcd/etcdtest/cluster"
)

// The members' own connections to each other linger for some seconds after they stopped. Nothing of ours is HTTP/1.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("net/http.(*conn).serve"),
		goleak.IgnoreAnyFunction("net/http.(*connReader).backgroundRead"))
}

const (
	prefix = "/exportgate/test"
	ttl    = etcd.MinLeaseTTL
	// patience is how long anything may take that is to happen in the end, on a busy machine too.
	patience = 30 * time.Second
	timeout  = 2 * time.Second // of requests
)

// start starts three members that find a leader soon.
func start(t *testing.T) *cluster.Cluster {
	t.Helper()
	return cluster.Start(t, 3, 100*time.Millisecond, time.Second, nil)
}

// open opens a store that is closed when the test ends.
func open(t *testing.T, name string, endpoints ...string) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(etcd.Options{
		Endpoints: endpoints, Prefix: prefix, Name: name, LeaseTTL: ttl, RequestTimeout: timeout, DialTimeout: timeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// candidate is a server that stands for election, through proxies of its own.
type candidate struct {
	*etcd.Election

	t       *testing.T
	name    string
	proxies []*cluster.Proxy
	stop    context.CancelFunc
	ended   chan struct{}
}

func stand(t *testing.T, c *cluster.Cluster, name string) *candidate {
	t.Helper()
	proxies, endpoints := cluster.Proxies(t, c.Endpoints())
	s := open(t, name, endpoints...)
	ctx, stop := context.WithCancel(context.Background()) //nolint:usetesting // It is to end before the store is closed.
	k := &candidate{s.Election(), t, name, proxies, stop, make(chan struct{})}
	go func() {
		defer close(k.ended)
		if err := k.Run(ctx); err != nil {
			t.Errorf("the election of %s: %v", name, err)
		}
	}()
	t.Cleanup(k.resign)
	return k
}

// resign ends its part in the election, and waits for that.
func (k *candidate) resign() {
	k.stop()
	select {
	case <-k.ended:
	case <-time.After(patience):
		k.t.Errorf("%s does not end", k.name)
	}
}

func (k *candidate) each(do func(*cluster.Proxy)) {
	for _, p := range k.proxies {
		do(p)
	}
}

// wins waits until the candidate drives, in a term after another.
func (k *candidate) wins(after uint64) reconcile.Term {
	k.t.Helper()
	late := time.After(patience)
	for {
		term, ok, changed := k.Term()
		if ok {
			if term.ID <= after || term.Driver != k.name {
				k.t.Fatalf("%s drives as %s in term %d, after term %d", k.name, term.Driver, term.ID, after)
			}
			return term
		}
		select {
		case <-changed:
		case <-late:
			k.t.Fatalf("%s does not drive", k.name)
		}
	}
}

// loses waits until the candidate does not drive any more.
func (k *candidate) loses() {
	k.t.Helper()
	late := time.After(patience)
	for {
		_, ok, changed := k.Term()
		if !ok {
			return
		}
		select {
		case <-changed:
		case <-late:
			k.t.Fatalf("%s drives on", k.name)
		}
	}
}

// eventually asks again and again.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	cluster.Eventually(t, patience, what, try)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(fmt.Errorf("unexpected: %w", err))
	}
}
