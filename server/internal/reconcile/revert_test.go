package reconcile_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

func TestFailedPauseIsReverted(t *testing.T) {
	tests := map[string]struct {
		before  []exporting.Phase
		phase   exporting.Phase
		outcome reconcile.Outcome
	}{
		"exporting":      {[]exporting.Phase{exports, exports, exports}, hard, reconcile.OutcomeReverted},
		"foreign pauses": {[]exporting.Phase{hard, exports, soft}, soft, reconcile.OutcomeReverted},
		// The soft pause that broker 1 swallowed may still be on its way, so that nothing is proven yet.
		"foreign pause all over": {[]exporting.Phase{hard, hard, hard}, soft, reconcile.OutcomeReverting},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, exportingtest.New(3, 3), func(r *rig) {
				t := r.t
				for i, p := range test.before {
					r.cluster.SetPhase(i, p)
				}
				r.cluster.SetFault(1, exportingtest.Swallow)
				_, err := r.pause(t, test.phase, 10*time.Second, 0)
				failed, ok := errors.AsType[*reconcile.NotSettledError](err)
				if !ok || failed.Outcome != test.outcome || len(failed.Failures) == 0 {
					t.Fatalf("error %v", err)
				}
				if !strings.Contains(err.Error(), "partitions 1, 2, 3 on broker 1: reads ") {
					t.Errorf("the error names no replica: %v", err)
				}
				r.cluster.SetFault(1, exportingtest.Healthy)
				wait(10 * time.Second)
				r.show(t, test.before...)
			})
		})
	}
}

// A broker that dies during the pause is put back when it answers again, after the call has been answered.
func TestRevertGoesOnUntilBrokersAnswer(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.cluster.Delay = time.Second
		r.cluster.SetFault(2, exportingtest.Swallow)
		time.AfterFunc(3*time.Second, func() { r.cluster.SetFault(1, exportingtest.Down) })
		_, err := r.pause(t, hard, 10*time.Second, 0)
		failed, ok := errors.AsType[*reconcile.NotSettledError](err)
		if !ok || failed.Outcome != reconcile.OutcomeReverting {
			t.Fatalf("error %v", err)
		}
		r.show(t, exports, hard, exports)
		wait(10 * time.Minute)
		r.cluster.SetFault(1, exportingtest.Healthy)
		wait(20 * time.Second)
		r.show(t, exports)
	})
}

func TestKeepGoesOn(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.cluster.SetFault(1, exportingtest.Swallow)
		_, err := r.pause(t, hard, 10*time.Second, reconcile.Keep)
		if failed, ok := errors.AsType[*reconcile.NotSettledError](err); !ok || failed.Outcome != reconcile.OutcomeKept {
			t.Fatalf("error %v", err)
		}
		r.cluster.SetFault(1, exportingtest.Healthy)
		wait(20 * time.Second)
		r.show(t, hard)
		if state, _ := r.ledger.State(); !state.Settled() {
			t.Errorf("state %+v", state)
		}
	})
}

// A renewal is never refused, and never withdraws the hold that it renews.
func TestRenewalNeverWithdraws(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		if _, err := r.pause(t, hard, 10*time.Second, 0); err != nil {
			t.Fatal(err)
		}
		r.cluster.SetFault(1, exportingtest.Down)
		_, err := r.pause(t, hard, 5*time.Second, reconcile.Revert)
		if failed, ok := errors.AsType[*reconcile.NotSettledError](err); !ok || failed.Outcome != reconcile.OutcomeKept {
			t.Fatalf("error %v", err)
		}
		r.show(t, hard)
		if state, _ := r.ledger.State(); len(state.Holds) != 1 {
			t.Errorf("state %+v", state)
		}
	})
}

// A soft pause that is still on its way when a resume follows, which the broker then loses, must not have the last word.
func TestALateWriteDoesNotStay(t *testing.T) {
	c := exportingtest.New(3, 3)
	c.Delay = 3 * time.Second
	bubble(t, c, func(r *rig) {
		t := r.t
		paused := r.pauseLater(soft, reconcile.Keep)
		wait(100 * time.Millisecond)
		r.cluster.SetFault(0, exportingtest.Swallow)
		if _, err := r.resume(t, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if err := <-paused; !is[*reconcile.SupersededError](err) {
			t.Errorf("pause: %v", err)
		}
		r.cluster.SetFault(0, exportingtest.Healthy)
		wait(time.Minute)
		r.show(t, exports)
	})
}

// A plan that is still being carried out when a resume follows must not have the last word either, whatever the replicas
// show meanwhile.
func TestAPlanUnderWayIsWaitedFor(t *testing.T) {
	c := exportingtest.New(3, 3)
	c.Planned, c.Delay = true, 2*time.Second
	bubble(t, c, func(r *rig) {
		t := r.t
		go func() { _, _ = r.pause(t, soft, 20*time.Second, reconcile.Keep) }()
		wait(3500 * time.Millisecond)
		r.cluster.SetPhase(0, exports) // Now all export, and the plan is at the second broker.
		if _, err := r.resume(t, 25*time.Second); err != nil {
			t.Fatal(err)
		}
		r.show(t, exports)
		wait(time.Minute)
		r.show(t, exports)
	})
}

// A pause that replaced another and failed is reverted only when what is left is proven like any pause.
func TestRevertToAHoldIsProven(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		if _, err := r.pause(t, hard, 10*time.Second, 0); err != nil {
			t.Fatal(err)
		}
		r.cluster.SetFault(1, exportingtest.Swallow)
		time.AfterFunc(3*time.Second, func() { r.cluster.SetFault(1, exportingtest.Inactive) })
		r.cluster.SetFault(2, exportingtest.Swallow)
		_, err := r.pause(t, soft, 10*time.Second, 0)
		if failed, ok := errors.AsType[*reconcile.NotSettledError](err); !ok || failed.Outcome != reconcile.OutcomeReverting {
			t.Errorf("error %v", err)
		}
		for i := range 3 {
			r.cluster.SetFault(i, exportingtest.Healthy)
		}
		wait(20 * time.Second)
		r.show(t, hard)
		if state, _ := r.ledger.State(); !state.Settled() || state.Target() != hard {
			t.Errorf("state %+v", state)
		}
	})
}
