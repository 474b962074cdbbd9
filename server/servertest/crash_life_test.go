package servertest_test

import (
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/servertest"
)

// life is a ledger, the servers over it, one after another, and their cluster.
type life struct {
	try

	holds    *claims
	guard    *guard
	cluster  *servertest.Harness
	settings map[string]string
	ports    map[string]string // of the last server
	proxy    *proxy            // nil while there is none
	route    servertest.Route

	seed   uint64
	random *rand.Rand // of the present round
	keep   bool       // whether its pauses keep what does not settle
	toll   *toll
}

func newLife(t try, seed uint64, toll *toll) *life {
	g := &guard{floors: map[string]floor{}}
	l := &life{try: t, holds: &claims{T: t.T, guard: g}, guard: g, seed: seed, ports: map[string]string{}, toll: toll}
	l.cluster = startCluster(t.T, embedded.Options{
		Version: t.version, EmptyDelay: 100 * time.Millisecond, OnRequest: g.onRequest, OnPhase: g.onPhase,
	})
	l.settings = servertest.Settings(t.T, l.cluster.Cluster, servertest.Options{Settings: map[string]string{
		"store.path": filepath.Join(t.TempDir(), "new", "exportgate.db"), "exporting.timeout": "10s",
	}})
	l.deal(-1)
	phases := []embedded.Phase{embedded.SoftPaused, embedded.Paused}
	first, next := l.random.IntN(2), 0
	if t.planned() {
		next = 1 // Hard and soft pauses together are safe there alone.
	}
	for i, id := range []string{"a", "b", "short", hold.Operator} {
		l.holds.list = append(l.holds.list, &claim{id: id, phase: phases[(first+next*i)%2], fate: gone})
	}
	return l
}

// deal gives a round random numbers of its own, so that they do not depend on how the earlier ones went.
func (l *life) deal(round int) { l.random = rand.New(rand.NewPCG(l.seed, uint64(round+1))) }

// launch starts a server, where the last one was or elsewhere, and waits until it serves.
func (l *life) launch() {
	l.Helper()
	p := launch(l.T, l.places())
	if !p.serves(l.T) && strings.Contains(p.said.String(), "address already in use") {
		p = launch(l.T, l.settings) // Somebody else was given the port.
	}
	if !p.serves(l.T) {
		l.Fatalf("the server ended: %v\n%s", p.err, &p.said)
	}
	l.proxy = p
	l.route = p.route(l.T, servertest.Doors()[l.random.IntN(2)])
	for door, key := range map[servertest.Door]string{servertest.HTTP: "server.port", servertest.GRPC: "grpc.port"} {
		_, port, err := net.SplitHostPort(p.address(door))
		if err != nil {
			l.Fatal(err)
		}
		l.ports[key] = port
	}
}

// places are the settings, mostly with the ports that the last server had.
func (l *life) places() map[string]string {
	settings := maps.Clone(l.settings)
	if l.random.IntN(3) > 0 {
		maps.Copy(settings, l.ports)
	}
	return settings
}

// killStarting starts a server and kills it while it does.
func (l *life) killStarting() {
	l.Helper()
	l.proxy = launch(l.T, l.places())
	l.killWithin(400*time.Millisecond, nil)
	l.toll.count("start")
}

// killWithin makes a call, and kills the server within some time or at one of the next requests to the brokers. Without a
// call it only kills.
func (l *life) killWithin(most time.Duration, call func() servertest.Outcome) (o servertest.Outcome) {
	l.Helper()
	delay, requests, writing := most+time.Second, 0, 0
	switch l.random.IntN(4) {
	case 0:
		delay = time.Duration(l.random.Int64N(int64(most)))
	case 1:
		requests = 1 + l.random.IntN(20)
	default:
		writing = 1 + l.random.IntN(4)
	}
	l.guard.killAt(requests, writing, l.proxy.kill)
	var outcome <-chan servertest.Outcome
	if call != nil {
		outcome = later(call)
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.proxy.exited:
	}
	l.proxy.kill()
	<-l.proxy.exited
	l.Logf("killed after %d requests, %d writes or %v", requests, writing, delay)
	if call != nil {
		o = <-outcome
		l.Logf("the call was told: %v", o)
	}
	l.end()
	return o
}

// end kills the server, if there is one.
func (l *life) end() {
	if l.proxy != nil {
		l.proxy.end()
	}
	l.proxy = nil
}

