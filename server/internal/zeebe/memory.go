package zeebe

import (
	"slices"
	"sync"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

const (
	// reprobe is how often a broker is asked for its generation again that does not tell it.
	reprobe = 5 * time.Second
	// enough is how often a broker may fail to tell its generation before it counts as old.
	enough = 3
	// forgetAfter is how long the memory of a broker outlives its last discovery: long enough for a broker that a gateway
	// loses sight of, short enough that addresses of pods long gone do not pile up.
	forgetAfter = time.Hour
)

// memory is what was learnt of the brokers, by address.
type memory struct {
	configured version // of brokers whose version the gateway does not tell; zero where it is not

	mu      sync.Mutex
	brokers map[string]*record
	// preferred is the address that told the cluster's configuration last.
	preferred string
	// tenants reports that replicas of several tenants were read.
	tenants bool
	// turn counts the changes of the cluster that were not taken.
	turn int
	// trouble is the discovery's trouble that was logged last.
	trouble string
}

// record is what was learnt of the broker at one address. Everything but slot is guarded by the memory's lock.
type record struct {
	// slot is held while something is written to the broker: the guard's verdict must stand until the write is noted.
	slot chan struct{}

	id   exporting.BrokerID
	told version // by the gateway or by the operator

	present bool // in the last discovery
	seen    time.Time

	quiet     bool       // it did not answer what it was asked last
	learnt    generation // the last one that it showed
	fresh     bool       // learnt is from after the broker was quiet last
	unclear   int        // how often it was asked since and did not tell
	probeFrom time.Time  // not to be asked for its generation before
	noSoft    bool       // it showed that it has no soft pause

	guard guard
}

func newMemory(configured version) *memory {
	return &memory{configured: configured, brokers: make(map[string]*record)}
}

// record returns what is known at an address. The caller holds the lock.
func (m *memory) record(address string) *record {
	r, ok := m.brokers[address]
	if !ok {
		r = &record{
			slot: make(chan struct{}, 1), id: exporting.BrokerID(address), told: m.configured,
			present: true, seen: time.Now(),
		}
		m.brokers[address] = r
	}
	return r
}

// with runs f on what is known at an address, under the lock.
func (m *memory) with(address string, f func(*record)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m.record(address))
}

// id is how the broker at an address is called.
func (m *memory) id(address string) exporting.BrokerID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.record(address).id
}

// slot is held while something is written to the broker at an address.
func (m *memory) slot(address string) chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.record(address).slot
}

// meet takes over what the discovery told, and drops the brokers that it has not told for long.
func (m *memory) meet(endpoints []endpoint, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.brokers {
		r.present = false
	}
	for _, e := range endpoints {
		r := m.record(e.address)
		r.present, r.seen = true, now
		var ok bool
		if r.told, ok = parseVersion(e.version); !ok {
			r.told = m.configured
		}
	}
	for address, r := range m.brokers {
		if now.Sub(r.seen) > forgetAfter {
			delete(m.brokers, address)
		}
	}
}

// answered notes that a broker answered, whatever it said.
func (m *memory) answered(address string) {
	m.with(address, func(r *record) {
		if r.quiet {
			r.quiet, r.probeFrom = false, time.Time{}
		}
	})
}

// silent notes that a broker did not answer. It may come back as another version.
func (m *memory) silent(address string) {
	m.with(address, func(r *record) { r.quiet, r.fresh, r.unclear, r.noSoft = true, false, 0, false })
}

// forget notes that a broker answered in another generation's way than the one that was learnt.
func (m *memory) forget(address string) {
	m.with(address, func(r *record) { r.fresh, r.unclear, r.noSoft, r.probeFrom = false, 0, false, time.Time{} })
}

// showed notes the generation that a broker showed when it was asked for it, and returns the one that was known before.
func (m *memory) showed(address string, shown generation) (before generation) {
	m.with(address, func(r *record) {
		before = r.learnt
		if shown != unknownGeneration {
			r.learnt, r.fresh = shown, true
			return
		}
		if r.unclear++; r.unclear < enough {
			r.probeFrom = time.Time{}
		}
	})
	return before
}

