package reconcile_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// After any sequence of calls and faults that ends quietly, every replica truly does what the ledger asks for, and the
// status says so. A call that succeeded while nothing else was under way told the truth at that moment.
func TestAnythingThatEndsQuietlySettles(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		// The bubble needs a testing.T, and what is drawn in it must not fail there: draw first.
		s := drawScenario(rt)
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = s.play(t) })
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

type scenario struct {
	planned, skipDead bool
	delay             time.Duration
	failureRate       float64
	seed              uint64
	steps             []step
}

type step struct {
	act     string
	broker  int
	fault   exportingtest.Fault
	phase   exporting.Phase
	timeout time.Duration
	failure reconcile.OnFailure
	wait    time.Duration
}

func drawScenario(t *rapid.T) scenario {
	duration := func(name string, from, to time.Duration) time.Duration {
		return time.Duration(rapid.Int64Range(int64(from), int64(to)).Draw(t, name))
	}
	s := scenario{
		planned: rapid.Bool().Draw(t, "planned"), skipDead: rapid.Bool().Draw(t, "skip dead"),
		delay:       duration("delay", 0, 3*time.Second),
		failureRate: rapid.SampledFrom([]float64{0, 0, 0.1, 0.3}).Draw(t, "failure rate"),
		seed:        rapid.Uint64().Draw(t, "seed"),
	}
	for range rapid.IntRange(1, 12).Draw(t, "steps") {
		s.steps = append(s.steps, step{
			act:     rapid.SampledFrom([]string{"pause", "pause", "resume", "fault", "heal", "lose disk"}).Draw(t, "act"),
			broker:  rapid.IntRange(0, 2).Draw(t, "broker"),
			fault:   exportingtest.Fault(rapid.IntRange(1, int(exportingtest.OneRead)).Draw(t, "fault")),
			phase:   rapid.SampledFrom([]exporting.Phase{soft, hard}).Draw(t, "phase"),
			timeout: duration("timeout", 100*time.Millisecond, 40*time.Second),
			failure: rapid.SampledFrom([]reconcile.OnFailure{reconcile.Revert, reconcile.Keep}).Draw(t, "on failure"),
			wait:    duration("wait", 0, 20*time.Second),
		})
	}
	return s
}

func (s scenario) play(t *testing.T) (failure string) {
	t.Helper()
	c := exportingtest.New(3, 3)
	c.Planned, c.SkipDead, c.Delay, c.FailureRate = s.planned, s.skipDead, s.delay, s.failureRate
	c.Rand = rand.New(rand.NewPCG(s.seed, 0))
	r := run(t, c)
	defer r.end()
	for _, step := range s.steps {
		switch step.act {
		case "fault":
			c.SetFault(step.broker, step.fault)
		case "heal":
			c.SetFault(step.broker, exportingtest.Healthy)
		case "lose disk":
			c.SetPhase(step.broker, exports)
		default:
			go s.call(t.Context(), r, step)
		}
		wait(step.wait)
	}
	for i := range 3 {
		c.SetFault(i, exportingtest.Healthy)
	}
	c.Quieten()
	wait(3 * time.Minute)
	state, _ := r.ledger.State()
	for i, phase := range c.Phases() {
		if phase != state.Target() {
			return fmt.Sprintf("broker %d is %v; the ledger: %+v", i, phase, state)
		}
	}
	status, err := r.Status(t.Context())
	if err != nil || !status.Settled || status.Observed != status.Target || status.Target != state.Target() {
		return fmt.Sprintf("error %v, status %+v", err, status)
	}
	return ""
}

func (s scenario) call(ctx context.Context, r *rig, step step) {
	ctx, cancel := context.WithTimeout(ctx, step.timeout)
	defer cancel()
	if step.act == "resume" {
		_, _ = r.Resume(ctx, reconcile.ResumeRequest{})
		return
	}
	_, _ = r.Pause(ctx, reconcile.PauseRequest{Phase: step.phase, OnFailure: step.failure})
}
