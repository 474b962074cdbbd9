package reconcile_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// office is what servers are elected to.
type office struct {
	mu      sync.Mutex
	term    uint64
	holder  string        // empty: nobody
	lease   time.Duration // of a term, from each moment; 0 is for ever
	changed chan struct{}
}

func (o *office) elect(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.term++
	o.holder = name
	close(o.changed)
	o.changed = make(chan struct{})
}

// candidate is one server's view of an office.
type candidate struct {
	*office

	name string
}

func (c candidate) Term() (reconcile.Term, bool, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holder != c.name {
		return reconcile.Term{}, false, c.changed
	}
	return reconcile.Term{ID: c.term, Driver: c.name, Until: func() time.Time {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.lease == 0 {
			return time.Time{}
		}
		return time.Now().Add(c.lease)
	}}, true, c.changed
}

func (c candidate) Warnings() []string { return []string{"the clock of a server differs"} }

// proxy is one server of several.
type proxy struct {
	*rig

	brokers *lens
	store   *link
}

// fleet is two servers, a and b, over one cluster and one ledger.
type fleet struct {
	*office

	t       *testing.T
	cluster *exportingtest.Cluster
	a, b    *proxy
}

// inFleet runs a test with two servers, of which the first drives.
func inFleet(t *testing.T, test func(*fleet)) {
	t.Helper()
	inFleetWith(t, func(*exportingtest.Cluster, *reconcile.Options) {}, test)
}

// Any server serves any call, by its own reads, and only the one in office asks brokers for anything.
func TestFollowersServe(t *testing.T) {
	inFleet(t, func(f *fleet) {
		t := f.t
		f.b.hold(t, "a", soft)
		f.b.show(t, soft)
		f.a.hold(t, "b", soft)
		if _, err := f.b.Pause(t.Context(), reconcile.PauseRequest{Renew: f.a.live(t, "b").UID, TTL: 2 * time.Hour}); err != nil {
			t.Errorf("renew: %v", err)
		}
		if result, err := f.b.release(t, "a"); err != nil || result.Verdict != hold.Intact {
			t.Errorf("release: %v, verdict %v", err, result.Verdict)
		}
		if _, err := f.b.release(t, ""); !is[*reconcile.HeldByOthersError](err) {
			t.Errorf("resume: %v", err)
		}
		f.b.show(t, soft)
		if result, err := f.b.Resume(t.Context(), reconcile.ResumeRequest{Force: true}); err != nil || result.Unrecorded {
			t.Errorf("force: %v, %+v", err, result)
		}
		f.b.show(t, exports)
		f.b.hold(t, "", soft)
		if _, err := f.b.release(t, ""); err != nil {
			t.Errorf("resume: %v", err)
		}
		f.b.show(t, exports)
		if f.b.brokers.writes.Load() != 0 || f.a.brokers.writes.Load() == 0 {
			t.Errorf("%d and %d writes", f.a.brokers.writes.Load(), f.b.brokers.writes.Load())
		}
		for _, p := range []*proxy{f.a, f.b} {
			if s := p.status(t); s.Driver != "a" || !strings.Contains(strings.Join(s.Warnings, "\n"), "clock") {
				t.Errorf("status %+v", s)
			}
		}
	})
}

// What a follower writes is acted on at once, whatever the driver is doing at that moment.
func TestDriverFollowsAtOnce(t *testing.T) {
	inFleet(t, func(f *fleet) {
		t := f.t
		f.cluster.SetReadDelay(100 * time.Millisecond)
		for range 50 {
			wait(time.Duration(rand.Int64N(int64(6 * time.Second))))
			began := time.Now()
			f.b.hold(t, "a", soft)
			if _, err := f.b.release(t, "a"); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("a pause and a resume took %v", took)
			}
		}
	})
}

