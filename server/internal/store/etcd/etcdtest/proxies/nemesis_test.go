package proxies

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/exportgate/exportgate/server/internal/store/etcd/etcdtest/cluster"
)

// nemesis is what is done to the servers and to etcd, and when.
type nemesis struct {
	fleet  *fleet
	random *rand.Rand
	steps  []step
	done   []string
}

// step is one thing that is done, some time after the beginning. Who it is done to may be decided then.
type step struct {
	at time.Duration
	do func() (what string, err error)
}

// plan plans for some time: one process at a time is killed, stopped or frozen for longer than a lease, and beside that one
// connection or one member of etcd at a time fails. Whatever begins in that time also ends, maybe later.
func (n *nemesis) plan(length, lease time.Duration) {
	for at := n.between(1, 3); at < length; at += n.between(2, 5) {
		at = n.process(at, lease)
	}
	for at := n.between(1, 3); at < length; at += n.between(2, 5) {
		at = n.network(at)
	}
	slices.SortStableFunc(n.steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
}

// between is a time of so many seconds.
func (n *nemesis) between(least, most float64) time.Duration {
	return time.Duration((least + n.random.Float64()*(most-least)) * float64(time.Second))
}

func (n *nemesis) at(at time.Duration, do func() (string, error)) {
	n.steps = append(n.steps, step{at, do})
}

// process plans a fault of a process, and returns when it is over. The one that drives is the most worthwhile.
func (n *nemesis) process(at, lease time.Duration) time.Duration {
	victim := n.fleet.proxies[n.random.IntN(len(n.fleet.proxies))]
	atDriver := n.random.IntN(3) > 0
	choose := func() {
		if atDriver {
			victim = n.fleet.lastWriter()
		}
	}
	over := at + n.between(0.2, 1.5)
	switch dice := n.random.IntN(10); {
	case dice < 5:
		n.at(at, func() (string, error) { choose(); victim.kill(); return "kill " + victim.name, nil })
		n.at(over, func() (string, error) { return "start " + victim.name, victim.start() })
	case dice < 6:
		n.at(at, func() (string, error) { choose(); return "stop " + victim.name, victim.stop() })
		n.at(over, func() (string, error) { return "start " + victim.name, victim.start() })
	default:
		over = at + lease + n.between(1, 4)
		n.at(at, func() (string, error) { choose(); return "freeze " + victim.name, victim.running().freeze() })
		n.at(over, func() (string, error) { return "thaw " + victim.name, victim.running().thaw() })
	}
	return over
}

// network plans a fault of a server's connections to etcd, or of a member, and returns when it is over.
func (n *nemesis) network(at time.Duration) time.Duration {
	member, victim := n.random.IntN(3), n.fleet.proxies[n.random.IntN(len(n.fleet.proxies))]
	over := at + n.between(1, 4)
	switch n.random.IntN(4) {
	case 0, 1:
		n.at(at, func() (string, error) { n.fleet.etcd.Stop(member); return fmt.Sprintf("stop member %d", member), nil })
		n.at(over, func() (string, error) {
			n.fleet.etcd.StartMembers(member)
			return fmt.Sprintf("start member %d", member), nil
		})
		return over + 2*time.Second // It has to catch up before another one may go.
	case 2:
		over += n.between(0, 8)
		n.at(at, func() (string, error) { victim.network((*cluster.Proxy).Cut); return "cut off " + victim.name, nil })
	default:
		over += n.between(0, 8)
		n.at(at, func() (string, error) { victim.network((*cluster.Proxy).Hang); return "hang " + victim.name, nil })
	}
	n.at(over, func() (string, error) { victim.network((*cluster.Proxy).Heal); return "heal " + victim.name, nil })
	return over
}

// run carries out the plan.
func (n *nemesis) run(began time.Time) error {
	for _, s := range n.steps {
		<-time.After(time.Until(began.Add(s.at)))
		what, err := s.do()
		n.done = append(n.done, fmt.Sprintf("%8.3fs %s", time.Since(began).Seconds(), what))
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

func (n *nemesis) String() string { return strings.Join(n.done, "\n") }

// lastWriter is the server that asked a broker for a change last.
func (f *fleet) lastWriter() *proxy {
	return slices.MaxFunc(f.proxies, func(a, b *proxy) int { return a.gate.lastWrite().Compare(b.gate.lastWrite()) })
}
