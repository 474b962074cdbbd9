package exporting_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
)

func newFanout(t *testing.T, c exporting.Cluster) *exporting.Fanout {
	t.Helper()
	f, err := exporting.NewFanout(c, exporting.Options{
		Concurrency: 4, RequestTimeout: 8 * time.Second, PlanTimeout: 30 * time.Second,
		ConfirmInterval: confirm, RetryInterval: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// drive runs one drive of at most the given time, in a bubble.
func drive(t *testing.T, c *exportingtest.Cluster, goal exporting.Phase, limit time.Duration) (view *exporting.View, took time.Duration, err error) {
	t.Helper()
	f := newFanout(t, c)
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	view, err = f.Drive(ctx, exporting.Goal{Phase: goal})
	return view, time.Since(began), err
}

// runner makes drives of at most the given time.
func runner(t *testing.T, f *exporting.Fanout) func(goal exporting.Phase, limit time.Duration) error {
	t.Helper()
	return func(goal exporting.Phase, limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		_, err := f.Drive(ctx, exporting.Goal{Phase: goal})
		return err
	}
}

func all(phases []exporting.Phase, want exporting.Phase) bool {
	return !slices.ContainsFunc(phases, func(p exporting.Phase) bool { return p != want })
}

func TestDriveSettles(t *testing.T) {
	for _, planned := range []bool{false, true} {
		for _, goal := range []exporting.Phase{exporting.PhasePaused, exporting.PhaseSoftPaused, exporting.PhaseExporting} {
			synctest.Test(t, func(t *testing.T) {
				c := exportingtest.New(3, 3)
				c.Planned, c.Delay = planned, 30*time.Millisecond
				_, took, err := drive(t, c, goal, 10*time.Second)
				if err != nil || !all(c.Phases(), goal) {
					t.Errorf("planned %v, goal %v: error %v, phases %v", planned, goal, err, c.Phases())
				}
				if took < confirm {
					t.Errorf("planned %v, goal %v: settled after %v, before the confirm interval", planned, goal, took)
				}
			})
		}
	}
}

// A broker that misbehaves for good must never pass for settled, must be named, and must not keep the others from
// following.
func TestDriveNeverSettlesOverAFault(t *testing.T) {
	faults := map[string]exportingtest.Fault{
		"down": exportingtest.Down, "hanging": exportingtest.Hanging, "mute": exportingtest.Mute,
		"swallow": exportingtest.Swallow, "refusing": exportingtest.Refusing, "inactive": exportingtest.Inactive,
		"closed": exportingtest.Closed, "one read": exportingtest.OneRead,
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := exportingtest.New(3, 3)
				c.SetFault(1, fault)
				view, _, err := drive(t, c, exporting.PhasePaused, 10*time.Second)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("error %v, want a deadline", err)
				}
				failures := view.Unsettled(exporting.Goal{Phase: exporting.PhasePaused}, confirm)
				named := slices.ContainsFunc(failures, func(f exporting.Failure) bool { return f.Broker == "1" && f.Reason != "" })
				if !named {
					t.Errorf("no failure names broker 1: %v", failures)
				}
				for _, f := range failures {
					if f.Broker != "1" && f.Broker != "" {
						t.Errorf("a healthy broker is blamed: %v", f)
					}
				}
				if p := c.Phases(); p[0] != exporting.PhasePaused || p[2] != exporting.PhasePaused {
					t.Errorf("the others did not follow: %v", p)
				}
			})
		})
	}
}

func TestDriveOutlastsPassingFaults(t *testing.T) {
	tests := map[string]func(*exportingtest.Cluster){
		"late phase":       func(c *exportingtest.Cluster) { c.Delay = 4 * time.Second },
		"a tenth fails":    func(c *exportingtest.Cluster) { c.FailureRate = 0.1 },
		"half fails":       func(c *exportingtest.Cluster) { c.FailureRate = 0.5 },
		"hangs for 12 s":   func(c *exportingtest.Cluster) { passing(c, exportingtest.Hanging) },
		"down for 12 s":    func(c *exportingtest.Cluster) { passing(c, exportingtest.Down) },
		"swallow for 12 s": func(c *exportingtest.Cluster) { passing(c, exportingtest.Swallow) },
	}
	for name, prepare := range tests {
		for _, planned := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := exportingtest.New(3, 3)
					c.Planned = planned
					prepare(c)
					_, _, err := drive(t, c, exporting.PhaseSoftPaused, 30*time.Second)
					if err != nil || !all(c.Phases(), exporting.PhaseSoftPaused) {
						t.Errorf("planned %v: error %v, phases %v", planned, err, c.Phases())
					}
				})
			})
		}
	}
}

