package audit

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// What a line costs: to make it, to have the disk keep it, and to have it keep those of many callers at a time.
func BenchmarkLine(b *testing.B) {
	b.Run("encode", func(b *testing.B) {
		line := pausing().line(KindIntent)
		for b.Loop() {
			if _, err := encode(line); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("change", func(b *testing.B) {
		l := benched(b, "-")
		before, after := states()
		for b.Loop() {
			l.Change(b.Context(), hold.Change{Before: before, After: after})
			for len(l.queue) > maxQueue/2 { // Or lines would be lost.
				if err := l.await(&Line{Kind: KindEvent}); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("intent", func(b *testing.B) {
		for _, to := range []string{"-", filepath.Join(b.TempDir(), "audit.log")} {
			name := "file"
			if to == "-" {
				name = "nowhere"
			}
			l := benched(b, to)
			b.Run(name, func(b *testing.B) {
				for b.Loop() {
					if _, err := l.Intent(b.Context(), pausing()); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(name+", many callers", func(b *testing.B) {
				b.SetParallelism(32)
				b.RunParallel(func(next *testing.PB) {
					for next.Next() {
						if _, err := l.Intent(b.Context(), pausing()); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	})
}

func benched(b *testing.B, path string) *Log {
	b.Helper()
	l, err := Open(Options{Path: path, Writer: io.Discard, Logger: slog.New(slog.DiscardHandler), Stderr: os.Stderr, RefusePauses: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	})
	return l
}

// states are a ledger with a long history before and after one of many holds settles.
func states() (before, after hold.State) {
	before.Revision = 1000
	for range 200 {
		before.History = append(before.History, hold.Ended{Hold: hold.Hold{ID: "backup", UID: time.Now().String(), Phase: exporting.PhasePaused}})
	}
	for range 20 {
		before.Holds = append(before.Holds, hold.Hold{ID: time.Now().String(), UID: time.Now().String(), Phase: exporting.PhasePaused})
	}
	after = before
	after.Revision++
	after.Holds = append([]hold.Hold{}, before.Holds...)
	after.Holds[7].Settled = time.Now()
	return before, after
}
