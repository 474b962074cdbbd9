package embedded

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shown are the phases and roles that GET partitions shows, by partition.
func shown(t *testing.T, b *Broker) map[string]string {
	t.Helper()
	var statuses map[string]struct{ Role, ExporterPhase string }
	if err := json.Unmarshal([]byte(get(t, b, "/partitions").Body), &statuses); err != nil {
		t.Fatal(err)
	}
	words := map[string]string{}
	for id, s := range statuses {
		words[id] = s.Role + " " + s.ExporterPhase
	}
	return words
}

func wantShown(t *testing.T, b *Broker, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, shown(t, b)); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
}

func TestFaultsThatAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		fault Fault
		want  answer
	}{
		"status": {Status(503), answer{
			503, "application/json",
			`{"timestamp":"2026-01-01T00:00:00.000+00:00","status":503,"error":"Service Unavailable"}`,
		}},
		"empty":     {Empty(time.Millisecond), answer{200, actuatorJSON, "{}"}},
		"html":      {HTML(), answer{200, "text/html", "<!doctype html><html><body>Please sign in.</body></html>"}},
		"garbage":   {Garbage(), answer{200, actuatorJSON, "\x00\xff\xfe{]\x1b[31m\xc3\x28"}},
		"truncated": {Truncated(), answer{200, "application/json", `[{"exporterId":"ndjson`}},
		"slow": {Slow(time.Millisecond), answer{
			200, "application/json", `[{"exporterId":"ndjson","status":"ENABLED"}]`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, single("8.9"))
			truth := get(t, c.Broker(0), "/exporters")
			c.Broker(0).SetFaults(test.fault)
			if diff := cmp.Diff(test.want, get(t, c.Broker(0), "/exporters")); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			c.Broker(0).Clear()
			if diff := cmp.Diff(truth, get(t, c.Broker(0), "/exporters")); diff != "" {
				t.Errorf("answer after the fault (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAFaultThatAnswersKeepsTheRequestFromTheBroker(t *testing.T) {
	c := start(t, single("8.9"))
	c.Broker(0).SetFaults(Status(500))
	if got := post(t, c.Broker(0), "/partitions/pauseExporting"); got.Status != 500 {
		t.Errorf("POST: %+v", got)
	}
	wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Exporting, Exported: -1})
}

// TestWhatHangsEnds covers every way out of a request that hangs, or is slow.
func TestWhatHangsEnds(t *testing.T) {
	for faultName, fault := range map[string]Fault{"hang": Hang(), "slow": Slow(time.Hour), "empty": Empty(time.Hour)} {
		for name, end := range map[string]func(b *Broker, leave func()){
			"the fault is cleared":  func(b *Broker, _ func()) { b.Clear() },
			"the fault is replaced": func(b *Broker, _ func()) { b.SetFaults(Status(500)) },
			"the broker stops":      func(b *Broker, _ func()) { b.Stop() },
			"the caller leaves":     func(_ *Broker, leave func()) { leave() },
		} {
			t.Run(faultName+" until "+name, func(t *testing.T) {
				c := start(t, single("8.9"))
				c.Broker(0).SetFaults(fault)
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				done := make(chan error)
				go func() {
					_, err := call(ctx, t, http.MethodGet, c.Broker(0).Address()+"/partitions")
					done <- err
				}()
				eventually(t, "the request has come", func() bool { return len(c.Broker(0).Requests()) == 1 })
				end(c.Broker(0), leave)
				if err := <-done; err == nil {
					t.Error("there was an answer")
				}
			})
		}
	}
}

func TestSwallow(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			c := start(t, Options{Partitions: 1, Version: version})
			c.Broker(1).SetFaults(Swallow())
			ask(t, c, Paused) // is answered as a success
			wantPhases(t, c, Paused, Exporting, Paused)
			wantShown(t, c.Broker(1), map[string]string{"1": "FOLLOWER EXPORTING"})

			c.Broker(1).Clear()
			if version == "8.10" {
				wantPhases(t, c, Paused, Paused, Paused)
				return
			}
			wantPhases(t, c, Paused, Exporting, Paused) // lost
			ask(t, c, Paused)
			wantPhases(t, c, Paused, Paused, Paused)
		})
	}
}

func TestSwallowAtTheCoordinator(t *testing.T) {
	c := start(t, Options{Partitions: 1, Version: "8.10"})
	c.Broker(0).SetFaults(Swallow())
	ask(t, c, Paused)
	wantPhases(t, c, Exporting, Exporting, Exporting)
}

func TestLate(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			c := start(t, Options{Partitions: 1, Version: version})
			c.Broker(1).SetFaults(Late(time.Hour))
			ask(t, c, SoftPaused)
			wantPhases(t, c, SoftPaused, Exporting, SoftPaused)
			passQueue(c.Broker(1))
			wantPhases(t, c, SoftPaused, SoftPaused, SoftPaused)
		})
	}
}

