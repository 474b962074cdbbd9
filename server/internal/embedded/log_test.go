package embedded

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reopen opens a test's log as a new process would.
func reopen(t *testing.T, dir string) *recordLog {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := openLog(root, "log", 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closeOrFail(t, root)
		if err := l.close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func appendRecords(t *testing.T, l *recordLog, timestamps ...int64) {
	t.Helper()
	for _, timestamp := range timestamps {
		if err := l.append(timestamp); err != nil {
			t.Fatal(err)
		}
	}
}

// readAll reads from a position to the log's end, at most so many records at once.
func readAll(t *testing.T, l *recordLog, from int64, limit int) []int64 {
	t.Helper()
	var timestamps []int64
	for {
		records, err := l.read(from, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) == 0 {
			return timestamps
		}
		for _, r := range records {
			if r.position != from {
				t.Fatalf("position %d was read, want %d", r.position, from)
			}
			timestamps = append(timestamps, r.timestamp)
			from++
		}
	}
}

func TestTheLogIsReadAcrossSegments(t *testing.T) {
	l := reopen(t, t.TempDir())
	appendRecords(t, l, 10, 20, 30, 40, 50, 60, 70, 80, 90)
	for from := int64(1); from <= 10; from++ {
		for _, limit := range []int{1, 3, 4, 100} {
			want := through(from, 9)
			for i := range want {
				want[i] *= 10
			}
			if diff := cmp.Diff(want, readAll(t, l, from, limit)); diff != "" {
				t.Errorf("from %d by %d (-want +got):\n%s", from, limit, diff)
			}
		}
	}
}

func TestTheLogGoesOnWhereItEnded(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		appendRecords(t, reopen(t, dir), 1, 2, 3)
	}
	l := reopen(t, dir)
	if diff := cmp.Diff([]int64{1, 2, 3, 1, 2, 3, 1, 2, 3}, readAll(t, l, 1, 100)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestAHalfWrittenRecordIsDropped(t *testing.T) {
	dir := t.TempDir()
	appendRecords(t, reopen(t, dir), 1, 2, 3, 4, 5, 6)
	if err := os.Truncate(filepath.Join(dir, "log", "00000000000000000004.log"), 2*recordSize-1); err != nil {
		t.Fatal(err)
	}
	l := reopen(t, dir)
	appendRecords(t, l, 7)
	if diff := cmp.Diff([]int64{1, 2, 3, 4, 5, 7}, readAll(t, l, 1, 100)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestCompactionDeletesWholeSegmentsOnly(t *testing.T) {
	for bound, first := range map[int64]int64{-1: 1, 0: 1, 3: 1, 4: 5, 7: 5, 8: 9, 9: 9, 1000: 9} {
		dir := t.TempDir()
		l := reopen(t, dir)
		appendRecords(t, l, 1, 2, 3, 4, 5, 6, 7, 8, 9)
		if err := l.compact(bound); err != nil {
			t.Fatal(err)
		}
		if got := reopen(t, dir).first(); got != first || l.first() != first {
			t.Errorf("compacted up to %d the log begins at %d, and opened again at %d, want %d", bound, l.first(), got, first)
		}
		if _, err := l.read(first-1, 1); first > 1 && err == nil {
			t.Errorf("position %d was read after it was deleted", first-1)
		}
	}
}
