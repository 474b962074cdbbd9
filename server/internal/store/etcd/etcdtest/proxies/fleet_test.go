package proxies

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"

	"github.com/exportgate/exportgate/server/internal/store/etcd/etcdtest/cluster"
)

const (
	prefix = "/exportgate/test"
	// lease is the shortest that can be configured. An etcd with slow elections grants more.
	lease = 5 * time.Second
	// interval is the time between two passes of a server.
	interval = 200 * time.Millisecond
	// patience is how long anything may take that is to happen in the end, on a busy machine too.
	patience = time.Minute
)

// fleet is three servers over one etcd of three members, in front of one cluster of brokers.
type fleet struct {
	*testing.T

	etcd    *cluster.Cluster
	brokers *embedded.Cluster
	proxies []*proxy
}

// proxy is one of the servers, whether it runs or not, with what stands between it and the rest of the world.
type proxy struct {
	t        *testing.T
	name     string
	settings map[string]string
	etcd     []*cluster.Proxy // to each member
	gate     *gate
	said     said

	mu      sync.Mutex
	process *process // nil while it does not run
}

// options are what a fleet is made of. The zero value has an etcd that is quick to elect, and brokers of 8.9.
type options struct {
	heartbeat, election time.Duration
	brokers             embedded.Options
	settings            map[string]string
}

// assemble starts everything. It ends with the test, and says what the servers said if that fails.
func assemble(t *testing.T, o options) *fleet {
	t.Helper()
	if o.election == 0 {
		o.heartbeat, o.election = 100*time.Millisecond, time.Second
	}
	f := &fleet{T: t}
	o.brokers.Dir, o.brokers.DistinctHosts, o.brokers.WriteInterval = t.TempDir(), true, 100*time.Millisecond
	o.brokers.Logger = slog.New(slog.DiscardHandler)
	var err error
	if f.brokers, err = embedded.Start(t.Context(), o.brokers); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, f.brokers.Close()) })
	f.etcd = cluster.Start(t, 3, o.heartbeat, o.election, nil)
	for i := range 3 {
		f.proxies = append(f.proxies, f.prepare(fmt.Sprintf("proxy-%d", i), o.settings))
	}
	t.Cleanup(f.end)
	var starts sync.WaitGroup
	failures := make([]error, len(f.proxies))
	for i, p := range f.proxies {
		starts.Go(func() { failures[i] = p.start() })
	}
	starts.Wait()
	must(t, errors.Join(failures...))
	return f
}

func (f *fleet) prepare(name string, more map[string]string) *proxy {
	p := &proxy{t: f.T, name: name, gate: newGate(f.T, f.brokers)}
	var endpoints []string
	p.etcd, endpoints = cluster.Proxies(f.T, f.etcd.Endpoints())
	p.settings = servertest.Settings(f.T, f.brokers, servertest.Options{Discovery: servertest.ByGateway, Settings: more})
	delete(p.settings, "store.path")
	maps.Copy(p.settings, map[string]string{
		"server.name":                  name,
		"zeebe.management-url":         p.gate.url(),
		"exporting.reconcile-interval": interval.String(),
		"store.type":                   "etcd",
		"store.etcd.endpoints":         strings.Join(endpoints, ","),
		"store.etcd.prefix":            prefix,
		"store.etcd.lease-ttl":         lease.String(),
	})
	return p
}

// end ends the servers, and tells what they said last if the test has failed.
func (f *fleet) end() {
	for _, p := range f.proxies {
		p.mu.Lock()
		if p.process != nil {
			p.process.kill()
		}
		p.mu.Unlock()
		if f.Failed() {
			f.Logf("%s said at last:\n%s", p.name, &p.said)
		}
	}
}

// start starts the server, if it does not run.
func (p *proxy) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process != nil {
		return nil
	}
	process, err := launch(p.settings, &p.said)
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", p.name, err, &p.said)
	}
	p.process = process
	return nil
}

// take takes the process away from the proxy, which does not run from now on.
func (p *proxy) take() *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	process := p.process
	p.process = nil
	return process
}

