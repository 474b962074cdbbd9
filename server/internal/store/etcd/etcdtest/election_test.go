package etcdtest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/reconcile"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/exportgate/exportgate/server/internal/store/etcd/etcdtest/cluster"
)

// One that resigns is followed at once.
func TestResign(t *testing.T) {
	t.Parallel()
	c := start(t)
	a := stand(t, c, "a")
	first := a.wins(0)
	b := stand(t, c, "b")
	if _, ok, _ := b.Term(); ok {
		t.Error("two drive")
	}
	eventually(t, "b stands", func() error {
		if len(a.Servers()) != 1 {
			return fmt.Errorf("a knows %v", a.Servers())
		}
		return nil
	})
	if !first.Until().After(time.Now().Add(ttl / 2)) {
		t.Errorf("the term ends in %v", time.Until(first.Until()))
	}
	began := time.Now()
	a.resign()
	if _, ok, _ := a.Term(); ok || first.Until().After(time.Now()) {
		t.Error("it drives after it resigned")
	}
	b.wins(first.ID)
	if took := time.Since(began); took > ttl/2 {
		t.Errorf("a successor needed %v", took)
	}
}

// One that is cut off, or frozen, loses its term by its own clock, before etcd lets another one begin; and when it comes
// back it stays lost. What freezes here are the connections: like a process that is stopped, it sends and hears nothing.
func TestCutOff(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*cluster.Proxy){"cut": (*cluster.Proxy).Cut, "hang": (*cluster.Proxy).Hang} {
		t.Run(name, func(t *testing.T) {
			c := start(t)
			a := stand(t, c, "a")
			first := a.wins(0)
			b := stand(t, c, "b")
			_, _, changed := a.Term()
			a.each(fault)
			began := time.Now()
			second := b.wins(first.ID)
			if _, ok, _ := a.Term(); ok {
				t.Error("two drive")
			}
			select {
			case <-changed:
			default:
				t.Error("a was not told that its term is over")
			}
			if end := first.Until(); !end.Before(time.Now()) {
				t.Errorf("the first term ends in %v", time.Until(end))
			}
			// An interrupted lease lives on for its time, and for an election of etcd's at most.
			if took := time.Since(began); took > 2*ttl+2*time.Second {
				t.Errorf("a successor needed %v", took)
			}
			a.each((*cluster.Proxy).Heal)
			eventually(t, "a stands again", func() error {
				if len(b.Servers()) != 1 {
					return fmt.Errorf("b knows %v", b.Servers())
				}
				return nil
			})
			if _, ok, _ := a.Term(); ok {
				t.Error("two drive")
			}
			b.resign()
			a.wins(second.ID)
		})
	}
}

// A term counts from when a prolongation was sent, however long the answer takes.
func TestSlowAnswers(t *testing.T) {
	t.Parallel()
	c := start(t)
	a := stand(t, c, "a")
	term := a.wins(0)
	const delay = 300 * time.Millisecond
	a.each(func(p *cluster.Proxy) { p.Delay(delay) })
	for began := time.Now(); time.Since(began) < 2*ttl; <-time.After(10 * time.Millisecond) {
		now, ok, _ := a.Term()
		if !ok || now.ID != term.ID {
			t.Fatal("a term ends that is prolonged")
		}
		if time.Since(began) < ttl {
			continue // What was sent before the delay is over.
		}
		// Between the answer to one and the next there is a beat, and two delays since it was sent.
		if left := time.Until(now.Until()); left > ttl-ttl/10-2*delay {
			t.Fatalf("the term ends in %v, as if it were counted from the answer", left)
		}
	}
}

// The driver's key is an election's, not a promise: one who loses it to somebody else does not go on.
func TestKeyTakenAway(t *testing.T) {
	t.Parallel()
	c := start(t)
	raw := client(t, c)
	a := stand(t, c, "a")
	key := prefix + "/election/driver"
	last := a.wins(0)
	for name, take := range map[string]func() error{
		"deleted": func() error { _, err := raw.Delete(t.Context(), key); return err },
		"revoked": func() error {
			answer, err := raw.Get(t.Context(), key)
			must(t, err)
			_, err = raw.Revoke(t.Context(), clientv3.LeaseID(answer.Kvs[0].GetLease()))
			return err
		},
	} {
		began := time.Now()
		must(t, take())
		next := a.wins(last.ID - 1)
		for next.ID == last.ID && time.Since(began) < patience {
			next = a.wins(last.ID - 1)
		}
		if next.ID <= last.ID || last.Until().After(time.Now()) {
			t.Errorf("%s: term %d goes on as term %d, until %v", name, last.ID, next.ID, last.Until())
		}
		last = next
	}

	_, err := raw.Put(t.Context(), key, "somebody")
	must(t, err)
	a.loses()
	eventually(t, "a warning", func() error {
		if w := strings.Join(a.Warnings(), "\n"); !strings.Contains(w, key) {
			return fmt.Errorf("warnings %q", w)
		}
		return nil
	})
	_, err = raw.Delete(t.Context(), key)
	must(t, err)
	a.wins(last.ID)
	eventually(t, "no warning", func() error {
		if w := a.Warnings(); len(w) > 0 {
			return fmt.Errorf("warnings %q", w)
		}
		return nil
	})
}

