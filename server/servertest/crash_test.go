package servertest_test

import (
	"context"
	"flag"
	"sync"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// crashSeed repeats the crashes of an earlier run, as far as the machine does its part the same.
var crashSeed = flag.Uint64("crash-seed", 0, "seed of the crash test; 0 takes a new one")

// A server is killed again and again, at random points of whatever it does, and started over the same ledger; now and then a
// broker fails as well. What callers were told stays true at every moment, and in the end all is as the ledger says.
func TestKilled(t *testing.T) {
	t.Parallel()
	rounds, seed := 5, *crashSeed
	if *soak {
		rounds = 60
	}
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	kills := &toll{by: map[string]int{}}
	t.Cleanup(func() { kills.check(t) })
	for i, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			t.Logf("to repeat this: -crash-seed %d", seed)
			l := newLife(try{T: t, version: version}, seed+uint64(i), kills)
			for n := range rounds {
				l.round(n, acts()[(n+i)%len(acts())])
				if t.Failed() {
					t.Fatalf("this was round %d of -crash-seed %d", n, seed)
				}
			}
			l.finish()
		})
	}
}

// acts are what a server may be killed during. There are more of them than rounds, and each version begins with another.
func acts() []string { return []string{"start", "pause", "revert", "resume", "expiry", "rest"} }

// round kills the server during an act, starts it again, and looks what is left.
func (l *life) round(n int, act string) {
	l.Helper()
	l.deal(n)
	l.keep = l.random.IntN(4) == 0
	victim := l.holds.list[0]
	if act == "expiry" {
		victim = l.holds.find("short")
	} else if l.random.IntN(3) == 0 {
		victim = l.holds.find("operator")
	}
	l.Logf("round %d: %s of %s, %s", n, act, victim.id, victim.phase)
	if act != "start" { // The first start, which makes the ledger's file, may be cut off as well.
		l.prepare(act, victim)
	}
	retry := l.killDuring(act, victim)
	if act == "expiry" && l.random.IntN(2) == 0 {
		l.until(victim.expires)
	}
	for range l.random.IntN(3) {
		l.killStarting()
	}
	healed := l.random.IntN(2) == 0
	if healed {
		l.heal(l.cluster)
	}
	l.launch()
	if !healed {
		l.heal(l.cluster)
	}
	l.check()
	if act == "expiry" {
		l.until(victim.expires)
		l.check()
		l.expectExpired(victim)
	}
	if retry != nil && l.random.IntN(2) == 0 {
		retry()
		l.check()
	}
}

// prepare brings about what an act begins with.
func (l *life) prepare(act string, victim *claim) {
	l.Helper()
	if l.proxy == nil {
		l.launch()
	}
	if b := l.holds.find("b"); l.random.IntN(3) > 0 {
		l.clear(victim) // With others in force most acts change nothing.
	} else if b.fate == gone {
		l.mustPause(b, time.Hour)
	}
	switch act {
	case "pause", "revert":
		if victim.fate == lives {
			l.mustResume(victim)
		}
	case "resume", "rest":
		l.mustPause(victim, time.Hour)
	case "expiry":
		l.mustPause(victim, time.Duration(1000+l.random.IntN(1000))*time.Millisecond)
	}
}

// killDuring kills the server during an act. It returns what makes the call once more that was cut off, nil if there was
// none.
func (l *life) killDuring(act string, victim *claim) (retry func()) {
	l.Helper()
	if act == "start" {
		l.end()
		l.killStarting()
		return nil
	}
	switch act {
	case "pause":
		l.trouble(3)
		o := l.killWithin(400*time.Millisecond, func() servertest.Outcome { return l.pause(l.Context(), victim, time.Hour) })
		l.count(act, o)
		l.holds.paused(victim, o)
		return func() { l.mustPause(victim, time.Hour) }
	case "revert":
		l.cluster.Cluster.Broker(l.random.IntN(3)).SetFaults(embedded.Swallow())
		l.route = l.proxy.route(l.T, servertest.GRPC) // Only there callers can tell how much time they have.
		o := l.killWithin(1800*time.Millisecond, func() servertest.Outcome {
			ctx, cancel := context.WithTimeout(l.Context(), 1500*time.Millisecond)
			defer cancel()
			return l.pause(ctx, victim, time.Hour)
		})
		l.count(act, o)
		l.holds.paused(victim, o)
		return func() { l.mustPause(victim, time.Hour) }
	case "resume":
		l.trouble(4)
		l.guard.allow(victim.id)
		o := l.killWithin(400*time.Millisecond, func() servertest.Outcome { return l.resume(l.Context(), victim) })
		l.count(act, o)
		l.holds.resumed(victim, o)
		return func() { l.mustResume(victim) }
	case "expiry":
		l.trouble(4)
		l.killWithin(time.Until(victim.expires)+300*time.Millisecond, nil)
	case "rest":
		l.killWithin(400*time.Millisecond, nil)
	}
	l.toll.count(act)
	return nil
}

// count counts where a kill came.
func (l *life) count(act string, o servertest.Outcome) {
	switch writes := l.guard.written(); {
	case !cutOff(o):
		l.toll.count(act + ": after the answer")
	case writes == 0:
		l.toll.count(act + ": before the brokers were asked")
	default:
		l.toll.count(act + midst)
	}
}

const midst = ": after the brokers were asked"

// toll is how many kills came where, in all lives together.
type toll struct {
	mu sync.Mutex
	by map[string]int
}

func (k *toll) count(where string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.by[where]++
}

// check sees to it that the test tests what it is for.
func (k *toll) check(t *testing.T) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	all := 0
	for _, n := range k.by {
		all += n
	}
	t.Logf("%d kills: %v", all, k.by)
	for _, act := range []string{"pause", "revert", "resume"} {
		if *soak && !t.Failed() && k.by[act+midst] == 0 {
			t.Errorf("no kill came in the middle of a %s", act)
		}
	}
}

// trouble makes trouble, or none, of some kinds.
func (l *life) trouble(kinds int) {
	b := l.cluster.Cluster.Broker(l.random.IntN(3))
	switch l.random.IntN(kinds) {
	case 0:
		b.SetFaults(embedded.Slow(time.Duration(l.random.IntN(200)) * time.Millisecond))
	case 1:
		b.SetFaults(embedded.FailSome(0.2, l.random.Uint64()))
	case 3:
		b.Stop()
	}
}
