package exporting_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
)

// A write belongs to the drive that asked for it, also when it outlasts it: traces would lose it otherwise.
func TestWritesKeepTheirContext(t *testing.T) {
	for _, planned := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := exportingtest.New(2, 2)
			c.Planned = planned
			marked := &markedWrites{Cluster: c}
			f := newFanout(t, marked)
			defer f.Close()
			ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), mark{}, "mine"), 10*time.Second)
			defer cancel()
			if _, err := f.Drive(ctx, exporting.Goal{Phase: exporting.PhasePaused}); err != nil {
				t.Error(err)
			}
			f.Close()
			if len(marked.marks) == 0 || slices.ContainsFunc(marked.marks, func(m any) bool { return m != "mine" }) {
				t.Errorf("planned %v: the writes' contexts are marked %v", planned, marked.marks)
			}
		})
	}
}

type mark struct{}

// markedWrites remembers what is in the contexts of writes.
type markedWrites struct {
	*exportingtest.Cluster

	mu    sync.Mutex
	marks []any
}

func (m *markedWrites) Write(ctx context.Context, l exporting.Lever, p exporting.Phase) error {
	m.mu.Lock()
	m.marks = append(m.marks, ctx.Value(mark{}))
	m.mu.Unlock()
	return m.Cluster.Write(ctx, l, p)
}
