package servertest_test

import (
	"context"
	"flag"
	"strconv"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// soak makes the random scenarios many.
var soak = flag.Bool("soak", false, "run many random scenarios")

// Random calls through random doors, amid random faults, that end quietly: then what is asked for, what is shown and what is
// true are the same. And a call that was alone told the truth, if it told of success. The core has the same test in a bubble
// of time, with many more scenarios; this one has real sockets.
func TestAnythingThatEndsQuietlySettles(t *testing.T) {
	t.Parallel()
	scenarios := 10
	if *soak {
		scenarios = 300
	}
	gen := rapid.Custom(drawScenario)
	for seed := range scenarios {
		s := gen.Example(seed)
		t.Run(strconv.Itoa(seed)+"/"+s.version, func(t *testing.T) {
			t.Parallel()
			s.play(try{T: t, version: s.version, door: servertest.HTTP})
		})
	}
}

type scenario struct {
	version string
	passes  bool // plans pass dead members
	steps   []step
}

type step struct {
	act       string
	broker    int
	fault     int
	phase     embedded.Phase
	door      servertest.Door
	onFailure exportgatev1.OnFailure
	timeout   time.Duration
	alone     bool // the call begins when all others have ended, and the next step when it has
	looks     int  // that the server takes before the next step
}

func drawScenario(t *rapid.T) scenario {
	s := scenario{
		version: rapid.SampledFrom(versions()).Draw(t, "version"),
		passes:  rapid.Bool().Draw(t, "plans pass dead members"),
	}
	acts := []string{"pause", "pause", "pause", "resume", "resume", "fault", "fault", "stop", "lose disk", "lead", "heal"}
	for range rapid.IntRange(3, 12).Draw(t, "steps") {
		s.steps = append(s.steps, step{
			act:       rapid.SampledFrom(acts).Draw(t, "act"),
			broker:    rapid.IntRange(0, 2).Draw(t, "broker"),
			fault:     rapid.IntRange(0, len(faults())-1).Draw(t, "fault"),
			phase:     rapid.SampledFrom([]embedded.Phase{embedded.SoftPaused, embedded.Paused}).Draw(t, "phase"),
			door:      rapid.SampledFrom(servertest.Doors()).Draw(t, "door"),
			onFailure: exportgatev1.OnFailure(rapid.Int32Range(0, 2).Draw(t, "on failure")),
			timeout:   time.Duration(rapid.IntRange(50, 3000).Draw(t, "timeout")) * time.Millisecond,
			alone:     rapid.Bool().Draw(t, "alone"),
			looks:     rapid.IntRange(0, 2).Draw(t, "looks"),
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
		func() embedded.Fault { return embedded.OnWrites(embedded.Hang()) },
		func() embedded.Fault { return embedded.OnWrites(embedded.Status(500)) },
	}
}

func (s scenario) play(t try) {
	h, _ := t.start(embedded.Options{
		EmptyDelay: 100 * time.Millisecond, ApplyDelay: -1, PlanSkipsDead: s.passes,
	}, within("3s"))
	var calls sync.WaitGroup
	for i, step := range s.steps {
		t.Logf("%d: %+v", i, step)
		b := h.Cluster.Broker(step.broker)
		switch step.act {
		case "fault":
			b.SetFaults(faults()[step.fault]())
		case "stop":
			b.Stop()
		case "lose disk":
			t.loseDisk(b)
		case "lead":
			_ = h.Cluster.Partition(1).TransferLeader(b.ID()) // Where it cannot lead it does not.
		case "heal":
			t.heal(h)
		default:
			if !step.alone {
				calls.Go(func() { step.call(t, h) })
				break
			}
			calls.Wait()
			if o := step.call(t, h); o.OK() && !h.AllIn(step.wants()) {
				t.Errorf("%d: success was said, but these are not %s: %+v", i, step.wants(), h.Astray(step.wants()))
			}
		}
		for range step.looks {
			t.awaitLook(h)
		}
	}
	calls.Wait()
	t.heal(h)
	t.awaitAgreement(h)
}

// wants is the phase that a call asks for.
func (s step) wants() embedded.Phase {
	if s.act == "resume" {
		return embedded.Exporting
	}
	return s.phase
}

func (s step) call(t try, h *servertest.Harness) servertest.Outcome {
	ctx, cancel := context.WithTimeout(t.Context(), s.timeout)
	defer cancel()
	route := h.Route(t, s.door)
	if s.act == "resume" {
		return route.Resume(ctx, resume())
	}
	request := pauseTo(s.phase)
	request.OnFailure = s.onFailure
	return route.Pause(ctx, request)
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
