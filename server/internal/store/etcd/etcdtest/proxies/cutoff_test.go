package proxies

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"

	"github.com/exportgate/exportgate/server/internal/store/etcd/etcdtest/cluster"
)

// lost waits until a server says that its ledger is stale.
func (f *fleet) lost(p *proxy) {
	f.Helper()
	f.eventually(p.name+" knows that it is cut off", func() error {
		if s := p.status(); s.GetStale() == "" {
			return fmt.Errorf("its status is %v", s)
		}
		return nil
	})
}

// refused is a pause that a server without its ledger must refuse.
func (f *fleet) refused(o servertest.Outcome) {
	f.Helper()
	if want := map[string]int{"no": 503, "unknown": 504}[o.Metadata["written"]]; o.Reason != "STORE_UNAVAILABLE" || o.HTTP != want {
		f.Errorf("a pause without the ledger: %v", o)
	}
}

// each does something with every server at once.
func (f *fleet) each(do func(*proxy)) {
	var doing sync.WaitGroup
	for _, p := range f.proxies {
		doing.Go(func() { do(p) })
	}
	doing.Wait()
}

// passes waits until a server has looked at every broker so often, since an instant.
func (f *fleet) passes(p *proxy, since time.Time, often int) {
	f.Helper()
	f.eventually(fmt.Sprintf("%d passes of %s", often, p.name), func() error {
		if reads := len(p.gate.since(since, false)); reads < often*len(f.brokers.Brokers()) {
			return fmt.Errorf("%d reads", reads)
		}
		return nil
	})
}

// silent fails the test if a server asked a broker for a change after an instant.
func (f *fleet) silent(p *proxy, since time.Time) {
	f.Helper()
	if writes := p.gate.since(since, true); len(writes) > 0 {
		f.Errorf("%s asked for %d changes since, the first is %+v", p.name, len(writes), writes[0])
	}
}

// A driver that is cut off from etcd is followed by another one, and never enforces what it remembers of the ledger.
func TestDriverCutOff(t *testing.T) {
	t.Parallel()
	f := assemble(t, options{})
	f.ok(f.proxies[0].pause("backup"))
	f.settles(embedded.SoftPaused, f.proxies, "backup")
	driver := f.driver(f.proxies...)
	others := f.others(driver)
	driver.network((*cluster.Proxy).Cut)
	cut := time.Now()
	f.lost(driver)
	f.refused(driver.pause("late"))
	f.driver(others...)

	f.ok(others[0].pause("other"))
	f.ok(others[1].resume("backup"))
	f.settles(embedded.SoftPaused, others, "other")
	f.ok(others[0].resume("other"))
	f.settles(embedded.Exporting, others)
	f.passes(driver, time.Now(), 5)
	f.settles(embedded.Exporting, others)
	f.silent(driver, cut)
	if s := driver.status(); s.GetStale() == "" || !slices.Equal(ids(s.GetHolds()), []string{"backup"}) {
		t.Errorf("it says that %v live, and of its ledger %q", ids(s.GetHolds()), s.GetStale())
	}

	driver.network((*cluster.Proxy).Heal)
	f.settles(embedded.Exporting, f.proxies)
	f.ok(driver.pause("again"))
	f.settles(embedded.SoftPaused, f.proxies, "again")
}

// A resume by force at a server that is cut off resumes the brokers there and then. The others enforce what they do not know
// to have ended; once they are told, what was placed meanwhile is left.
func TestForceAtOneCutOff(t *testing.T) {
	t.Parallel()
	f := assemble(t, options{})
	placed := f.ok(f.proxies[0].pause("backup"))
	f.settles(embedded.SoftPaused, f.proxies, "backup")
	driver := f.driver(f.proxies...)
	alone := f.others(driver)[0]
	alone.network((*cluster.Proxy).Cut)
	f.lost(alone)
	forced := f.ok(alone.force())
	if len(forced.Unrecorded) != 1 || forced.Unrecorded[0].GetUid() != placed.Hold.GetUid() {
		t.Errorf("unrecorded: %v, placed: %v", forced.Unrecorded, placed.Hold)
	}
	others := f.others(alone)
	f.ok(others[0].pause("meanwhile"))
	f.settles(embedded.SoftPaused, others, "backup", "meanwhile")

	alone.network((*cluster.Proxy).Heal)
	f.settles(embedded.SoftPaused, f.proxies, "meanwhile")
	f.wasForced(placed.Hold)
	f.ok(alone.resume("meanwhile"))
	f.settles(embedded.Exporting, f.proxies)
}

// wasForced waits until every server knows that a hold was ended by force.
func (f *fleet) wasForced(h *exportgatev1.Hold) {
	f.Helper()
	for _, p := range f.proxies {
		f.eventually(p.name+" knows it", func() error {
			history := p.status().GetHistory()
			if !slices.ContainsFunc(history, func(e *exportgatev1.EndedHold) bool {
				return e.GetHold().GetUid() == h.GetUid() && e.GetEnd() == exportgatev1.HoldEnd_HOLD_END_FORCED
			}) {
				return fmt.Errorf("its history is %v", history)
			}
			return nil
		})
	}
}

// Without a quorum of etcd nobody can pause, and anybody can resume everything by force. It is recorded when the quorum is
// back, and nothing is paused again.
func TestNoQuorum(t *testing.T) {
	t.Parallel()
	f := assemble(t, options{})
	placed := f.ok(f.proxies[0].pause("backup"))
	f.settles(embedded.SoftPaused, f.proxies, "backup")
	f.etcd.Stop(0)
	f.etcd.Stop(1)
	for _, p := range f.proxies {
		f.lost(p)
	}
	before := len(f.brokers.Writes())
	f.each(func(p *proxy) { f.refused(p.pause("late")) })
	f.each(func(p *proxy) { f.refused(p.resume("backup")) })
	if astray := f.astray(embedded.SoftPaused); len(astray) > 0 || len(f.brokers.Writes()) > before {
		t.Errorf("touched: astray %+v, writes %+v", astray, f.brokers.Writes()[before:])
	}

	began := time.Now()
	force := func(p *proxy) {
		forced := p.force()
		if len(forced.Unrecorded) != 1 || forced.Unrecorded[0].GetUid() != placed.Hold.GetUid() {
			t.Errorf("%s answers %v, unrecorded: %v, placed: %v", p.name, forced, forced.Unrecorded, placed.Hold)
		}
		if astray := f.astray(embedded.Exporting); len(astray) > 0 {
			t.Errorf("%s did not resume %+v", p.name, astray)
		}
	}
	force(f.proxies[0])
	f.each(force) // Each of them may be asked, and again.
	f.etcd.StartMembers(0, 1)
	f.settles(embedded.Exporting, f.proxies)
	f.wasForced(placed.Hold)
	f.passes(f.proxies[0], time.Now(), 5)
	for _, p := range f.proxies {
		for _, w := range p.gate.since(began, true) {
			if w.path != "/actuator/partitions/resumeExporting" {
				t.Errorf("%s paused again: %+v", p.name, w)
			}
		}
	}
	f.settles(embedded.Exporting, f.proxies)
	f.ok(f.proxies[1].pause("again"))
	f.settles(embedded.SoftPaused, f.proxies, "again")
}
