package exporting_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
)

// tardy starts the plan of the first resume only after its request was given up.
type tardy struct {
	*exportingtest.Cluster

	resumed atomic.Bool
}

func (c *tardy) Write(ctx context.Context, l exporting.Lever, p exporting.Phase) error {
	if p != exporting.PhaseExporting || !c.resumed.CompareAndSwap(false, true) {
		return c.Cluster.Write(ctx, l, p)
	}
	<-ctx.Done()
	time.AfterFunc(tardiness, func() { _ = c.Cluster.Write(context.WithoutCancel(ctx), l, p) })
	return ctx.Err()
}

const tardiness = 300 * time.Millisecond

// A resume is given up because a pause came, and starts its plan after the brokers were asked and had none. The pause must
// not be confirmed by what replicas still show.
func TestAPlanThatWasGivenUpMayBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &tardy{Cluster: exportingtest.New(3, 3)}
		c.Planned = true
		f := newFanout(t, c)
		defer f.Close()
		drive := func(phase exporting.Phase, limit time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			_, err := f.Drive(ctx, exporting.Goal{Phase: phase})
			return err
		}
		if err := drive(exporting.PhaseSoftPaused, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		_ = drive(exporting.PhaseExporting, 50*time.Millisecond)
		if err := drive(exporting.PhaseSoftPaused, 20*time.Second); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		if !all(c.Phases(), exporting.PhaseSoftPaused) {
			t.Errorf("confirmed, and then %v", c.Phases())
		}
	})
}
