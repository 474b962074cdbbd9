package logging

import (
	"log/slog"
	"math"
	"strings"
)

// The levels that Spring Boot has and slog has not.
const (
	// LevelTrace lets everything pass.
	LevelTrace = slog.LevelDebug - 4
	// LevelOff lets nothing pass.
	LevelOff = slog.Level(math.MaxInt32)
)

// LevelNames are Spring Boot's levels, the quietest first.
func LevelNames() []string { return []string{"OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"} }

// LevelName is Spring Boot's name for a level: of one in between, that of the next below it.
func LevelName(level slog.Level) string {
	switch {
	case level >= LevelOff:
		return "OFF"
	case level >= slog.LevelError:
		return "ERROR"
	case level >= slog.LevelWarn:
		return "WARN"
	case level >= slog.LevelInfo:
		return "INFO"
	case level >= slog.LevelDebug:
		return "DEBUG"
	}
	return "TRACE"
}

// ParseLevel reads one of [LevelNames], in any case.
func ParseLevel(name string) (slog.Level, bool) {
	switch strings.ToUpper(name) {
	case "OFF":
		return LevelOff, true
	case "ERROR":
		return slog.LevelError, true
	case "WARN":
		return slog.LevelWarn, true
	case "INFO":
		return slog.LevelInfo, true
	case "DEBUG":
		return slog.LevelDebug, true
	case "TRACE":
		return LevelTrace, true
	}
	return 0, false
}