func passing(c *exportingtest.Cluster, f exportingtest.Fault) {
	c.SetFault(1, f)
	time.AfterFunc(12*time.Second, func() { c.SetFault(1, exportingtest.Healthy) })
}

// A broker that followed and then restarts with an empty disk, while another is waited for, must be caught.
func TestDriveLooksAtAllOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := exportingtest.New(3, 3)
		c.SetFault(2, exportingtest.Down)
		time.AfterFunc(8*time.Second, func() { c.SetPhase(0, exporting.PhaseExporting) })
		time.AfterFunc(8*time.Second, func() { c.SetFault(2, exportingtest.Healthy) })
		_, _, err := drive(t, c, exporting.PhasePaused, 30*time.Second)
		if err != nil || !all(c.Phases(), exporting.PhasePaused) {
			t.Errorf("error %v, phases %v", err, c.Phases())
		}
	})
}

func TestDriveEndsWhenRefusedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := exportingtest.New(3, 3)
		c.SetPhase(1, exporting.PhaseSoftPaused)
		view, took, err := drive(t, c, exporting.PhasePaused, 30*time.Second)
		var unsafe *exporting.UnsafeTransitionError
		if !errors.As(err, &unsafe) || took > time.Second {
			t.Fatalf("error %v after %v", err, took)
		}
		if c.Phases()[1] != exporting.PhaseSoftPaused {
			t.Error("PAUSED was written over SOFT_PAUSED")
		}
		final := slices.ContainsFunc(view.Unsettled(exporting.Goal{Phase: exporting.PhasePaused}, confirm),
			func(f exporting.Failure) bool { return f.Final && f.Broker == "1" })
		if !final {
			t.Error("no final failure on broker 1")
		}
	})
}

// A revert from a soft to a hard pause goes by way of EXPORTING, where the direct way is not safe.
func TestDriveRestores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := exportingtest.New(3, 3)
		for i := range 3 {
			c.SetPhase(i, exporting.PhaseSoftPaused)
		}
		f := newFanout(t, c)
		defer f.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		restore := map[exporting.BrokerID]exporting.Phase{
			"0": exporting.PhasePaused, "1": exporting.PhaseSoftPaused, "2": exporting.PhaseExporting,
		}
		_, err := f.Drive(ctx, exporting.Goal{Phase: exporting.PhaseExporting, Restore: restore})
		want := []exporting.Phase{exporting.PhasePaused, exporting.PhaseSoftPaused, exporting.PhaseExporting}
		if err != nil || !slices.Equal(c.Phases(), want) {
			t.Errorf("error %v, phases %v, want %v", err, c.Phases(), want)
		}
	})
}

// A read that took long and ends late must not hide what a later one saw.
func TestAnOldReadIsNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := exportingtest.New(1, 1)
		f := newFanout(t, c)
		defer f.Close()
		c.SetReadDelay(2 * time.Second)
		slow := make(chan struct{})
		go func() {
			defer close(slow)
			f.Look(t.Context())
		}()
		<-time.After(time.Second)
		c.SetReadDelay(0)
		c.SetPhase(0, exporting.PhasePaused)
		f.Look(t.Context())
		<-slow
		if got := f.View().Observed(); got != exporting.PhasePaused {
			t.Errorf("observed %v", got)
		}
	})
}

// A look that has no time for a slow broker shows that, and leaves what is known of it alone.
func TestALookThatEndsEarlyProvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := exportingtest.New(2, 1)
		f := newFanout(t, c)
		defer f.Close()
		f.Look(t.Context())
		c.SetReadDelay(4 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if v := f.Look(ctx); v.Observations["0"].Err == nil {
			t.Error("a broker that did not answer counts as read")
		}
		if o := f.View().Observations["0"]; o.Err != nil || o.Times != 1 {
			t.Errorf("the broker is known as %+v", o)
		}
	})
}

