package logging

import (
	"context"
	"log/slog"
)

// handler writes the lines that its part's level lets pass.
type handler struct {
	slog.Handler

	levels  *Levels
	counts  *slog.LevelVar
	grouped bool // an attribute now has a prefix, and names no logger any more
}

// Enabled reads the level that counts, and asks nobody else: the handler below takes every level.
func (h handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.counts.Level() }

// WithAttrs finds out which part a logger belongs to. A name that is not in [Names] follows the level that it had.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, attr := range attrs {
		if attr.Key != Key || h.grouped {
			continue
		}
		if part := h.levels.loggers[attr.Value.String()]; part != nil {
			h.counts = &part.counts
		}
	}
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup begins a group.
func (h handler) WithGroup(name string) slog.Handler {
	h.grouped = h.grouped || name != ""
	h.Handler = h.Handler.WithGroup(name)
	return h
}