// Leaders of etcd come and go, and the driver stays, or is followed.
func TestMembersRestartUnderATerm(t *testing.T) {
	t.Parallel()
	c := start(t)
	a := stand(t, c, "a")
	last := a.wins(0)
	for i := range 3 {
		c.Stop(i)
		c.StartMembers(i)
		last = a.wins(last.ID - 1)
	}
	for i := range 3 {
		c.Stop(i)
	}
	a.loses()
	c.StartMembers(0, 1, 2)
	a.wins(last.ID)
}

func TestClocks(t *testing.T) {
	t.Parallel()
	c := start(t)
	raw := client(t, c)
	a, b := stand(t, c, "a"), stand(t, c, "b")
	eventually(t, "they know each other", func() error {
		if as, bs := a.Servers(), b.Servers(); len(as) != 1 || len(bs) != 1 || as[0].Name != "b" || bs[0].Name != "a" ||
			as[0].Ahead.Abs() > time.Second || bs[0].Ahead.Abs() > time.Second {
			return fmt.Errorf("they know %v and %v", as, bs)
		}
		return nil
	})
	if w := slices.Concat(a.Warnings(), b.Warnings()); len(w) > 0 {
		t.Errorf("warnings %q", w)
	}
	for _, offset := range []time.Duration{7 * time.Second, -8 * time.Second} {
		key := fmt.Sprintf("%s/election/servers/c-%v", prefix, offset)
		_, err := raw.Put(t.Context(), key, fmt.Sprintf(`{"name":"c","time":%d}`, time.Now().Add(offset).UnixNano()))
		must(t, err)
		eventually(t, "a warning", func() error {
			w := strings.Join(a.Warnings(), "\n")
			if !strings.Contains(w, "clock of c is") || !strings.Contains(w, map[bool]string{true: "ahead", false: "behind"}[offset > 0]) {
				return fmt.Errorf("warnings %q", w)
			}
			return nil
		})
		_, err = raw.Delete(t.Context(), key)
		must(t, err)
		eventually(t, "no warning", func() error {
			if w := a.Warnings(); len(w) > 0 {
				return fmt.Errorf("warnings %q", w)
			}
			return nil
		})
	}
}

var faults = flag.Duration("faults", 20*time.Second, "how long the property test makes faults")

// Whatever is cut, hung, delayed or stopped: of two terms the later has the higher number, and the earlier is over when the
// later begins.
func TestTermsNeverOverlap(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c := start(t)
	candidates := []*candidate{stand(t, c, "a"), stand(t, c, "b"), stand(t, c, "c")}
	record := &terms{began: map[uint64]time.Time{}, until: map[uint64]func() time.Time{}}
	stop := make(chan struct{})
	var watching sync.WaitGroup
	for _, k := range candidates {
		watching.Go(func() { record.watch(k, stop) })
	}
	for began := time.Now(); time.Since(began) < *faults; {
		driver := record.last()
		for _, k := range candidates {
			if k.name != driver && random.IntN(5) > 0 {
				continue // Mostly the driver has the trouble.
			}
			fault := random.IntN(3)
			k.each(func(p *cluster.Proxy) {
				switch fault {
				case 0:
					p.Cut()
				case 1:
					p.Hang()
				case 2:
					p.Delay(time.Duration(random.IntN(1500)) * time.Millisecond)
				}
			})
		}
		<-time.After(ttl/2 + time.Duration(random.Int64N(int64(2*ttl))))
		for _, k := range candidates {
			k.each((*cluster.Proxy).Heal)
		}
		<-time.After(time.Duration(random.IntN(1000)) * time.Millisecond)
	}
	close(stop)
	watching.Wait()
	record.check(t)
}

// terms are what was seen of terms.
type terms struct {
	mu     sync.Mutex
	driver string
	began  map[uint64]time.Time
	until  map[uint64]func() time.Time
}

func (r *terms) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.driver
}

// watch takes note of when a candidate's terms are first seen. It asks as often as it can, besides being told, so that a
// term that began unannounced is not missed.
func (r *terms) watch(k *candidate, stop <-chan struct{}) {
	for {
		term, ok, changed := k.Term()
		now := time.Now()
		if ok {
			r.saw(term, now)
		}
		select {
		case <-changed:
		case <-time.After(time.Millisecond):
		case <-stop:
			return
		}
	}
}

func (r *terms) saw(term reconcile.Term, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.began[term.ID]; !known {
		r.began[term.ID], r.until[term.ID], r.driver = now, term.Until, term.Driver
	}
}

func (r *terms) check(t *testing.T) {
	t.Helper()
	var ids []uint64
	for id := range r.began {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if len(ids) < 2 {
		t.Errorf("only %d terms: the faults do nothing", len(ids))
	}
	t.Logf("%d terms", len(ids))
	for i := 1; i < len(ids); i++ {
		if end, next := r.until[ids[i-1]](), r.began[ids[i]]; end.After(next) {
			t.Errorf("term %d ended %v after term %d began", ids[i-1], end.Sub(next), ids[i])
		}
	}
}
