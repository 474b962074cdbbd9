package reconcile

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// idle is a reconciler whose loop does not run.
func idle(t *testing.T) *Reconciler {
	t.Helper()
	f, err := exporting.NewFanout(exportingtest.New(1, 1), exporting.Options{
		Concurrency: 1, RequestTimeout: time.Second, PlanTimeout: time.Second, RetryInterval: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	ledger, err := hold.Open(t.Context(), hold.NewMemory(), "memory")
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(Options{
		Fanout: f, Ledger: ledger, Witness: NewWitness(time.Second), Interval: 5 * time.Second, Timeout: 30 * time.Second,
		OnFailure: Revert, DefaultTTL: time.Hour, MaxTTL: time.Hour, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.stop)
	return r
}

// led is a view of one leader at a broker.
func led(phase exporting.Phase, processed, exported int64, err error) *exporting.View {
	return &exporting.View{
		Topology: &exporting.Topology{Brokers: []exporting.Broker{{ID: "0", Address: "memory:0"}}},
		Observations: map[exporting.BrokerID]exporting.Observation{"0": {
			Err: err,
			Readings: []exporting.Reading{{
				Partition: exporting.PartitionID{ID: 1}, Role: exporting.RoleLeader, Phase: phase,
				Processed: exporting.At(processed), Exported: exporting.At(exported),
			}},
		}},
	}
}

// A leader is stalled when it ought to export, records wait, and its stored position has not moved for a minute.
func TestStalls(t *testing.T) {
	tests := []struct {
		name string
		at   func(second int64) *exporting.View
		want bool
	}{
		{"stands still", func(s int64) *exporting.View { return led(exporting.PhaseExporting, 100+s, 50, nil) }, true},
		{"moves", func(s int64) *exporting.View { return led(exporting.PhaseExporting, 100+s, 50+s, nil) }, false},
		{"moves at last", func(s int64) *exporting.View { return led(exporting.PhaseExporting, 100+s, 50+s/55, nil) }, false},
		{"nothing waits", func(int64) *exporting.View { return led(exporting.PhaseExporting, 100, 100, nil) }, false},
		{"is paused", func(s int64) *exporting.View { return led(exporting.PhaseSoftPaused, 100+s, 50, nil) }, false},
		{"was paused until lately", func(s int64) *exporting.View {
			if s < 10 {
				return led(exporting.PhaseSoftPaused, 100+s, 50, nil)
			}
			return led(exporting.PhaseExporting, 100+s, 50, nil)
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := idle(t)
				for s := range int64(65) {
					r.observe(t.Context(), test.at(s))
					<-time.After(time.Second)
				}
				s := r.status(test.at(65))
				if got := len(s.Stalled) == 1; got != test.want {
					t.Errorf("stalled %v, want %v", s.Stalled, test.want)
				}
				warned := strings.Contains(strings.Join(s.Warnings, "\n"), StallCure)
				if warned != test.want {
					t.Errorf("warnings %q", s.Warnings)
				}
			})
		})
	}
}

// A broker that fails once is no news; one that stays silent is, and so is its return.
func TestSilenceIsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := idle(t)
		dead := errors.New("connection refused")
		for i := range 40 {
			err := dead
			if i < 10 && i%2 == 0 || i >= 30 { // It fails every other time, then for long, then not any more.
				err = nil
			}
			r.observe(t.Context(), led(exporting.PhaseExporting, 1, 1, err))
			<-time.After(time.Second)
		}
		var events []string
		for _, e := range r.journal.events {
			events = append(events, e.Message)
		}
		want := "broker 0 cannot be read: connection refused\nbroker 0 answers again"
		if got := strings.Join(events, "\n"); got != want {
			t.Errorf("events:\n%s\nwant:\n%s", got, want)
		}
	})
}

func TestForeignPauseIsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := idle(t)
		for _, phase := range []exporting.Phase{
			exporting.PhaseExporting, exporting.PhasePaused, exporting.PhasePaused, exporting.PhaseExporting,
		} {
			r.observe(t.Context(), led(phase, 1, 1, nil))
		}
		if len(r.journal.events) != 2 || !strings.Contains(r.journal.events[0].Message, "no hold asks for it") ||
			!strings.Contains(r.journal.events[1].Message, "ended") {
			t.Errorf("events %v", r.journal.events)
		}
	})
}

// Events are bounded, and the newest are kept.
func TestEventsAreBounded(t *testing.T) {
	r := idle(t)
	for i := range 3 * maxEvents {
		r.event(EventBroker, "", "event %d", i)
	}
	if len(r.journal.events) != maxEvents || r.journal.events[maxEvents-1].Message != "event 299" {
		t.Errorf("%d events, the last %v", len(r.journal.events), r.journal.events[len(r.journal.events)-1])
	}
}
