package servertest_test

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/exportgate/exportgate/server/internal/embedded"
)

// guard watches the cluster at every moment, from within the brokers: no replica may export more than the holds allow that
// a caller was told have settled. It can also kill a server at a certain request.
type guard struct {
	mu       sync.Mutex
	floors   map[string]floor // by hold
	broken   []string
	kill     func() // does not wait
	requests int    // until the server is killed; 0 for never
	writing  int    // the same of requests that ask for a change
	writes   int    // since killAt
}

// floor is what a hold forbids to go below, and until when; the zero time is for ever.
type floor struct {
	phase embedded.Phase
	until time.Time
}

// strength orders the phases by how much they keep back.
func strength(p embedded.Phase) int {
	return map[embedded.Phase]int{embedded.Exporting: 1, embedded.SoftPaused: 2, embedded.Paused: 3}[p]
}

// onRequest counts down to a kill.
func (g *guard) onRequest(_ int, r embedded.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests--
	if r.Method == http.MethodPost {
		g.writes++
		g.writing--
	}
	if g.requests == 0 || g.writing == 0 && r.Method == http.MethodPost {
		g.kill()
	}
}

// onPhase judges a change.
func (g *guard) onPhase(now embedded.Replica, before embedded.Phase) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, f := range g.floors {
		if (f.until.IsZero() || time.Now().Before(f.until)) && strength(now.Phase) < strength(f.phase) {
			g.broken = append(g.broken, fmt.Sprintf("%s: partition %d on broker %d went from %s to %s under hold %s, which asks for %s until %s",
				time.Now().Format(time.StampMicro), now.Partition, now.Broker, before, now.Phase, id, f.phase, f.until))
		}
	}
}

// forbid watches over a hold that has settled; allow ends that.
func (g *guard) forbid(id string, f floor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.floors[id] = f
}

func (g *guard) allow(ids ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		delete(g.floors, id)
	}
}

// killAt kills at a request from now on, or at one that asks for a change, if there are so many; 0 is none. It lets writes be
// counted anew.
func (g *guard) killAt(requests, writing int, kill func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests, g.writing, g.kill, g.writes = requests, writing, kill, 0
}

// written is how many writes the brokers were asked for since killAt.
func (g *guard) written() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.writes
}

// findings is what went wrong.
func (g *guard) findings() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.broken
}
