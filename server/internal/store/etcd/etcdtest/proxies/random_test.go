package proxies

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"

	"github.com/exportgate/exportgate/server/internal/store/etcd/etcdtest/cluster"
)

const (
	clients = 10
	// mostCalls is what the checker is known to cope with.
	mostCalls = 2000
	// checking is how long it may take for one name.
	checking = 2 * time.Minute
)

// Ten clients ask three servers for this and that, while servers and members of etcd fail. What the clients were told must
// be what one ledger could have told them, and everything settles in the end.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	length := 15 * time.Second
	if *soak {
		length = time.Minute
	}
	from := *seed
	if from == 0 {
		from = rand.Uint64()
	}
	random := rand.New(rand.NewPCG(from, 0))
	o := options{
		heartbeat: cluster.Heartbeat, election: cluster.Election,
		settings: map[string]string{"exporting.timeout": "4s"},
		brokers:  embedded.Options{Version: "8.9"},
	}
	kinds := map[string]kind{"a": {soft: true}, "b": {soft: true}, "brief": {soft: true, ttl: 3 * time.Second}, operator: {soft: true}}
	if random.IntN(2) > 0 { // Brokers of which a hard pause after a soft one is safe.
		o.brokers.Version, kinds["b"] = "8.10", kind{}
	}
	f := assemble(t, o)
	h := newHistory([]string{"a", "b", "brief", operator})
	n := &nemesis{fleet: f, random: random}
	n.plan(length, cluster.Election*3/2)
	t.Cleanup(func() {
		t.Logf("brokers %s, %d calls, %d operations without an answer, seed %d: plan it again with -seed=%d\nwhat was done:\n%s",
			o.brokers.Version, h.calls, h.open, from, from, n)
	})

	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var calling sync.WaitGroup
	for i := range clients {
		c := &client{history: h, number: i, random: rand.New(rand.NewPCG(from, uint64(i)+1)), fleet: f, kinds: kinds, most: mostCalls}
		calling.Go(func() { c.run(ctx) })
	}
	failure := n.run(h.began)
	calling.Wait()
	must(t, failure)
	f.quiet(h)
	for _, answer := range h.unexpected {
		t.Error(answer)
	}
	h.check(t)
}

// quiet waits until everything has settled: every server says so of the same ledger, and every replica truly is in the
// target. What lives then is the last that the history tells.
func (f *fleet) quiet(h *history) {
	f.Helper()
	var last *exportgatev1.Status
	f.eventually("everything settles", func() error {
		last = nil
		for _, p := range f.proxies {
			s := p.status()
			switch {
			case s == nil || !s.GetSettled() || s.GetStale() != "" || s.GetForeign():
				return fmt.Errorf("%s says settled %t (%s), stale %q, foreign %t, target %s", p.name, s.GetSettled(),
					s.GetUnsettledReason(), s.GetStale(), s.GetForeign(), s.GetTarget())
			case last != nil && ledgerOf(s) != ledgerOf(last):
				return fmt.Errorf("%s knows\n%s\nand not\n%s", p.name, ledgerOf(s), ledgerOf(last))
			}
			last = s
		}
		if slices.ContainsFunc(last.GetHolds(), func(h *exportgatev1.Hold) bool { return h.GetId() == "brief" }) {
			return fmt.Errorf("a hold still has to expire: %v", last.GetHolds())
		}
		if astray := f.astray(embedded.Phase(strings.TrimPrefix(last.GetTarget().String(), "PHASE_"))); len(astray) > 0 {
			return fmt.Errorf("the target is %s, and astray are %+v", last.GetTarget(), astray)
		}
		return nil
	})
	c, _ := h.begin(clients, mostCalls+1)
	for _, name := range h.names {
		out := output{told: done}
		for _, live := range last.GetHolds() {
			if live.GetId() == name {
				out.uid = live.GetUid()
			}
		}
		c.add(name, input{verb: read}, out)
	}
}

// ledgerOf is what a status tells of the ledger, in words.
func ledgerOf(s *exportgatev1.Status) string {
	words := []string{"driver " + s.GetDriver()}
	for _, h := range s.GetHolds() {
		words = append(words, "live "+h.GetId()+" "+h.GetUid())
	}
	for _, e := range s.GetHistory() {
		words = append(words, "ended "+e.GetHold().GetId()+" "+e.GetHold().GetUid()+" "+e.GetEnd().String())
	}
	return strings.Join(words, "\n")
}

// check checks the history of every name.
func (h *history) check(t *testing.T) {
	t.Helper()
	for _, name := range h.names {
		operations, model := h.operations[name], model()
		began := time.Now()
		result, info := porcupine.CheckOperationsVerbose(model, operations, checking)
		t.Logf("%s: %d operations, %s after %v", name, len(operations), result, time.Since(began).Round(time.Millisecond))
		if result == porcupine.Ok {
			continue
		}
		picture := filepath.Join(t.ArtifactDir(), name+".html")
		if err := porcupine.VisualizePath(model, info, picture); err != nil {
			t.Error(err)
		}
		t.Errorf("the history of %s is %s; run with -artifacts to keep %s; about where it ends to be one:\n%s", name, result, picture,
			excerpt(operations, info))
	}
}

// excerpt is what was going on when a history ceased to be linearizable.
func excerpt(operations []porcupine.Operation, info porcupine.LinearizationInfo) string {
	linearized := map[int]bool{}
	for _, partition := range info.PartialLinearizations() {
		for _, partial := range partition {
			if len(partial) > len(linearized) {
				clear(linearized)
				for _, id := range partial {
					linearized[id] = true
				}
			}
		}
	}
	first := len(operations)
	for i := range operations {
		if !linearized[i] && (first == len(operations) || operations[i].Return < operations[first].Return) {
			first = i
		}
	}
	if first == len(operations) {
		return "nothing is known of that"
	}
	end := operations[first].Return
	var lines []string
	for i, op := range operations {
		if op.Call > end || op.Return < operations[first].Call-int64(3*time.Second) {
			continue
		}
		line := fmt.Sprintf("%8.3fs to %8.3fs  client %d: %s", time.Duration(op.Call).Seconds(), time.Duration(op.Return).Seconds(), op.ClientId,
			describe(as[input](op.Input), as[output](op.Output)))
		if !linearized[i] {
			line += "   <- does not fit"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
