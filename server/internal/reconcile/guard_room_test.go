package reconcile_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

func TestGuardRefuses(t *testing.T) {
	underGuard(t, true, func(r *rig) {
		t := r.t
		r.cluster.SetFree(1, 9)
		writes := r.cluster.Writes()
		for _, validate := range []bool{false, true} {
			_, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "backup", Phase: hard, ValidateOnly: validate})
			var low *reconcile.DiskLowError
			if !errors.As(err, &low) || len(low.Brokers) != 1 || low.Brokers[0] != "1" || low.MinFree != "10%" ||
				!strings.Contains(err.Error(), "broker 1 has 9.0 GiB of 100.0 GiB free (9%)") {
				t.Errorf("pause: %v", err)
			}
		}
		state, _ := r.ledger.State()
		if len(state.Holds)+len(state.History) != 0 || state.Undo != nil || r.cluster.Writes() != writes {
			t.Errorf("state %+v, %d writes", state, r.cluster.Writes()-writes)
		}
		r.cluster.SetFree(1, 10.5) // Not a tenth more yet.
		if _, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "backup", Phase: hard}); !is[*reconcile.DiskLowError](err) {
			t.Errorf("pause: %v", err)
		}
		r.cluster.SetFree(1, 12)
		r.hold(t, "backup", hard)
		r.cluster.SetFree(1, 5)
		if _, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "backup", Phase: hard}); err != nil {
			t.Errorf("renewal: %v", err)
		}
		if _, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "another", Phase: hard}); !is[*reconcile.DiskLowError](err) {
			t.Errorf("another: %v", err)
		}
		r.holds(t, "backup")
	})
}

func TestGuardRefusesOnlyWhatItMeasured(t *testing.T) {
	underGuard(t, true, func(r *rig) {
		t := r.t
		r.cluster.SetFree(1, -1)
		r.hold(t, "a", hard)
		r.holds(t, "a")
	})
}

func TestGuardOptions(t *testing.T) {
	c := exportingtest.New(1, 1)
	for _, free := range []reconcile.MinFree{{}, {Percent: 10, Bytes: 1}, {Percent: -1}} {
		o := reconcile.Options{
			Interval: time.Second, Timeout: time.Second, DefaultTTL: time.Hour, MaxTTL: time.Hour, OnFailure: reconcile.Keep,
			Guard: reconcile.Guard{Disks: c, MinFree: free},
		}
		if _, err := reconcile.New(o); err == nil || !strings.Contains(err.Error(), "free disk") {
			t.Errorf("%+v: %v", free, err)
		}
	}
	for want, free := range map[string]reconcile.MinFree{
		"12.5%": {Percent: 12.5}, "512 B": {Bytes: 512}, "4.7 GiB": {Bytes: 5e9}, "5.0 GiB": {Bytes: 5 << 30}, "8.0 EiB": {Bytes: 1<<63 - 1},
	} {
		if got := free.String(); got != want {
			t.Errorf("%+v is %q, want %q", free, got, want)
		}
	}
}

func TestGuardInBytes(t *testing.T) {
	for name, test := range map[string]struct {
		least int64
		low   bool
	}{"enough": {49 << 30, false}, "too little": {51 << 30, true}, "more than there is": {200 << 30, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := exportingtest.New(2, 1)
				r := runOn(t, c, c, hold.NewMemory(), func(o *reconcile.Options) {
					o.Guard = reconcile.Guard{Disks: c, MinFree: reconcile.MinFree{Bytes: test.least}, Release: true}
				})
				defer r.end()
				wait(time.Second)
				if _, err := r.Pause(t.Context(), reconcile.PauseRequest{Phase: hard}); is[*reconcile.DiskLowError](err) != test.low {
					t.Errorf("pause: %v", err)
				}
			})
		})
	}
}

func TestGuardOfAnEmptyDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := exportingtest.New(1, 1)
		r := runOn(t, c, c, hold.NewMemory(), func(o *reconcile.Options) {
			o.Guard = reconcile.Guard{Disks: c, MinFree: reconcile.MinFree{Percent: 95}, Release: true}
		})
		defer r.end()
		wait(time.Second)
		for _, test := range []struct {
			free float64
			low  bool
		}{{94, true}, {97, true}, {98, false}} {
			c.SetFree(0, test.free)
			if _, err := r.Pause(t.Context(), reconcile.PauseRequest{Phase: hard}); is[*reconcile.DiskLowError](err) != test.low {
				t.Errorf("%g%% free: %v", test.free, err)
			}
		}
	})
}
