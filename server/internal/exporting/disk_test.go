package exporting_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
)

func newMeasuring(t *testing.T, c exporting.Cluster) *exporting.Fanout {
	t.Helper()
	f, err := exporting.NewFanout(c, exporting.Options{
		Concurrency: 2, RequestTimeout: 8 * time.Second, PlanTimeout: time.Minute, RetryInterval: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestMeasure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := exportingtest.New(5, 1)
		f := newMeasuring(t, c)
		defer f.Close()
		if measured := f.Measure(t.Context(), c); len(measured) != 0 {
			t.Errorf("measured %v before any broker was found", measured)
		}
		f.Discover(t.Context())
		c.SetFree(1, 3)
		c.SetFree(2, -1)
		c.SetFault(3, exportingtest.Down)
		c.SetFault(4, exportingtest.Hanging)
		began := time.Now()
		measured := f.Measure(t.Context(), c)
		if took := time.Since(began); took != 8*time.Second {
			t.Errorf("it took %v", took)
		}
		if len(measured) != 5 {
			t.Errorf("measured %v", measured)
		}
		for id, want := range map[exporting.BrokerID]exporting.Disk{"0": {Free: 50 << 30, Total: 100 << 30}, "1": {Free: 3 << 30, Total: 100 << 30}} {
			if m := measured[id]; m.Disk != want || m.Err != nil || m.At.Before(began) {
				t.Errorf("broker %s: %+v, want %+v", id, m, want)
			}
		}
		for _, id := range []exporting.BrokerID{"2", "3", "4"} {
			if m := measured[id]; m.Err == nil || m.At.IsZero() {
				t.Errorf("broker %s: %+v", id, m)
			}
		}

		// Who has less time than a broker takes learns nothing of that one.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		measured = f.Measure(ctx, c)
		if _, known := measured["4"]; known || len(measured) != 4 || measured["1"].Err != nil {
			t.Errorf("measured %v", measured)
		}
	})
}

// gauge measures what a test says, and counts how many it is asked for at a time.
type gauge struct {
	disk      exporting.Disk
	now, most atomic.Int64
}

func (g *gauge) Disk(context.Context, exporting.Broker) (exporting.Disk, error) {
	g.most.Store(max(g.most.Load(), g.now.Add(1)))
	<-time.After(time.Second)
	g.now.Add(-1)
	return g.disk, nil
}

func TestMeasureTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g := exportingtest.New(5, 1), &gauge{disk: exporting.Disk{Total: 1}}
		f := newMeasuring(t, c)
		defer f.Close()
		f.Discover(t.Context())
		looked := make(chan time.Duration, 1)
		go func() {
			<-time.After(time.Millisecond) // Two brokers are being measured.
			began := time.Now()
			f.Look(t.Context())
			looked <- time.Since(began)
		}()
		if measured := f.Measure(t.Context(), g); len(measured) != 5 || measured["0"].Err != nil || g.most.Load() != 2 {
			t.Errorf("measured %v, %d at a time", measured, g.most.Load())
		}
		if waited := <-looked; waited != 0 {
			t.Errorf("a read waited for %v", waited)
		}
	})
}

func TestMeasureBelievesNoNonsense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := exportingtest.New(1, 1)
		f := newMeasuring(t, c)
		defer f.Close()
		f.Discover(t.Context())
		for _, disk := range []exporting.Disk{{}, {Free: 1}, {Free: -1, Total: 2}, {Free: 3, Total: 2}} {
			if m := f.Measure(t.Context(), &gauge{disk: disk})["0"]; m.Err == nil {
				t.Errorf("%+v passes for a disk", disk)
			}
		}
	})
}

// unnamed is a cluster of which one broker's address is not known.
type unnamed struct{ *exportingtest.Cluster }

func (u unnamed) Topology(ctx context.Context) (*exporting.Topology, error) {
	topology, err := u.Cluster.Topology(ctx)
	topology.Brokers[0].Address = ""
	return topology, err
}

func TestMeasureWithoutAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := unnamed{exportingtest.New(2, 1)}
		f := newMeasuring(t, c)
		defer f.Close()
		f.Discover(t.Context())
		measured := f.Measure(t.Context(), c)
		if measured["0"].Err == nil || errors.Is(measured["0"].Err, context.Canceled) || measured["1"].Err != nil || c.Measured() != 1 {
			t.Errorf("measured %v, with %d requests", measured, c.Measured())
		}
	})
}