// A server that takes over finishes what the one before had begun.
func TestTakeover(t *testing.T) {
	tests := map[string]struct {
		onFailure reconcile.OnFailure
		heal      bool // before the deadline
		want      exporting.Phase
	}{
		"a pause that can still settle": {reconcile.Revert, true, hard},
		"a pause that is late":          {reconcile.Revert, false, exports},
		"a pause that is to be kept":    {reconcile.Keep, false, hard},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				t := f.t
				f.cluster.SetFault(1, exportingtest.Swallow)
				paused := f.a.pauseLater(hard, test.onFailure)
				wait(3 * time.Second)
				f.a.show(t, hard, exports, hard)
				f.a.store.cut.Store(true)
				f.elect("b")
				writes := f.a.brokers.writes.Load()
				if test.heal {
					f.cluster.SetFault(1, exportingtest.Healthy)
				}
				wait(30 * time.Second)
				f.cluster.SetFault(1, exportingtest.Healthy)
				wait(10 * time.Second)
				f.b.show(t, test.want)
				if state, _ := f.b.ledger.State(); state.Target() != test.want || state.Driver != "b" || test.want != exports && !state.Settled() {
					t.Errorf("state %+v", state)
				}
				if err := <-paused; err == nil {
					t.Error("a server that lost its store told of success")
				}
				if more := f.a.brokers.writes.Load() - writes; more != 0 {
					t.Errorf("%d writes out of office", more)
				}
			})
		})
	}
}

// A resume that a server was carrying out when it lost its office is finished by its successor, and confirmed by both.
func TestTakeoverOfAResume(t *testing.T) {
	inFleet(t, func(f *fleet) {
		t := f.t
		f.a.hold(t, "a", hard)
		f.cluster.SetFault(2, exportingtest.Swallow)
		released := make(chan error, 1)
		go func() { _, err := f.a.release(t, "a"); released <- err }()
		wait(2 * time.Second)
		f.elect("b")
		wait(2 * time.Second)
		f.cluster.SetFault(2, exportingtest.Healthy)
		if err := <-released; err != nil {
			t.Errorf("release: %v", err)
		}
		f.a.show(t, exports)
	})
}

// A server that lost its office while brokers had not yet done what it asked for can still confirm what its successor brings
// about.
func TestDoubtsEndWithTheOffice(t *testing.T) {
	inFleet(t, func(f *fleet) {
		t := f.t
		f.cluster.SetFault(0, exportingtest.Swallow)
		paused := f.a.pauseLater(soft, reconcile.Keep)
		wait(2 * time.Second)
		f.elect("b")
		f.cluster.SetFault(0, exportingtest.Healthy)
		if _, err := f.a.release(t, ""); err != nil {
			t.Errorf("resume: %v", err)
		}
		if err := <-paused; !is[*reconcile.SupersededError](err) {
			t.Errorf("pause: %v", err)
		}
		f.a.show(t, exports)
		f.a.hold(t, "b", hard)
		f.a.show(t, hard)
	})
}

// When a term is over by the lease, nothing is asked of the brokers, whoever believes to drive.
func TestNothingIsWrittenAfterTheLease(t *testing.T) {
	inFleet(t, func(f *fleet) {
		t := f.t
		f.mu.Lock()
		f.lease = -time.Second
		f.mu.Unlock()
		if _, err := f.a.pause(t, hard, 10*time.Second, reconcile.Revert); !is[*reconcile.NotSettledError](err) {
			t.Errorf("error %v", err)
		}
		wait(time.Minute)
		if n := f.a.brokers.writes.Load(); n != 0 {
			t.Errorf("%d writes", n)
		}
		f.elect("b")
		f.mu.Lock()
		f.lease = time.Minute
		f.mu.Unlock()
		f.b.hold(t, "a", hard)
		f.b.show(t, hard)
	})
}

// While nobody drives, calls fail in time and say what is going to happen, and nothing is touched.
func TestNobodyDrives(t *testing.T) {
	inFleet(t, func(f *fleet) {
		t := f.t
		f.elect("")
		_, err := f.b.pause(t, hard, 10*time.Second, reconcile.Revert)
		failed, ok := errors.AsType[*reconcile.NotSettledError](err)
		if !ok || failed.Outcome != reconcile.OutcomeReverting {
			t.Errorf("error %v", err)
		}
		f.b.show(t, exports)
		f.elect("a")
		wait(5 * time.Second)
		f.b.holds(t)
		f.b.show(t, exports)
	})
}

