package reconcile_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

func TestResumeWithABrokerDead(t *testing.T) {
	for _, fault := range []exportingtest.Fault{exportingtest.Down, exportingtest.Hanging} {
		bubble(t, exportingtest.New(3, 3), func(r *rig) {
			t := r.t
			if _, err := r.pause(t, hard, 10*time.Second, 0); err != nil {
				t.Fatal(err)
			}
			r.cluster.SetFault(1, fault)
			_, err := r.resume(t, 5*time.Second)
			failed, ok := errors.AsType[*reconcile.NotSettledError](err)
			if !ok || failed.Outcome != reconcile.OutcomeResuming || len(failed.Failures) != 3 {
				t.Fatalf("error %v", err)
			}
			r.show(t, exports, hard, exports)
			r.cluster.SetFault(1, exportingtest.Healthy)
			wait(20 * time.Second)
			r.show(t, exports)
		})
	}
}

// A replica that comes back exporting is paused again while the hold lives; one that somebody resumed too.
func TestHoldIsEnforced(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		if _, err := r.pause(t, hard, 10*time.Second, 0); err != nil {
			t.Fatal(err)
		}
		r.cluster.SetPhase(1, exports)
		wait(11 * time.Second)
		r.show(t, hard)

		for i := range 3 { // All at once, but after having been away: lost disks, not a resume.
			r.cluster.SetFault(i, exportingtest.Down)
		}
		wait(time.Minute)
		for i := range 3 {
			r.cluster.SetPhase(i, exports)
			r.cluster.SetFault(i, exportingtest.Healthy)
		}
		wait(20 * time.Second)
		r.show(t, hard)
	})
}

// A resume made at the brokers, on every replica, ends the anonymous hold: it is Zeebe's own pause.
func TestForeignResumeReleases(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		if _, err := r.pause(t, hard, 10*time.Second, 0); err != nil {
			t.Fatal(err)
		}
		wait(20 * time.Second)
		for i := range 3 {
			r.cluster.SetPhase(i, exports)
		}
		wait(11 * time.Second)
		r.show(t, exports)
		status, err := r.Status(t.Context())
		if err != nil || len(status.Holds) != 0 || status.Target != exports || !status.Settled {
			t.Errorf("error %v, status %+v", err, status)
		}
		if last := status.Events[len(status.Events)-1]; !strings.Contains(last.Message, "resumed at the brokers") {
			t.Errorf("events %v", status.Events)
		}
	})
}

// A pause that somebody made at the brokers is shown and left alone, until a resume.
func TestForeignPauseIsShown(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		for i := range 3 {
			r.cluster.SetPhase(i, soft)
		}
		wait(time.Minute)
		r.show(t, soft)
		status, err := r.Status(t.Context())
		if err != nil || !status.Foreign || status.Settled || status.Observed != soft || r.cluster.Writes() != 0 {
			t.Errorf("error %v, status %+v, writes %d", err, status, r.cluster.Writes())
		}
		if _, err := r.resume(t, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		r.show(t, exports)
	})
}

// A drive lasts as long as a broker is dead; that it is dead must be told all the same.
func TestADeadBrokerIsToldOfDuringADrive(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		if _, err := r.pause(t, hard, 10*time.Second, 0); err != nil {
			t.Fatal(err)
		}
		r.cluster.SetFault(1, exportingtest.Down)
		wait(time.Minute)
		r.cluster.SetFault(1, exportingtest.Healthy)
		wait(20 * time.Second)
		status, err := r.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var events []string
		for _, e := range status.Events {
			events = append(events, e.Message)
		}
		if all := strings.Join(events, "\n"); !strings.Contains(all, "broker 1 cannot be read") || !strings.Contains(all, "broker 1 answers again") {
			t.Errorf("events:\n%s", all)
		}
	})
}

func TestStatusOfASilentBroker(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		wait(time.Second)
		r.cluster.SetFault(1, exportingtest.Hanging)
		began := time.Now()
		status, err := r.Status(t.Context())
		if err != nil || time.Since(began) > 4*time.Second {
			t.Fatalf("error %v after %v", err, time.Since(began))
		}
		if status.Settled || len(status.Unsettled) != 3 || status.Observed != exports {
			t.Errorf("status %+v", status)
		}
	})
}
