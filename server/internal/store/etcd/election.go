package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// Election elects one of the servers that share a store. It implements [reconcile.Election].
//
// A term is etcd's revision at which this server created the driver's key, under a lease. It lasts for as long as the lease,
// counted from when each prolongation that succeeded was sent, less a tenth; so it is over here before the key can be gone
// there, also where this process was stopped for a while, and nobody has to notice that. A lease proves nothing to brokers
// or to the ledger: whoever drives must compare as well, as the ledger does.
type Election struct {
	conn    *conn
	log     *slog.Logger
	name    string
	prefix  string // of the election's keys, with a slash
	ttl     time.Duration
	servers servers

	mu      sync.Mutex
	lease   *lease // of the term
	term    uint64 // 0 if another server drives
	changed chan struct{}
}

var _ reconcile.Election = (*Election)(nil)

func newElection(c *conn, o *Options) *Election {
	return &Election{
		conn: c, log: o.Logger, name: o.Name, prefix: o.Prefix + "/election/", ttl: o.LeaseTTL, changed: make(chan struct{}),
	}
}

// Term implements [reconcile.Election].
func (e *Election) Term() (reconcile.Term, bool, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.term == 0 || !e.lease.live() {
		return reconcile.Term{}, false, e.changed
	}
	return reconcile.Term{ID: e.term, Driver: e.name, Until: e.lease.Until}, true, e.changed
}

// Run stands for election until the context ends, and then resigns, so that a successor need not wait: what drives in the
// term must have ended before. It returns within the request timeout then. Whatever becomes of etcd, it goes on.
func (e *Election) Run(ctx context.Context) error {
	var last string
	for ctx.Err() == nil {
		if err := e.session(ctx); ctx.Err() == nil && err.Error() != last { // Once, not as long as etcd is away.
			last = err.Error()
			e.log.WarnContext(ctx, "the election among the servers is interrupted", "error", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	return nil
}

// session takes part for as long as one lease lives, and says why it does no more.
func (e *Election) session(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	id, ttl, asked, err := e.conn.grant(ctx, e.ttl)
	if err != nil {
		return err
	}
	l := newLease(id, ttl, asked, func(l *lease) {
		e.lose(l)
		end(errExpired)
	})
	hint := make(chan struct{}, 1)
	var tasks sync.WaitGroup
	tasks.Go(func() { end(e.keep(ctx, l)) })
	tasks.Go(func() { end(e.campaign(ctx, l, hint)) })
	tasks.Go(func() { end(e.listen(ctx, l, hint)) })
	<-ctx.Done()
	e.lose(l)
	tasks.Wait()
	if err := e.conn.revoke(context.WithoutCancel(ctx), id); err != nil {
		e.log.WarnContext(ctx, "the lease could not be given back: a successor waits until it expires", "error", err)
	}
	return context.Cause(ctx)
}

// keep prolongs a lease, until that fails for good.
func (e *Election) keep(ctx context.Context, l *lease) error {
	beat := time.NewTicker(l.ttl / beats)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		asked, err := e.conn.prolong(ctx, l.id)
		switch {
		case errors.Is(err, errGone):
			return errGone
		case err == nil && !l.prolong(asked):
			return errExpired
		}
	}
}

// win begins a term, unless the lease is over.
func (e *Election) win(l *lease, term uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !l.live() {
		return
	}
	e.lease, e.term = l, term
	e.notify()
	e.log.Info("this server drives the brokers from now on", "term", term)
}

// lose ends a lease, and the term with it.
func (e *Election) lose(l *lease) {
	l.end()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lease != l {
		return
	}
	e.log.Info("this server does not drive the brokers any more", "term", e.term)
	e.lease, e.term = nil, 0
	e.notify()
}

// termOf is the term under a lease; 0 if there is none.
func (e *Election) termOf(l *lease) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lease != l {
		return 0
	}
	return e.term
}

// notify wakes those who wait for a change. e.mu is held.
func (e *Election) notify() {
	close(e.changed)
	e.changed = make(chan struct{})
}

func (e *Election) driverKey() string { return e.prefix + "driver" }

func (e *Election) serverKey(l *lease) string {
	return fmt.Sprintf("%sservers/%s-%x", e.prefix, e.name, l.id)
}