// toProbe returns those of the addresses whose generation nobody told, and which may be asked for it now. A broker that
// was quiet is left alone until it answers something else: who waits for a topology must not wait for it every time.
func (m *memory) toProbe(addresses []string, now time.Time) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var due []string
	for _, address := range addresses {
		r := m.record(address)
		if r.told.generation() == unknownGeneration && !r.fresh && !r.quiet && !now.Before(r.probeFrom) {
			r.probeFrom = now.Add(reprobe) // Others need not ask as well.
			due = append(due, address)
		}
	}
	return due
}

// broker describes the broker at an address as the port wants it.
func (m *memory) broker(address string, allowSoftToHard bool) (exporting.Broker, exporting.Lever) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.record(address)
	b := exporting.Broker{ID: r.id, Address: address, Version: r.versionText(), SoftPause: r.softPause()}
	var lever exporting.Lever
	switch r.generation() {
	case planned:
		lever = exporting.Lever{ID: clusterLever, Planned: true, SoftToHard: true}
	case perBroker:
		lever = exporting.Lever{ID: exporting.LeverID(address), SoftToHard: allowSoftToHard}
	case unknownGeneration:
	}
	b.Lever = lever.ID
	return b, lever
}

// ofGeneration returns the addresses of the brokers of a generation that were found last, in order.
func (m *memory) ofGeneration(g generation) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var addresses []string
	for address, r := range m.brokers {
		if r.present && r.generation() == g {
			addresses = append(addresses, address)
		}
	}
	slices.Sort(addresses)
	return addresses
}

// inOrderOfPreference puts the address that told the configuration last in front.
func (m *memory) inOrderOfPreference(addresses []string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.Index(addresses, m.preferred)
	if i <= 0 {
		return addresses
	}
	return slices.Concat(addresses[i:i+1], addresses[:i], addresses[i+1:])
}

// inTurn returns the address to send a change of the cluster to: the first, or another for each time that it was not taken.
func (m *memory) inTurn(addresses []string, first string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return addresses[(max(slices.Index(addresses, first), 0)+m.turn)%len(addresses)]
}

// passTurn notes that a change of the cluster was not taken.
func (m *memory) passTurn() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn++
}

// doubtOld makes brokers that showed to be old be asked again while others are new: an upgrade may have passed without a
// silence that anybody noticed, and a broker that answers 404 while it starts looks old.
func (m *memory) doubtOld() {
	m.mu.Lock()
	defer m.mu.Unlock()
	mixed := map[generation]bool{}
	for _, r := range m.brokers {
		if r.present {
			mixed[r.generation()] = true
		}
	}
	for _, r := range m.brokers {
		if mixed[planned] && mixed[perBroker] && r.learnt == perBroker && !r.quiet {
			r.fresh, r.probeFrom = false, time.Time{}
		}
	}
}

// name takes over the ids of endpoints.
func (m *memory) name(endpoints []endpoint, ids []exporting.BrokerID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, e := range endpoints {
		m.record(e.address).id = ids[i]
	}
}

// sawTenants notes that a broker showed replicas of tenants.
func (m *memory) sawTenants() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tenants = true
}

// hasTenants reports whether any broker ever did.
func (m *memory) hasTenants() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tenants
}

// isNewTrouble takes over a discovery's trouble and reports whether it is another than before.
func (m *memory) isNewTrouble(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed := m.trouble != text
	m.trouble = text
	return changed
}

// prefer notes which address told the configuration.
func (m *memory) prefer(address string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.preferred = address
}

// generation is the broker's, as it was told or else learnt; one that was quiet since is what it was before. One that
// can be read, and does not tell however often it is asked, is an old one.
func (r *record) generation() generation {
	if g := r.told.generation(); g != unknownGeneration {
		return g
	}
	if r.learnt == unknownGeneration && r.unclear >= enough && r.guard.isRead() {
		return perBroker
	}
	return r.learnt
}

// softPause reports whether the broker may know it.
func (r *record) softPause() bool {
	return r.generation() == planned || (r.told.softPause() && !r.noSoft)
}

// versionText is the broker's version for people.
func (r *record) versionText() string {
	switch {
	case r.told.text != "":
		return r.told.text
	case r.learnt == planned:
		return "8.10+"
	case r.learnt == perBroker:
		return "before 8.10"
	}
	return ""
}
