package logging

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestLevels plays changes, and after each asks which lines pass.
func TestLevels(t *testing.T) {
	var out bytes.Buffer
	levels := New(&out, Text, slog.LevelInfo)
	root := levels.Logger()
	loggers := map[string]*slog.Logger{
		"root": root, "zeebe": root.With(Key, "zeebe"), "store": root.With("a", 1).With(Key, "store", "b", 2),
		"unknown": root.With(Key, "nobody"), "grouped": root.WithGroup("g").With(Key, "zeebe"),
		"grandchild": root.With(Key, "zeebe").WithGroup("g").With("c", 3), "moved": root.With(Key, "store").With(Key, "zeebe"),
	}
	steps := []struct {
		name  string
		level *slog.Level
		least map[string]slog.Level // of those that differ from the root
		root  slog.Level
	}{
		{Root, new(slog.LevelWarn), nil, slog.LevelWarn},
		{"zeebe", new(slog.LevelDebug), map[string]slog.Level{
			"zeebe": slog.LevelDebug, "grandchild": slog.LevelDebug, "moved": slog.LevelDebug,
		}, slog.LevelWarn},
		{Root, new(LevelOff), map[string]slog.Level{
			"zeebe": slog.LevelDebug, "grandchild": slog.LevelDebug, "moved": slog.LevelDebug,
		}, LevelOff},
		{"zeebe", nil, nil, LevelOff},
		{"store", new(LevelTrace), map[string]slog.Level{"store": LevelTrace}, LevelOff},
		{Root, nil, map[string]slog.Level{"store": LevelTrace}, slog.LevelInfo},
	}
	for _, step := range steps {
		if err := levels.Set(t.Context(), step.name, step.level); err != nil {
			t.Fatal(err)
		}
		for name, logger := range loggers {
			least, ok := step.least[name]
			if !ok {
				least = step.root
			}
			for _, level := range []slog.Level{LevelTrace, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
				out.Reset()
				logger.Log(t.Context(), level, "a line")
				if wrote := out.Len() > 0; wrote != (level >= least) {
					t.Errorf("after %s = %v: %s wrote a line at %s: %t", step.name, step.level, name, LevelName(level), wrote)
				}
			}
		}
	}
}

func TestStates(t *testing.T) {
	levels := New(io.Discard, JSON, slog.LevelWarn)
	if err := levels.Set(t.Context(), "calls", new(LevelTrace)); err != nil {
		t.Fatal(err)
	}
	var want []State
	for _, name := range Names() {
		state := State{Name: name, Effective: slog.LevelWarn}
		switch name {
		case Root:
			state.Configured = new(slog.LevelWarn)
		case "calls":
			state = State{name, new(LevelTrace), LevelTrace}
		}
		want = append(want, state)
		if got, ok := levels.Get(name); !ok || !cmp.Equal(got, state) {
			t.Errorf("%s is %v, %t, want %v", name, got, ok, state)
		}
	}
	if diff := cmp.Diff(want, levels.All()); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	if _, ok := levels.Get("nobody"); ok {
		t.Error("there is a logger nobody")
	}
	if err, unknown := levels.Set(t.Context(), "nobody", nil), new(UnknownError); !errors.As(err, &unknown) {
		t.Errorf("setting it: %v", err)
	}
}

// TestAChangeIsALine proves that a change leaves one line, also where the level that it sets lets none pass.
func TestAChangeIsALine(t *testing.T) {
	var out bytes.Buffer
	levels := New(&out, Text, slog.LevelError)
	if err := levels.Set(t.Context(), Root, new(LevelOff), slog.String("caller", "token:ops")); err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(out.String(), " ")
	if want := "level=INFO msg=\"log level changed\" logger=ROOT from=ERROR to=OFF inherited=false caller=token:ops\n"; line != want {
		t.Errorf("got %q, want %q", line, want)
	}
	out.Reset()
	if err := levels.Set(t.Context(), "nobody", new(LevelOff)); err == nil || out.Len() > 0 {
		t.Errorf("a change that is none: %v, %q", err, out.String())
	}
}

// TestOf proves that the levels of a logger are found, or made.
func TestOf(t *testing.T) {
	ours := New(io.Discard, Text, slog.LevelInfo)
	child := ours.Logger().With("of", "server")
	if levels, logger := Of(child); levels != ours || logger != child {
		t.Error("the levels of a logger of ours are not found")
	}
	for least, theirs := range map[slog.Level]slog.Handler{
		LevelOff:       slog.DiscardHandler,
		LevelTrace:     slog.NewTextHandler(new(bytes.Buffer), &slog.HandlerOptions{Level: LevelTrace}),
		slog.LevelWarn: slog.NewTextHandler(new(bytes.Buffer), &slog.HandlerOptions{Level: slog.LevelWarn}),
	} {
		levels, logger := Of(slog.New(theirs).With("of", "server"))
		if state, _ := levels.Get(Root); state.Effective != least {
			t.Errorf("another's logger begins at %s, want %s", LevelName(state.Effective), LevelName(least))
		}
		if err := levels.Set(t.Context(), "zeebe", new(slog.LevelDebug)); err != nil {
			t.Fatal(err)
		}
		if !logger.With(Key, "zeebe").Enabled(t.Context(), slog.LevelDebug) {
			t.Error("the level of a part of it does not count")
		}
	}
}

func TestConcurrentChanges(t *testing.T) {
	levels := New(io.Discard, Text, slog.LevelInfo)
	logger := levels.Logger().With(Key, "store")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				logger.Debug("a line")
				_ = levels.Set(t.Context(), "store", new(slog.LevelDebug))
				_ = levels.Set(t.Context(), "store", nil)
				levels.All()
			}
		})
	}
	all.Wait()
	if state, _ := levels.Get("store"); state.Configured != nil {
		t.Errorf("the last word was to inherit, but it is %v", state)
	}
}

func TestLevelNames(t *testing.T) {
	for _, name := range LevelNames() {
		level, ok := ParseLevel(strings.ToLower(name))
		if !ok || LevelName(level) != name {
			t.Errorf("%s is read as %v, %t", name, level, ok)
		}
	}
	for _, name := range []string{"", "FATAL", "WARNING", " INFO", "INFO+1", "0"} {
		if _, ok := ParseLevel(name); ok {
			t.Errorf("%q is taken for a level", name)
		}
	}
	if got := LevelName(slog.LevelInfo + 2); got != "INFO" {
		t.Errorf("between INFO and WARN is %s", got)
	}
}

// TestNothingThatIsNotWantedCosts proves that a line which is not wanted allocates nothing.
func TestNothingThatIsNotWantedCosts(t *testing.T) {
	logger := New(io.Discard, Text, slog.LevelInfo).Logger().With(Key, "zeebe")
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { logger.DebugContext(ctx, "a line") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDisabled(b *testing.B) {
	logger := New(io.Discard, Text, slog.LevelInfo).Logger().With(Key, "zeebe")
	for b.Loop() {
		logger.DebugContext(b.Context(), "a line")
	}
}