// clear releases every other hold.
func (l *life) clear(but *claim) {
	l.Helper()
	for _, c := range l.holds.with(lives) {
		if c != but {
			l.mustResume(c)
		}
	}
}

// until waits for an instant.
func (l *life) until(at time.Time) {
	l.Helper()
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.Context().Done():
		l.Fatal(l.Context().Err())
	}
}

func (l *life) pause(ctx context.Context, c *claim, ttl time.Duration) servertest.Outcome {
	request := pauseTo(c.phase)
	request.Hold = c.id
	if l.keep {
		request.OnFailure = exportgatev1.OnFailure_ON_FAILURE_KEEP
	}
	if c.id != hold.Operator {
		request.Ttl = durationpb.New(ttl)
	}
	return l.route.Pause(ctx, request)
}

func (l *life) resume(ctx context.Context, c *claim) servertest.Outcome {
	return l.route.Resume(ctx, &exportgatev1.ResumeRequest{Hold: c.id})
}

// mustPause pauses where nothing stands against it.
func (l *life) mustPause(c *claim, ttl time.Duration) {
	l.Helper()
	var o servertest.Outcome
	servertest.Await(l, "a pause is not refused any more", func() bool {
		o = l.pause(l.Context(), c, ttl)
		return o.Reason != incomplete
	})
	l.holds.paused(c, o)
	if !o.OK() {
		l.Fatalf("pausing %s: %v", c.id, o)
	}
}

// mustResume releases where nothing stands against it. To release what was released before is answered the same.
func (l *life) mustResume(c *claim) {
	l.Helper()
	l.guard.allow(c.id)
	before := c.fate
	o := l.resume(l.Context(), c)
	l.holds.resumed(c, o)
	switch {
	case o.OK():
	case o.Reason == heldBy && c.id == hold.Operator:
	case o.Reason == broken && before == gone && o.Metadata["continuity"] == "UNKNOWN": // A broker was down then.
	default:
		l.Fatalf("releasing %s, of which was known that it %s: %v", c.id, before, o)
	}
}

// expectExpired expects that a release is told that it comes too late, each time.
func (l *life) expectExpired(c *claim) {
	l.Helper()
	for range 2 {
		if o := l.resume(l.Context(), c); o.Reason != expired || o.Metadata["hold"] != c.id {
			l.Errorf("releasing %s, which has expired: %v", c.id, o)
		}
	}
}

// check waits until all is quiet, and then compares what is asked for, what is true, and what callers were told.
func (l *life) check() {
	l.Helper()
	var last servertest.Outcome
	var from, to time.Time
	defer func() {
		if l.Failed() {
			l.Logf("%v\nstatus %v\ntruth %+v", last, last.Status, l.cluster.Cluster.Replicas())
		}
	}()
	servertest.Await(l, "all is settled, and true", func() bool {
		from = time.Now()
		last = l.route.GetStatus(l.Context())
		to = time.Now()
		return quiet(l.cluster, last.Status)
	})
	l.holds.check(last.Status, from, to)
	for _, finding := range l.guard.findings() {
		l.Error(finding)
	}
}

// quiet reports whether a status says that nothing is left to do, and all replicas truly are in the target.
func quiet(h *servertest.Harness, s *exportgatev1.Status) bool {
	for _, hold := range s.GetHolds() {
		if hold.GetSettleTime() == nil {
			return false
		}
	}
	for _, phase := range []embedded.Phase{embedded.Exporting, embedded.SoftPaused, embedded.Paused} {
		if s.GetTarget() == phaseOf(phase) {
			return s.GetSettled() && s.GetObserved() == s.GetTarget() && s.GetStale() == "" && h.AllIn(phase)
		}
	}
	return false
}

// finish ends every hold.
func (l *life) finish() {
	l.Helper()
	ids := []string{}
	for _, c := range l.holds.list {
		ids = append(ids, c.id)
	}
	l.guard.allow(ids...)
	o := l.route.Resume(l.Context(), &exportgatev1.ResumeRequest{Force: true})
	if !o.OK() || len(o.Forced) != len(l.holds.with(lives)) || !l.cluster.AllIn(embedded.Exporting) {
		l.Errorf("in the end: %v, with these ended: %v; astray: %+v", o, o.Forced, l.cluster.Astray(embedded.Exporting))
	}
}