// A write that hangs below 8.10 must not be overtaken by a later one to the same broker.
func TestWritesToABrokerDoNotOvertake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := exportingtest.New(1, 1)
		slow := &slowWrites{Cluster: c}
		f := newFanout(t, slow)
		defer f.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.Drive(ctx, exporting.Goal{Phase: exporting.PhasePaused}); err == nil {
			t.Error("settled before the write had ended")
		}
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if _, err := f.Drive(ctx, exporting.Goal{Phase: exporting.PhaseExporting}); err != nil {
			t.Error(err)
		}
		slow.mu.Lock()
		defer slow.mu.Unlock()
		want := []string{"begin PAUSED", "end PAUSED", "begin EXPORTING", "end EXPORTING"}
		if !slices.Equal(slow.log, want) {
			t.Errorf("writes: %v, want %v", slow.log, want)
		}
	})
}

// slowWrites takes three seconds for each write, and changes the phase even if the request is given up.
type slowWrites struct {
	*exportingtest.Cluster

	mu  sync.Mutex
	log []string
}

func (s *slowWrites) Write(ctx context.Context, l exporting.Lever, p exporting.Phase) error {
	s.note("begin " + p.String())
	select {
	case <-time.After(3 * time.Second):
		s.note("end " + p.String())
	case <-ctx.Done():
		s.note("give up " + p.String())
	}
	return s.Cluster.Write(ctx, l, p)
}

func (s *slowWrites) note(entry string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, entry)
}

// Brokers that all answer slowly, more slowly than a pass would last for quick ones, must settle all the same.
func TestDriveSettlesSlowBrokers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := exportingtest.New(3, 3)
		c.SetReadDelay(6 * time.Second)
		_, took, err := drive(t, c, exporting.PhasePaused, time.Minute)
		if err != nil {
			t.Errorf("error %v after %v", err, took)
		}
	})
}

// Somebody turned the replicas meanwhile, and the same request as before was on its way again when the goal changed: it
// must not have the last word.
func TestTheSameRequestOnceMoreCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := exportingtest.New(3, 3)
		c.Delay = time.Second
		f := newFanout(t, c)
		defer f.Close()
		run := runner(t, f)
		if err := run(exporting.PhaseSoftPaused, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			c.SetPhase(i, exporting.PhaseExporting)
		}
		_ = run(exporting.PhaseSoftPaused, 100*time.Millisecond) // Its requests are taken, and applied later.
		if err := run(exporting.PhaseExporting, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		if !all(c.Phases(), exporting.PhaseExporting) {
			t.Errorf("phases %v", c.Phases())
		}
	})
}

// What a process that drove before has on its way may come after our own writes, though those had an effect.
func TestSuspicionLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := exportingtest.New(3, 3)
		f := newFanout(t, c)
		defer f.Close()
		if _, err := f.Drive(t.Context(), exporting.Goal{Phase: exporting.PhaseSoftPaused}); err != nil || f.Doubtful() {
			t.Fatalf("error %v, doubtful %t", err, f.Doubtful())
		}
		f.Suspect(true)
		if _, err := f.Drive(t.Context(), exporting.Goal{Phase: exporting.PhaseExporting}); err != nil || !f.Doubtful() {
			t.Errorf("error %v, doubtful %t", err, f.Doubtful())
		}
		<-time.After(10 * time.Second)
		if f.Doubtful() {
			t.Error("it doubts for ever")
		}
	})
}

// A pause that follows a resume before that was seen to take effect must not be confirmed by what replicas showed all the
// time: they let go in between.
func TestAPauseAfterAResumeThatIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := exportingtest.New(3, 3)
		c.Delay = 2 * time.Second
		f := newFanout(t, c)
		defer f.Close()
		run := runner(t, f)
		if err := run(exporting.PhaseSoftPaused, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if err := run(exporting.PhaseExporting, 100*time.Millisecond); err == nil {
			t.Fatal("a resume was confirmed before it was applied")
		}
		if err := run(exporting.PhaseSoftPaused, 20*time.Second); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			<-time.After(100 * time.Millisecond)
			if !all(c.Phases(), exporting.PhaseSoftPaused) {
				t.Fatalf("after it was confirmed, phases %v", c.Phases())
			}
		}
	})
}
