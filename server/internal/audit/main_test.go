package audit

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// compare tells how two values differ; nothing and an empty list are the same.
func compare[T any](want, got T) string { return cmp.Diff(want, got, cmpopts.EquateEmpty()) }

// buffer is a writer for several goroutines.
type buffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}

// aside is what a log says besides.
type besides struct {
	stderr, logged buffer

	mu     sync.Mutex
	failed int
}

func (b *besides) count() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed++
}

// options are those of a log in a file of its own.
func options(t *testing.T) (Options, *besides) {
	t.Helper()
	b := &besides{}
	return Options{
		Path: filepath.Join(t.TempDir(), "audit.log"), Server: "a", Keep: 1000, RefusePauses: true,
		Snapshot: func() Snapshot { return Snapshot{Target: "PAUSED", Observed: "MIXED", Holds: []string{"operator"}} },
		Logger:   slog.New(slog.NewTextHandler(&b.logged, nil)), Stderr: &b.stderr, Failed: b.count,
	}, b
}

// opened opens a log that is closed when the test ends.
func opening(t *testing.T, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closing(t, l) })
	return l
}

func closing(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// files are a log's: those that were put aside, in order, and the last.
func files(t *testing.T, path string) []string {
	t.Helper()
	found, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(found, func(a, b string) int {
		if a == path || b == path { // It sorts before the others, and is the last.
			return strings.Compare(b, a)
		}
		return strings.Compare(a, b)
	})
	return found
}

// read reads all lines of files, every one of which has to be whole.
func read(t *testing.T, paths ...string) []*Line {
	t.Helper()
	var lines []*Line
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, parse(t, string(data))...)
	}
	return lines
}

func parse(t *testing.T, text string) []*Line {
	t.Helper()
	var lines []*Line
	for raw := range strings.Lines(text) {
		line := &Line{}
		d := json.NewDecoder(strings.NewReader(strings.TrimPrefix(raw, diverted)))
		d.DisallowUnknownFields()
		if err := d.Decode(line); err != nil {
			t.Fatalf("line %q: %v", raw, err)
		}
		lines = append(lines, line)
	}
	return lines
}

// readers opens files to be replayed.
func readers(t *testing.T, paths ...string) []io.Reader {
	t.Helper()
	var logs []io.Reader
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, bytes.NewReader(data))
	}
	return logs
}

// kinds lists the kinds of lines.
func kinds(lines []*Line) []Kind {
	var all []Kind
	for _, line := range lines {
		all = append(all, line.Kind)
	}
	return all
}
