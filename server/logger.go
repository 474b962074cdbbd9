package server

import (
	"io"
	"log/slog"

	"github.com/exportgate/exportgate/server/internal/logging"
)

// NewLogger returns the logger that the configuration asks for. A server that is given it can change its levels while it
// runs.
func NewLogger(w io.Writer, c LogConfig) *slog.Logger {
	level, _ := logging.ParseLevel(string(c.Level)) // The configuration has no other words; the zero value is INFO.
	return logging.New(w, logging.Format(c.Format), level).Logger()
}
