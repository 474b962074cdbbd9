package reconcile_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// model is what the ledger ought to say: which holds live, and until when. Whatever calls, crashes, losses, servers that
// take over from each other and time do, the ledger must say the same, the brokers must do it, and the verdicts must be true.
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
	observe bool // foreign resumes are only reported
	servers int  // one, or several that elect who drives
	delay   time.Duration
	acts    []act
}

type act struct {
	what            string
	server          int // that is called, crashes or is elected
	id              string
	phase           exporting.Phase
	keep            bool
	broker          int
	fault           exportingtest.Fault
	ttl, wait, life time.Duration // life is how long the server lives on during the act, where it crashes
}

func drawPlay(t *rapid.T) play {
	duration := func(name string, from, to time.Duration) time.Duration {
		return time.Duration(rapid.Int64Range(int64(from), int64(to)).Draw(t, name))
	}
	p := play{
		planned: rapid.Bool().Draw(t, "planned"), observe: rapid.Bool().Draw(t, "observe"), servers: rapid.IntRange(1, 2).Draw(t, "servers"),
		delay: duration("delay", 0, time.Second),
	}
	for range rapid.IntRange(1, 15).Draw(t, "acts") {
		p.acts = append(p.acts, act{
			what: rapid.SampledFrom([]string{
				"pause", "pause", "pause", "again", "renew", "resume", "resume", "force", "trespass", "wait", "crash", "crash in pause", "crash in resume",
				"elect", "foreign", "foreign", "wipe", "lead", "fault", "lose the store", "find the store",
			}).Draw(t, "act"),
			server: rapid.IntRange(0, p.servers-1).Draw(t, "server"),
			id:     rapid.SampledFrom([]string{"a", "b", hold.Operator}).Draw(t, "id"),
			phase:  rapid.SampledFrom([]exporting.Phase{soft, hard}).Draw(t, "phase"),
			keep:   rapid.Bool().Draw(t, "keep"),
			broker: rapid.IntRange(0, 2).Draw(t, "broker"),
			fault: rapid.SampledFrom([]exportingtest.Fault{
				exportingtest.Down, exportingtest.Down, exportingtest.Hanging, exportingtest.Mute, exportingtest.Swallow, exportingtest.Refusing,
			}).Draw(t, "fault"),
			ttl:  duration("ttl", 2*time.Second, 5*time.Minute),
			wait: duration("wait", 0, 90*time.Second),
			life: duration("life", 0, 3*time.Second),
		})
	}
	return p
}

func (a act) String() string {
	return fmt.Sprintf("%s at %d: %s %v keep %v ttl %v, broker %d fault %d, then %v", a.what, a.server, a.id, a.phase, a.keep, a.ttl, a.broker,
		a.fault, a.wait)
}

func (p play) play(t *testing.T) (failure string) {
	t.Helper()
	s := newStage(t, p)
	defer s.end()
	began := time.Now()
	done := []string{fmt.Sprintf("planned %v, observe %v, delay %v, %d servers", p.planned, p.observe, p.delay, p.servers)}
	for _, a := range p.acts {
		done = append(done, fmt.Sprintf("%v %v", time.Since(began), a))
		if failure := s.do(a); failure != "" {
			return strings.Join(done, "\n") + "\n" + failure
		}
		wait(a.wait)
	}
	s.heal()
	s.find()
	wait(2 * time.Minute)
	for s.expiring() {
		wait(time.Minute)
	}
	if failure := s.check(); failure != "" {
		return strings.Join(done, "\n") + "\n" + failure
	}
	return ""
}

func (s *stage) do(a act) string {
	switch a.what {
	case "pause":
		return s.pause(a)
	case "again":
		return s.again(a)
	case "renew":
		return s.renew(a)
	case "resume":
		return s.resume(a)
	case "force":
		return s.force(a)
	case "trespass":
		return s.trespass(a)
	case "crash":
		s.crash(a.server)
	case "crash in pause", "crash in resume":
		s.crashIn(a)
	case "elect":
		s.elect(a.server)
	case "foreign":
		s.turnAll(a)
	case "wipe":
		s.wipe(a.broker)
	case "lead":
		s.cluster.SetLeader(a.broker, (a.broker+1)%3)
	case "fault":
		s.heal()
		s.cluster.SetFault(a.broker, a.fault)
		s.faulty = true
	case "lose the store":
		s.lose()
	case "find the store":
		s.find()
	}
	return ""
}
