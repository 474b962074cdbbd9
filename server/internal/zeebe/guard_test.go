package zeebe

import (
	"slices"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

func TestGuard(t *testing.T) {
	// Each step happens a second after the one before; so does the question.
	type step func(g *guard, at time.Time)
	showed := func(phases ...exporting.Phase) step {
		return func(g *guard, at time.Time) {
			readings := make([]exporting.Reading, len(phases))
			for i, phase := range phases {
				readings[i].Phase = phase
			}
			g.showed(readings, at, at.Add(time.Millisecond))
		}
	}
	noExporters := func(g *guard, at time.Time) {
		g.showed([]exporting.Reading{{Phase: exporting.PhaseClosed, NoExporters: true}}, at, at)
	}
	wrote := func(phase exporting.Phase) step {
		return func(g *guard, at time.Time) { g.wrote(phase, true, at) }
	}
	lost := func(phase exporting.Phase) step {
		return func(g *guard, at time.Time) { g.wrote(phase, false, at) }
	}
	failed := func(g *guard, _ time.Time) { g.unread() }
	waits := func(*guard, time.Time) {}
	const (
		exports = exporting.PhaseExporting
		soft    = exporting.PhaseSoftPaused
		hard    = exporting.PhasePaused
	)
	for _, test := range []struct {
		name  string
		steps []step
		want  verdict
	}{
		{"never read", nil, unread},
		{"exports", []step{showed(exports, exports)}, safe},
		{"is paused, or closed", []step{showed(hard, exporting.PhaseClosed)}, safe},
		{"one replica is softly paused", []step{showed(exports, soft)}, unsafe},
		{"one replica is not known", []step{showed(exports, exporting.PhaseUnknown)}, unsafe},
		{"the last read failed", []step{showed(exports), failed}, unread},
		{"the last read is just recent enough", append([]step{showed(exports)}, slices.Repeat([]step{waits}, 9)...), safe},
		{"the last read is too old", append([]step{showed(exports)}, slices.Repeat([]step{waits}, 10)...), unread},
		{"a soft pause was seen and is too old", append([]step{showed(soft)}, slices.Repeat([]step{waits}, 10)...), unread},
		{"a soft pause was sent and is not seen yet", []step{showed(exports), wrote(soft), showed(exports)}, unsafe},
		{"one may have been sent", []step{showed(exports), lost(soft), showed(exports)}, unsafe},
		{"one was sent to a broker that shows something else", []step{wrote(soft), showed(hard)}, unsafe},
		{"it was resumed, not read", []step{wrote(soft), showed(soft), wrote(exports)}, unsafe},
		{"it was resumed and is softly paused still", []step{wrote(soft), wrote(exports), showed(soft)}, unsafe},
		{"it was resumed and reads so", []step{wrote(soft), wrote(exports), showed(exports)}, safe},
		{"it was resumed and has nothing to export", []step{wrote(soft), wrote(exports), noExporters}, safe},
		{"one replica is closed since", []step{wrote(soft), wrote(exports), showed(exports, exporting.PhaseClosed)}, unsafe},
		{"the resume may have been lost", []step{wrote(soft), lost(exports), showed(exports)}, unsafe},
		{"a soft pause was sent after the resume", []step{wrote(soft), wrote(exports), wrote(soft), showed(exports)}, unsafe},
		{"hard, resume, without a soft pause", []step{wrote(hard), wrote(exports), showed(exports)}, safe},
	} {
		t.Run(test.name, func(t *testing.T) {
			var g guard
			now := time.Unix(1_700_000_000, 0)
			for _, do := range test.steps {
				do(&g, now)
				now = now.Add(time.Second)
			}
			if got := g.hardPause(now); got != test.want {
				t.Errorf("the verdict is %d, want %d", got, test.want)
			}
		})
	}
}

// TestGuardReadOverlapsResume proves that a read which began before the resume was taken says nothing about it.
func TestGuardReadOverlapsResume(t *testing.T) {
	var g guard
	now := time.Unix(1_700_000_000, 0)
	readings := []exporting.Reading{{Phase: exporting.PhaseExporting}}
	g.wrote(exporting.PhaseSoftPaused, true, now)
	g.wrote(exporting.PhaseExporting, true, now.Add(2*time.Second))
	g.showed(readings, now.Add(time.Second), now.Add(3*time.Second))
	if got := g.hardPause(now.Add(3 * time.Second)); got != unsafe {
		t.Errorf("after a read that overlaps the resume the verdict is %d, want %d", got, unsafe)
	}
	g.showed(readings, now.Add(3*time.Second), now.Add(4*time.Second))
	if got := g.hardPause(now.Add(4 * time.Second)); got != safe {
		t.Errorf("after a read that follows the resume the verdict is %d, want %d", got, safe)
	}
}