// An office that changes hands all the time keeps neither brokers busy nor holds from settling.
func TestFlappingTerms(t *testing.T) {
	for name, flap := range map[string]func(*fleet, int) string{
		"between two":        func(_ *fleet, i int) string { return [...]string{"a", "b"}[i%2] },
		"of one":             func(*fleet, int) string { return "a" },
		"of one and nobody ": func(_ *fleet, i int) string { return [...]string{"a", ""}[i%2] },
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				t := f.t
				ctx, cancel := context.WithCancel(t.Context())
				var flapping sync.WaitGroup
				flapping.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						f.elect(flap(f, i))
						wait(time.Millisecond)
					}
				})
				paused := f.b.pauseLater(hard, reconcile.Keep)
				wait(10 * time.Second)
				for _, p := range []*proxy{f.a, f.b} {
					if n := p.brokers.reads.Load(); n > 10*3*100 {
						t.Errorf("%d reads in ten seconds", n)
					}
				}
				cancel()
				flapping.Wait()
				f.elect("a")
				if err := <-paused; err != nil {
					t.Errorf("pause: %v", err)
				}
				f.b.show(t, hard)
			})
		})
	}
}

// A change of office is told, and so is what the other server did.
func TestFollowersTell(t *testing.T) {
	inFleet(t, func(f *fleet) {
		t := f.t
		f.a.hold(t, "x", hard)
		f.elect("b")
		wait(10 * time.Second)
		for _, p := range []*proxy{f.a, f.b} {
			told := p.told(t)
			for _, want := range []string{"hold x (PAUSED) was placed by test", "hold x (PAUSED) is settled", "server b drives"} {
				if strings.Count(told, want) != 1 {
					t.Errorf("%q is told %d times in:\n%s", want, strings.Count(told, want), told)
				}
			}
		}
	})
}

// A follower that has lost the store is of no use but for one thing: a resume by force, of every broker.
func TestForceAtAFollowerWithoutStore(t *testing.T) {
	inFleet(t, func(f *fleet) {
		t := f.t
		f.a.hold(t, "x", hard)
		wait(time.Second)
		f.elect("") // The store of all is gone.
		f.a.store.cut.Store(true)
		f.b.store.cut.Store(true)
		wait(20 * time.Second)
		f.b.forced(t, "x")
		f.b.show(t, exports)
		if f.b.brokers.writes.Load() == 0 {
			t.Error("the server that was asked did not do it")
		}
		f.b.store.cut.Store(false)
		f.a.store.cut.Store(false)
		f.elect("a")
		wait(20 * time.Second)
		f.a.show(t, exports)
		f.a.holds(t)
		f.b.holds(t)
		if told := f.b.told(t); !strings.Contains(told, "another server would enforce") {
			t.Errorf("events:\n%s", told)
		}
	})
}

// Two servers, calls at both, and an office that moves: whatever ends quietly is settled.
func TestManyTakeovers(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			inFleet(t, func(f *fleet) {
				t := f.t
				f.cluster.Delay = time.Duration(random.Int64N(int64(2 * time.Second)))
				var calls sync.WaitGroup
				for range 20 {
					p := [...]*proxy{f.a, f.b}[random.IntN(2)]
					id := [...]string{"x", "y", hold.Operator}[random.IntN(3)]
					switch random.IntN(5) {
					case 0, 1:
						calls.Go(func() { _, _ = p.Pause(t.Context(), reconcile.PauseRequest{Hold: id, Phase: hard, Owner: "test"}) })
					case 2:
						calls.Go(func() { _, _ = p.release(t, id) })
					default:
						f.elect([...]string{"a", "b", ""}[random.IntN(3)])
					}
					wait(time.Duration(random.Int64N(int64(3 * time.Second))))
				}
				f.elect("b")
				calls.Wait()
				wait(time.Minute)
				state, _ := f.a.ledger.State()
				f.a.show(t, state.Target())
				for _, p := range []*proxy{f.a, f.b} {
					if s := p.status(t); !s.Settled || s.Foreign || s.Target != state.Target() {
						t.Errorf("status %+v", s)
					}
				}
			})
		})
	}
}
