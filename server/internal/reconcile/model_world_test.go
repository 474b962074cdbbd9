package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// stage is the world of a play that is under way, and its model.
type stage struct {
	t       *testing.T
	cluster *exportingtest.Cluster
	observe bool
	store   *hold.Memory
	office  *office // nil for a single server
	servers []*actor
	born    int // counts servers

	model   model
	foreign int           // how often somebody resumed at the brokers
	left    bool          // that may be left alone
	paused  bool          // somebody paused at the brokers
	faulty  bool          // a broker misbehaves
	lost    bool          // the store cannot be reached
	unknown map[int]model // what a server ended by force that the store does not know of
}

// actor is a server, until it is killed: then nothing that it does reaches anybody.
type actor struct {
	*rig

	name    string
	brokers *mortal
	store   *link
}

// mortal is the cluster as one server sees it.
type mortal struct {
	*exportingtest.Cluster

	dead atomic.Bool
}

var errKilled = errors.New("the process is dead")

func (m *mortal) Read(ctx context.Context, b exporting.Broker) ([]exporting.Reading, error) {
	if m.dead.Load() {
		return nil, errKilled
	}
	return m.Cluster.Read(ctx, b)
}

func (m *mortal) Write(ctx context.Context, l exporting.Lever, p exporting.Phase) error {
	if m.dead.Load() {
		return errKilled
	}
	return m.Cluster.Write(ctx, l, p)
}

func newStage(t *testing.T, p play) *stage {
	t.Helper()
	c := exportingtest.New(3, 3)
	c.Planned, c.Delay, c.Rate = p.planned, p.delay, 10
	s := &stage{
		t: t, cluster: c, observe: p.observe, store: hold.NewMemory(), model: model{}, servers: make([]*actor, p.servers), unknown: map[int]model{},
	}
	if p.servers > 1 {
		s.office = &office{changed: make(chan struct{})}
	}
	for i := range s.servers {
		s.start(i)
	}
	return s
}

// start begins a server, which is elected where there is an election: it lives, and the one that it replaces does not.
func (s *stage) start(i int) {
	s.born++
	a := &actor{
		name: fmt.Sprintf("server %d", s.born), brokers: &mortal{Cluster: s.cluster}, store: &link{Memory: s.store},
	}
	a.store.cut.Store(s.lost)
	a.rig = runOn(s.t, s.cluster, a.brokers, a.store, func(o *reconcile.Options) {
		o.ReportForeign = s.observe
		if s.office != nil {
			o.Election = candidate{s.office, a.name}
		}
	})
	s.servers[i] = a
	s.elect(i)
}

func (s *stage) elect(i int) {
	if s.office != nil {
		s.office.elect(s.servers[i].name)
	}
}

func (s *stage) end() {
	for _, a := range s.servers {
		a.end()
	}
}

// crash kills a server and begins another.
func (s *stage) crash(i int) {
	a := s.servers[i]
	a.brokers.dead.Store(true)
	a.store.cut.Store(true)
	a.end()
	ended, forced := s.unknown[i]
	s.paused = s.paused || forced
	for id, c := range ended { // Nobody else knows that they were to end.
		if s.model[id] == nil {
			c.open, c.disturbed = true, true
			s.model[id] = c
		}
	}
	if forced {
		s.resumed() // By somebody whom nobody knows any more.
	}
	delete(s.unknown, i)
	s.start(i)
}

// lose cuts all servers off from the store.
func (s *stage) lose() {
	s.lost = true
	for _, a := range s.servers {
		a.store.cut.Store(true)
	}
}

// find brings the store back, and lets what waits be written.
func (s *stage) find() {
	if !s.lost {
		return
	}
	s.lost = false
	for _, a := range s.servers {
		a.store.cut.Store(false)
	}
	wait(20 * time.Second)
	clear(s.unknown)
}

func (s *stage) heal() {
	for i := range 3 {
		s.cluster.SetFault(i, exportingtest.Healthy)
	}
	s.faulty = false
}

// expiring reports whether a hold expired so lately that its end may not have settled.
func (s *stage) expiring() bool {
	state, _ := s.servers[0].ledger.State()
	return slices.ContainsFunc(state.History, func(e hold.Ended) bool { return time.Since(e.At) < time.Minute })
}

func (s *stage) disturb() {
	for _, c := range s.model {
		c.disturbed = true
	}
}

// wipe loses a broker's disk.
func (s *stage) wipe(broker int) {
	s.cluster.SetPhase(broker, exports)
	s.disturb()
	alone := slices.ContainsFunc(s.cluster.Phases(), func(p exporting.Phase) bool { return p != exports })
	if !alone && s.model.target(time.Now()) != exports {
		s.resumed() // It looks the same.
	}
}

// resumed takes notice that every replica was made to export while a hold lives.
func (s *stage) resumed() {
	s.foreign++
	s.left = s.left || s.observe || s.foreign > 4 // From the fifth on nobody fights it.
	if c := s.model[hold.Operator]; c != nil {
		c.open = true // It ends the anonymous hold, unless a broker was away.
	}
}

// turnAll is somebody who pauses or resumes every broker directly.
func (s *stage) turnAll(a act) {
	target := s.model.target(time.Now())
	phase := a.phase
	if target != exports {
		phase = exports
		s.resumed()
	}
	open := slices.ContainsFunc(slices.Collect(maps.Values(s.model)), func(c *claim) bool { return c.open })
	if phase == soft && !s.cluster.Planned && (target == hard || open) {
		return // Below 8.10 nobody can undo that.
	}
	for i := range 3 {
		s.cluster.SetPhase(i, phase)
	}
	s.paused = s.paused || phase != exports
	s.disturb()
}
