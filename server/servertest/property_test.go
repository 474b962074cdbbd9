package servertest_test

import (
	"context"
	"flag"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// soak makes the random scenarios many.
var soak = flag.Bool("soak", false, "run many random scenarios")

// Random calls through random doors, amid random faults, that end quietly: then what is asked for, what is shown and what is
// true are the same. The core has the same test in a bubble of time, with many more scenarios; this one has real sockets.
func TestAnythingThatEndsQuietlySettles(t *testing.T) {
	t.Parallel()
	scenarios := 6
	if *soak {
		scenarios = 150
	}
	gen := rapid.Custom(drawScenario)
	for seed := range scenarios {
		s := gen.Example(seed)
		t.Run(s.version, func(t *testing.T) {
			t.Parallel()
			s.play(try{T: t, version: s.version, door: servertest.HTTP})
		})
	}
}

type scenario struct {
	version string
	steps   []step
}

type step struct {
	act     string
	broker  int
	fault   int
	soft    bool
	door    servertest.Door
	timeout time.Duration
	pause   time.Duration // after the step
}

func drawScenario(t *rapid.T) scenario {
	s := scenario{version: rapid.SampledFrom(versions()).Draw(t, "version")}
	for range rapid.IntRange(3, 10).Draw(t, "steps") {
		s.steps = append(s.steps, step{
			act:     rapid.SampledFrom([]string{"pause", "pause", "resume", "fault", "fault", "stop", "heal"}).Draw(t, "act"),
			broker:  rapid.IntRange(0, 2).Draw(t, "broker"),
			fault:   rapid.IntRange(0, len(faults())-1).Draw(t, "fault"),
			soft:    rapid.Bool().Draw(t, "soft"),
			door:    rapid.SampledFrom(servertest.Doors()).Draw(t, "door"),
			timeout: time.Duration(rapid.IntRange(50, 3000).Draw(t, "timeout")) * time.Millisecond,
			pause:   time.Duration(rapid.IntRange(0, 500).Draw(t, "pause")) * time.Millisecond,
		})
	}
	return s
}

func faults() []func() embedded.Fault {
	return []func() embedded.Fault{
		embedded.Hang, embedded.HTML, embedded.Garbage, embedded.Truncated, embedded.Swallow, embedded.ShowOnce, embedded.Flicker,
		embedded.CloseDirectors,
		func() embedded.Fault { return embedded.Status(500) },
		func() embedded.Fault { return embedded.Empty(0) },
		func() embedded.Fault { return embedded.Late(700 * time.Millisecond) },
		func() embedded.Fault { return embedded.FailSome(0.3, 1) },
		func() embedded.Fault { return embedded.InactiveReplica(1) },
	}
}

func (s scenario) play(t try) {
	h, _ := t.start(embedded.Options{EmptyDelay: 100 * time.Millisecond}, within("3s"))
	var calls []<-chan servertest.Outcome
	for _, step := range s.steps {
		b := h.Cluster.Broker(step.broker)
		switch step.act {
		case "fault":
			b.SetFaults(faults()[step.fault]())
		case "stop":
			b.Stop()
		case "heal":
			t.heal(h)
		default:
			calls = append(calls, later(func() servertest.Outcome { return step.call(t, h) }))
		}
		select {
		case <-time.After(step.pause):
		case <-t.Context().Done():
		}
	}
	t.heal(h)
	for _, call := range calls {
		<-call
	}
	t.awaitAgreement(h)
}

func (s step) call(t try, h *servertest.Harness) servertest.Outcome {
	ctx, cancel := context.WithTimeout(t.Context(), s.timeout)
	defer cancel()
	route := h.Route(t, s.door)
	switch {
	case s.act == "resume":
		return route.Resume(ctx, resume())
	case s.soft:
		return route.Pause(ctx, soft())
	}
	return route.Pause(ctx, hard())
}

// awaitAgreement waits until what is asked for, what is shown and what is true are the same.
func (t try) awaitAgreement(h *servertest.Harness) {
	t.Helper()
	route := h.Route(t, t.door)
	var last servertest.Outcome
	defer func() {
		if t.Failed() {
			t.Logf("target %v, observed %v, unsettled %s, truth %+v", last.Status.GetTarget(), last.Status.GetObserved(),
				last.Status.GetUnsettledReason(), h.Cluster.Replicas())
		}
	}()
	servertest.Await(t, "target, status and truth agree", func() bool {
		last = route.GetStatus(t.Context())
		s := last.Status
		for _, phase := range []embedded.Phase{embedded.Exporting, embedded.SoftPaused, embedded.Paused} {
			if s.GetTarget() == phaseOf(phase) {
				return s.GetSettled() && s.GetObserved() == s.GetTarget() && h.AllIn(phase)
			}
		}
		return false
	})
}
