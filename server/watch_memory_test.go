package server

import (
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
)

// manyWatchers is how many watch, to find out what one of them costs.
const manyWatchers = 1000

// TestWatchersAreCheap proves that a thousand who watch by gRPC over ten connections take less than 20 KB of the server's memory
// each. They are in another process.
func TestWatchersAreCheap(t *testing.T) {
	most := 20_000.0
	if underRace() {
		most = 30_000 // The detector's code needs twice the stack, of which a goroutine has 8 KiB without it.
	}
	s := serverOver(t, exportingtest.New(3, 3))
	got := memoryOf(t, herd{Door: "grpc", Address: s.GRPCAddr().String()}, ".1")
	if t.Logf("%.0f bytes each", got); got > most || got <= 0 {
		t.Errorf("each of those who watch takes %.0f bytes, want at most %.0f", got, most)
	}
}

// underRace reports whether the tests were built with the race detector.
func underRace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// memoryOf is what one of many who watch costs the server in memory, beyond what a few cost already.
func memoryOf(tb testing.TB, h herd, cursor string) float64 {
	tb.Helper()
	h.Watchers = herdConns
	few := startHerd(tb, h)
	few.await(tb, cursor)
	goroutines, before := runtime.NumGoroutine(), inUse()
	h.Watchers = manyWatchers
	many := startHerd(tb, h)
	many.await(tb, cursor)
	after := inUse()
	many.leave()
	awaitGoroutines(tb, goroutines)
	few.leave()
	return float64(after-before) / manyWatchers
}

// awaitGoroutines waits until what clients that left had of the server has ended: it would be in the next measurement.
func awaitGoroutines(tb testing.TB, most int) {
	tb.Helper()
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > most; {
		if time.Now().After(deadline) {
			tb.Fatalf("%d goroutines are left of clients that are gone", runtime.NumGoroutine()-most)
		}
		<-time.After(time.Millisecond)
	}
}

// inUse is what the heap and the stacks take after everything that can be freed is.
func inUse() int64 {
	var m runtime.MemStats
	for range 3 { // What the first frees, pools and finalizers hold on to for another round or two.
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