func TestShowOnce(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			c := start(t, single(version))
			c.Broker(0).SetFaults(ShowOnce())
			for _, phase := range []Phase{Paused, SoftPaused} {
				ask(t, c, phase)
				wantShown(t, c.Broker(0), map[string]string{"1": "LEADER " + string(phase)})
				wantShown(t, c.Broker(0), map[string]string{"1": "LEADER EXPORTING"})
				wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Exporting, Exported: -1})
			}
		})
	}
}

func TestInactiveReplica(t *testing.T) {
	c := start(t, Options{Partitions: 2})
	beat(c, 10)
	distribute(c)
	c.Broker(0).SetFaults(InactiveReplica(1))
	if got := c.Partition(1).Leader(); got != 1 {
		t.Errorf("broker %d leads, want 1: the old leader is inactive", got)
	}
	wantShown(t, c.Broker(0), map[string]string{"1": "INACTIVE EXPORTING", "2": "FOLLOWER EXPORTING"})
	beat(c, 10)
	distribute(c)
	wantReplica(t, c, Replica{Partition: 1, Broker: 0, Role: Inactive, Phase: Exporting, Exported: 10})

	ask(t, c, Paused)
	wantShown(t, c.Broker(0), map[string]string{"1": "INACTIVE PAUSED", "2": "FOLLOWER PAUSED"})
	c.Broker(0).Clear()
	wantShown(t, c.Broker(0), map[string]string{"1": "FOLLOWER PAUSED", "2": "FOLLOWER PAUSED"})
}

func TestFlicker(t *testing.T) {
	c := start(t, single("8.9"))
	c.Broker(0).SetFaults(Flicker())
	for _, phase := range []Phase{Paused, Closed, Exporting, Exporting} {
		wantShown(t, c.Broker(0), map[string]string{"1": "LEADER " + string(phase)})
	}
}

func TestCloseDirectors(t *testing.T) {
	c := start(t, single("8.9"))
	beat(c, 5)
	c.Broker(0).SetFaults(CloseDirectors())
	ask(t, c, Paused)
	beat(c, 5)
	wantShown(t, c.Broker(0), map[string]string{"1": "LEADER CLOSED"})
	wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Closed, Exported: 5})
	wantExported(t, c.Partition(1), through(1, 5))
	c.Broker(0).Clear() // the pause is applied at the next opening
	wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Paused, Exported: 5})
}

func TestFailSomeRepeatsItself(t *testing.T) {
	outcomes := func(seed uint64) []string {
		c := start(t, single("8.9"))
		c.Broker(0).SetFaults(FailSome(0.5, seed))
		var list []string
		for range 50 {
			got, err := call(t.Context(), t, http.MethodGet, c.Broker(0).Address()+"/exporters")
			list = append(list, fmt.Sprint(got.Status, err != nil))
		}
		return list
	}
	first := outcomes(7)
	if diff := cmp.Diff(first, outcomes(7)); diff != "" {
		t.Errorf("the same seed (-first +second):\n%s", diff)
	}
	count := map[string]int{}
	for _, outcome := range first {
		count[outcome]++
	}
	if len(count) != 3 || count["200 false"] < 10 || count["500 false"] < 5 || count["0 true"] < 5 {
		t.Errorf("outcomes of 50 requests: %v, want some of each: success, 500, cut", count)
	}
}

func TestLimitedFaults(t *testing.T) {
	for name, test := range map[string]struct {
		fault      Fault
		get, write int
	}{
		"reads":       {OnReads(Status(500)), 500, 204},
		"writes":      {OnWrites(Status(500)), 200, 500},
		"first":       {First(1, Status(500)), 500, 204},
		"no answerer": {First(5, Late(1)), 200, 204},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, single("8.9"))
			c.Broker(0).SetFaults(test.fault)
			if got := get(t, c.Broker(0), "/partitions"); got.Status != test.get {
				t.Errorf("GET: %+v, want %d", got, test.get)
			}
			if got := post(t, c.Broker(0), "/partitions/none"); got.Status != test.write {
				t.Errorf("POST: %+v, want %d", got, test.write)
			}
		})
	}
}

func TestFaultsCompose(t *testing.T) {
	c := start(t, single("8.9"))
	c.Broker(0).SetFaults(First(1, Status(500)), First(2, Status(503)), Swallow())
	var statuses []int
	for range 4 {
		statuses = append(statuses, post(t, c.Broker(0), "/partitions/pauseExporting").Status)
	}
	if diff := cmp.Diff([]int{500, 503, 503, 200}, statuses); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	wantReplica(t, c, Replica{Partition: 1, Role: Leader, Phase: Exporting, Exported: -1})
}

func TestAFaultThatCutsWorksBehindOthers(t *testing.T) {
	c := start(t, single("8.9"))
	c.Broker(0).SetFaults(Truncated(), Slow(time.Hour))
	done := make(chan error)
	go func() {
		_, err := call(t.Context(), t, http.MethodGet, c.Broker(0).Address()+"/partitions")
		done <- err
	}()
	eventually(t, "the request has come", func() bool { return len(c.Broker(0).Requests()) == 1 })
	c.Broker(0).Clear()
	if err := <-done; err == nil {
		t.Error("there was an answer")
	}
}
