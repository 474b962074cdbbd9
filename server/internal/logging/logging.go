// Package logging makes the program's logger: lines of text or JSON, without secrets, and with a level for each part of
// the program that can be changed while it runs.
//
// A part is named by the attribute logger=<name> that its logger was made with, as in log.With(logging.Key, "zeebe"). It
// must not know what the parts are for, nor who changes their levels.
package logging

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Key is the attribute by which a logger says which part of the program it belongs to.
const Key = "logger"

// Root is the name of what all other loggers take their level from, as long as they have none of their own.
const Root = "ROOT"

// Names are the loggers whose level can be changed: Root, then the parts of the program in alphabetical order.
func Names() []string {
	return []string{Root, "audit", "auth", "calls", "certs", "gateway", "reconcile", "store", "zeebe"}
}

// Format is how log lines look.
type Format string

// The formats.
const (
	Text Format = "text"
	JSON Format = "json"
)

// Levels are the levels of all loggers that come from one root. They may be read and changed at any time.
type Levels struct {
	lines slog.Handler // what writes, whatever the level

	mu      sync.Mutex
	loggers map[string]*logger
}

// logger is the level of one name. What counts is in a variable of its own, so that a line which is not wanted costs one
// atomic read.
type logger struct {
	counts     slog.LevelVar
	configured *slog.Level // nil where Root's counts
}

// State is one logger.
type State struct {
	// Name is one of [Names].
	Name string
	// Configured is the level of its own; nil where it has none.
	Configured *slog.Level
	// Effective is the level that counts.
	Effective slog.Level
}

// UnknownError says that there is no logger of a name.
type UnknownError struct{ Name string }

// Error names the logger.
func (e *UnknownError) Error() string { return "there is no logger " + e.Name }

// New returns levels whose lines go to a writer, in a format that is text unless it is [JSON]. Values whose key names a
// secret are masked in them.
func New(w io.Writer, format Format, level slog.Level) *Levels {
	options := &slog.HandlerOptions{Level: LevelTrace, ReplaceAttr: replace}
	if format == JSON {
		return newLevels(slog.NewJSONHandler(w, options), level)
	}
	return newLevels(slog.NewTextHandler(w, options), level)
}

// Of returns the levels that a logger obeys, and the logger that obeys them: itself, if it came from [New]; else one that
// writes the same lines and starts with the least level that it takes.
func Of(log *slog.Logger) (*Levels, *slog.Logger) {
	if h, ok := log.Handler().(handler); ok {
		return h.levels, log
	}
	levels := newLevels(log.Handler(), leastOf(log.Handler()))
	return levels, levels.Logger()
}

func newLevels(lines slog.Handler, level slog.Level) *Levels {
	l := &Levels{lines: lines, loggers: map[string]*logger{}}
	for _, name := range Names() {
		l.loggers[name] = &logger{}
		l.loggers[name].counts.Set(level)
	}
	l.loggers[Root].configured = &level
	return l
}

// leastOf is the least level that a handler takes; [LevelOff] if it takes none.
func leastOf(h slog.Handler) slog.Level {
	for _, level := range []slog.Level{LevelTrace, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if h.Enabled(context.Background(), level) {
			return level
		}
	}
	return LevelOff
}

// Logger is the root logger. Those of the parts are made from it, by With and [Key].
func (l *Levels) Logger() *slog.Logger {
	return slog.New(handler{Handler: l.lines, levels: l, counts: &l.loggers[Root].counts})
}

// All are the loggers, in the order of [Names].
func (l *Levels) All() []State {
	l.mu.Lock()
	defer l.mu.Unlock()
	states := make([]State, 0, len(l.loggers))
	for _, name := range Names() {
		states = append(states, l.state(name))
	}
	return states
}

// Get is one logger, and whether there is one of that name.
func (l *Levels) Get(name string) (State, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.loggers[name] == nil {
		return State{}, false
	}
	return l.state(name), true
}

// Set gives a logger a level of its own, or with nil takes it away, so that Root's counts; Root itself then goes back to
// INFO. It writes one line that says so, with the attributes that are given, whatever the level: a log that falls silent
// tells why. The error is an [*UnknownError].
func (l *Levels) Set(ctx context.Context, name string, level *slog.Level, attrs ...slog.Attr) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := l.loggers[name]
	if changed == nil {
		return &UnknownError{name}
	}
	if level == nil && name == Root {
		level = new(slog.LevelInfo)
	}
	before := changed.counts.Level()
	changed.configured = level
	for _, each := range l.loggers {
		if each.configured != nil {
			each.counts.Set(*each.configured)
		} else {
			each.counts.Set(*l.loggers[Root].configured)
		}
	}
	l.say(ctx, "log level changed", slices.Concat([]slog.Attr{
		slog.String(Key, name), slog.String("from", LevelName(before)), slog.String("to", LevelName(changed.counts.Level())),
		slog.Bool("inherited", level == nil),
	}, attrs))
	return nil
}

// say writes a line past the levels. One that cannot be written is lost, as any other is.
func (l *Levels) say(ctx context.Context, message string, attrs []slog.Attr) {
	var caller [1]uintptr
	runtime.Callers(2, caller[:])
	record := slog.NewRecord(time.Now(), slog.LevelInfo, message, caller[0])
	record.AddAttrs(attrs...)
	_ = l.lines.Handle(ctx, record)
}

// state is called with the lock held.
func (l *Levels) state(name string) State {
	return State{Name: name, Configured: l.loggers[name].configured, Effective: l.loggers[name].counts.Level()}
}
