package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// model is what the ledger ought to say: which holds live, and until when. Whatever calls, crashes, losses and time do,
// the ledger must say the same, the brokers must do it, and the verdicts must be true.
type model map[string]*claim

// claim is a hold in the model.
type claim struct {
	uid       string
	phase     exporting.Phase
	expires   time.Time // zero: never
	open      bool      // a crash interrupted the call that changed it: both outcomes are right
	disturbed bool      // something was done to a broker that may have broken it
	settled   time.Time
	stored    []int64 // the true positions when exporting stood still
}

func (m model) target(now time.Time) exporting.Phase {
	target := exports
	for id, c := range m {
		if !c.open && !c.expires.IsZero() && !now.Before(c.expires) {
			delete(m, id)
			continue
		}
		target = max(target, c.phase)
	}
	return target
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawPlay(rt) // Before the bubble, in which nothing may be drawn.
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = s.play(t) })
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

// play is a sequence of things that happen.
type play struct {
	planned bool
	delay   time.Duration
	acts    []act
}

type act struct {
	what            string
	id              string
	phase           exporting.Phase
	broker          int
	ttl, wait, life time.Duration // life is how long the server lives on during the act, where it crashes
}

func drawPlay(t *rapid.T) play {
	duration := func(name string, from, to time.Duration) time.Duration {
		return time.Duration(rapid.Int64Range(int64(from), int64(to)).Draw(t, name))
	}
	p := play{planned: rapid.Bool().Draw(t, "planned"), delay: duration("delay", 0, time.Second)}
	for range rapid.IntRange(1, 15).Draw(t, "acts") {
		p.acts = append(p.acts, act{
			what: rapid.SampledFrom([]string{
				"pause", "pause", "pause", "renew", "resume", "resume", "force", "wait", "crash", "crash in pause", "crash in resume",
				"foreign", "lose", "lead", "down",
			}).Draw(t, "act"),
			id:     rapid.SampledFrom([]string{"a", "b", hold.Operator}).Draw(t, "id"),
			phase:  rapid.SampledFrom([]exporting.Phase{soft, hard}).Draw(t, "phase"),
			broker: rapid.IntRange(0, 2).Draw(t, "broker"),
			ttl:    duration("ttl", 2*time.Second, 5*time.Minute),
			wait:   duration("wait", 0, 90*time.Second),
			life:   duration("life", 0, 3*time.Second),
		})
	}
	return p
}

// mortal is the world as one server sees it until it is killed: then nothing that it does reaches anybody.
type mortal struct {
	*exportingtest.Cluster
	*hold.Memory

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

// mortalStore is the store of a mortal.
type mortalStore struct{ *mortal }

func (m mortalStore) Read(ctx context.Context) (hold.Record, error) {
	if m.dead.Load() {
		return hold.Record{}, errKilled
	}
	return m.Memory.Read(ctx)
}

func (m mortalStore) Swap(ctx context.Context, r hold.Record) error {
	if m.dead.Load() {
		return errKilled
	}
	return m.Memory.Swap(ctx, r)
}

// stage is a play that is under way.
type stage struct {
	t       *testing.T
	cluster *exportingtest.Cluster
	store   *hold.Memory
	world   *mortal
	rig     *rig
	model   model
	foreign int // how often somebody resumed at the brokers
	paused  bool
	down    bool
}

func (s *stage) start() {
	s.world = &mortal{Cluster: s.cluster, Memory: s.store}
	s.rig = runOn(s.t, s.cluster, s.world, mortalStore{s.world}, nil)
}

func (s *stage) crash() {
	s.world.dead.Store(true)
	s.rig.end()
	s.start()
}

func (p play) play(t *testing.T) (failure string) {
	t.Helper()
	c := exportingtest.New(3, 3)
	c.Planned, c.Delay, c.Rate = p.planned, p.delay, 10
	s := &stage{t: t, cluster: c, store: hold.NewMemory(), model: model{}}
	s.start()
	defer func() { s.rig.end() }()
	began := time.Now()
	done := []string{fmt.Sprintf("planned %v, delay %v", p.planned, p.delay)}
	for _, a := range p.acts {
		done = append(done, fmt.Sprintf("%v %s %s %v %d, then %v", time.Since(began), a.what, a.id, a.phase, a.broker, a.wait))
		if failure := s.do(p, a); failure != "" {
			return strings.Join(done, "\n") + "\n" + failure
		}
		wait(a.wait)
	}
	s.heal()
	wait(2 * time.Minute)
	for s.expiring() {
		wait(time.Minute)
	}
	if failure := s.check(); failure != "" {
		return strings.Join(done, "\n") + "\n" + failure
	}
	return ""
}

// expiring reports whether a hold expired so lately that its end may not have settled.
func (s *stage) expiring() bool {
	state, _ := s.rig.ledger.State()
	return slices.ContainsFunc(state.History, func(e hold.Ended) bool { return time.Since(e.At) < time.Minute })
}

func (s *stage) heal() {
	for i := range 3 {
		s.cluster.SetFault(i, exportingtest.Healthy)
	}
	s.down = false
}

func (s *stage) do(p play, a act) string {
	switch a.what {
	case "pause":
		return s.pause(a)
	case "renew":
		return s.renew(a)
	case "resume":
		return s.resume(a)
	case "force":
		if _, err := s.rig.Resume(s.t.Context(), reconcile.ResumeRequest{Force: true}); err != nil && !is[*reconcile.NotSettledError](err) {
			return fmt.Sprintf("force: %v", err)
		}
		s.model, s.paused = model{}, false
	case "crash":
		s.crash()
	case "crash in pause", "crash in resume":
		return s.crashIn(a)
	case "foreign":
		s.turnAll(p, a)
	case "lose":
		s.cluster.SetPhase(a.broker, exports)
		s.disturb()
	case "lead":
		s.cluster.SetLeader(a.broker, (a.broker+1)%3)
	case "down":
		s.heal()
		s.cluster.SetFault(a.broker, exportingtest.Down)
		s.down = true
	}
	return ""
}

func (s *stage) disturb() {
	for _, c := range s.model {
		c.disturbed = true
	}
}

// turnAll is somebody who pauses or resumes every broker directly.
func (s *stage) turnAll(p play, a act) {
	target := s.model.target(time.Now())
	phase := a.phase
	if target != exports {
		phase = exports
		if s.foreign++; s.foreign > 4 {
			return // From the fifth on nobody fights it.
		}
		if c := s.model[hold.Operator]; c != nil {
			c.open = true // It ends the anonymous hold, unless a broker was away.
		}
	}
	open := slices.ContainsFunc(slices.Collect(maps.Values(s.model)), func(c *claim) bool { return c.open })
	if phase == soft && !p.planned && (target == hard || open) {
		return // Below 8.10 nobody can undo that.
	}
	for i := range 3 {
		s.cluster.SetPhase(i, phase)
	}
	s.paused = s.paused || phase != exports
	s.disturb()
}