func (p *proxy) kill() { p.take().kill() }

func (p *proxy) stop() error { return p.take().stop() }

// running is the process; nil if it does not run.
func (p *proxy) running() *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.process
}

// network does something to each of the connections to etcd.
func (p *proxy) network(do func(*cluster.Proxy)) {
	for _, c := range p.etcd {
		do(c)
	}
}

// pause, resume and force are calls through the HTTP door of a server that runs.
func (p *proxy) pause(hold string) servertest.Outcome {
	return p.running().route(servertest.HTTP).Pause(p.t.Context(), &exportgatev1.PauseRequest{Hold: hold, Soft: true})
}

func (p *proxy) resume(hold string) servertest.Outcome {
	return p.running().route(servertest.HTTP).Resume(p.t.Context(), &exportgatev1.ResumeRequest{Hold: hold})
}

func (p *proxy) force() servertest.Outcome {
	return p.running().route(servertest.HTTP).Resume(p.t.Context(), &exportgatev1.ResumeRequest{Force: true})
}

// status is what a server tells, which may be nothing.
func (p *proxy) status() *exportgatev1.Status {
	ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Second)
	defer cancel()
	if process := p.running(); process != nil {
		return process.route(servertest.GRPC).GetStatus(ctx).Status
	}
	return nil
}

// driver waits until the servers that are asked agree on who drives, and that it is one of them.
func (f *fleet) driver(among ...*proxy) *proxy {
	f.Helper()
	var driver *proxy
	f.eventually("a driver", func() error {
		driver = nil
		for _, p := range among {
			name := p.status().GetDriver()
			i := slices.IndexFunc(among, func(q *proxy) bool { return q.name == name })
			if i < 0 || driver != nil && driver != among[i] {
				return fmt.Errorf("%s says that %q drives", p.name, name)
			}
			driver = among[i]
		}
		return nil
	})
	return driver
}

// others are all servers but one.
func (f *fleet) others(but *proxy) []*proxy {
	return slices.DeleteFunc(slices.Clone(f.proxies), func(p *proxy) bool { return p == but })
}

// astray lists the replicas that are truly not in a phase.
func (f *fleet) astray(phase embedded.Phase) []embedded.Replica {
	return slices.DeleteFunc(f.brokers.Replicas(), func(r embedded.Replica) bool { return r.Phase == phase })
}

// settles waits until every replica truly is in a phase, and every server that is asked says so, of the same holds and with
// an up-to-date ledger.
func (f *fleet) settles(phase embedded.Phase, among []*proxy, holds ...string) {
	f.Helper()
	f.eventually(fmt.Sprintf("all are %s under %v", phase, holds), func() error {
		if astray := f.astray(phase); len(astray) > 0 {
			return fmt.Errorf("astray: %+v", astray)
		}
		for _, p := range among {
			s := p.status()
			if s == nil || !s.GetSettled() || s.GetStale() != "" || s.GetTarget().String() != "PHASE_"+string(phase) {
				return fmt.Errorf("%s says target %s, settled %t (%s), stale %q", p.name, s.GetTarget(), s.GetSettled(),
					s.GetUnsettledReason(), s.GetStale())
			}
			if ids := ids(s.GetHolds()); !slices.Equal(ids, holds) {
				return fmt.Errorf("%s knows the holds %v", p.name, ids)
			}
		}
		return nil
	})
}

func ids(holds []*exportgatev1.Hold) []string {
	var ids []string
	for _, h := range holds {
		ids = append(ids, h.GetId())
	}
	return ids
}

// eventually asks again and again, until there is nothing to say against it.
func (f *fleet) eventually(what string, try func() error) {
	f.Helper()
	cluster.Eventually(f, patience, what, try)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ok is an outcome that must be a success.
func (f *fleet) ok(o servertest.Outcome) servertest.Outcome {
	f.Helper()
	if !o.OK() {
		f.Fatalf("unexpected: %v", o)
	}
	return o
}
