package servertest_test

import (
	"net/http"
	"path"
	"slices"

	"google.golang.org/grpc/codes"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// has reports whether every replica on a broker truly is in a phase.
func has(h *servertest.Harness, broker int, phase embedded.Phase) bool {
	return !slices.ContainsFunc(h.Astray(phase), func(r embedded.Replica) bool { return r.Broker == broker })
}

// heal makes every broker well again.
func (t try) heal(h *servertest.Harness) {
	t.Helper()
	for _, b := range h.Cluster.Brokers() {
		b.Clear()
		t.startBroker(b)
	}
}

func (t try) startBroker(b *embedded.Broker) {
	t.Helper()
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// loseDisk restarts a broker without its disk.
func (t try) loseDisk(b *embedded.Broker) {
	t.Helper()
	b.Stop()
	if err := b.LoseDisk(); err != nil {
		t.Fatal(err)
	}
	t.startBroker(b)
}

// behind brings brokers to a phase behind the server's back, as an operator does who uses their own endpoints: all of
// them, or below 8.10 those that are named.
func (t try) behind(h *servertest.Harness, phase embedded.Phase, brokers ...int) {
	t.Helper()
	operation := map[embedded.Phase]string{
		embedded.Exporting: "resume", embedded.Paused: "pause", embedded.SoftPaused: "pause?soft=true",
	}[phase]
	if len(brokers) == 0 {
		t.post(h.Cluster.Broker(0).Address() + "/exporting/" + operation)
		if phase != embedded.Exporting { // The server may be quicker to undo that than this is to see it.
			servertest.Await(t, "the brokers follow their operator", func() bool { return h.AllIn(phase) })
		}
		return
	}
	operation = map[embedded.Phase]string{
		embedded.Exporting: "resumeExporting", embedded.Paused: "pauseExporting", embedded.SoftPaused: "softPauseExporting",
	}[phase]
	for _, id := range brokers {
		t.post(h.Cluster.Broker(id).Address() + "/partitions/" + operation)
		servertest.Await(t, "the broker follows its operator", func() bool { return has(h, id, phase) })
	}
}

func (t try) post(target string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil || answer.StatusCode/100 != 2 {
		t.Fatalf("POST %s: %s, %v", target, answer.Status, err)
	}
}

// later calls in the background, and sends what comes of it.
func later(call func() servertest.Outcome) <-chan servertest.Outcome {
	outcome := make(chan servertest.Outcome, 1)
	go func() { outcome <- call() }()
	return outcome
}

// untilAvailable pauses again for as long as that is refused as premature, as callers may, and returns what comes then.
func (t try) untilAvailable(route servertest.Route, request *exportgatev1.PauseRequest) servertest.Outcome {
	t.Helper()
	var o servertest.Outcome
	servertest.Await(t, "a pause is not refused any more", func() bool {
		o = route.Pause(t.Context(), request)
		return o.Code != codes.Unavailable
	})
	return o
}

// awaitWrite waits until a broker is asked to change.
func (t try) awaitWrite(h *servertest.Harness) {
	t.Helper()
	servertest.Await(t, "a write reaches a broker", func() bool { return len(h.Cluster.Writes()) > 0 })
}

// awaitQuiet waits until the server has nothing left to do, and a phase is shown and true.
func (t try) awaitQuiet(h *servertest.Harness, phase embedded.Phase) {
	t.Helper()
	route := h.Route(t, t.door)
	var last servertest.Outcome
	defer func() {
		if t.Failed() {
			t.Logf("%v %v: %s\nastray: %+v", last, last.Status.GetObserved(), last.Status.GetUnsettledReason(), h.Astray(phase))
		}
	}()
	servertest.Await(t, "all is quiet, and "+string(phase), func() bool {
		last = route.GetStatus(t.Context())
		s := last.Status
		return s.GetSettled() && s.GetObserved() == phaseOf(phase) && s.GetTarget() == phaseOf(phase) && h.AllIn(phase)
	})
}

// awaitForeign waits until a pause that nobody holds is shown, and true.
func (t try) awaitForeign(h *servertest.Harness, phase embedded.Phase) {
	t.Helper()
	servertest.Await(t, "a foreign pause is shown", func() bool {
		s := h.Route(t, t.door).GetStatus(t.Context()).Status
		return s.GetForeign() && s.GetObserved() == phaseOf(phase) && s.GetTarget() == phaseOf(embedded.Exporting) &&
			len(s.GetHolds()) == 0 && h.AllIn(phase)
	})
}

// awaitReads waits until every broker that is up was read some more times: the loop has passed by then.
func (t try) awaitReads(h *servertest.Harness) {
	t.Helper()
	for range 3 {
		t.awaitLook(h)
	}
}

// awaitLook waits until every broker that is up was asked for its replicas once more.
func (t try) awaitLook(h *servertest.Harness) {
	t.Helper()
	before := reads(h)
	servertest.Await(t, "the server looks again", func() bool {
		for i, now := range reads(h) {
			if h.Cluster.Broker(i).Up() && now == before[i] {
				return false
			}
		}
		return true
	})
}

// reads counts how often each broker was asked for its replicas.
func reads(h *servertest.Harness) []int {
	counts := make([]int, len(h.Cluster.Brokers()))
	for i, b := range h.Cluster.Brokers() {
		for _, r := range b.Requests() {
			if r.Method == http.MethodGet && path.Base(r.Path) == "partitions" {
				counts[i]++
			}
		}
	}
	return counts
}
