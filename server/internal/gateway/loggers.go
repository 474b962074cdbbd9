package gateway

import (
	"encoding/json"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/server/internal/caller"
	"github.com/exportgate/exportgate/server/internal/logging"
)

// maxLevelBody is how many bytes the body of a change of level may have.
const maxLevelBody = 4 << 10

// loggersBody is Spring Boot's.
type loggersBody struct {
	Levels  []string              `json:"levels"`
	Loggers map[string]loggerBody `json:"loggers"`
	Groups  struct{}              `json:"groups"`
}

type loggerBody struct {
	ConfiguredLevel string `json:"configuredLevel,omitempty"`
	EffectiveLevel  string `json:"effectiveLevel"`
}

func newLoggerBody(s logging.State) loggerBody {
	body := loggerBody{EffectiveLevel: logging.LevelName(s.Effective)}
	if s.Configured != nil {
		body.ConfiguredLevel = logging.LevelName(*s.Configured)
	}
	return body
}

func (h *handler) serveLoggers(w http.ResponseWriter, r *http.Request) {
	body := loggersBody{Levels: logging.LevelNames(), Loggers: map[string]loggerBody{}}
	for _, state := range h.loggers.All() {
		body.Loggers[state.Name] = newLoggerBody(state)
	}
	writeJSON(w, r, http.StatusOK, body)
}

// findLogger fails where there is no logger of the name in the path.
func (h *handler) findLogger(r *http.Request) error {
	if _, ok := h.loggers.Get(r.PathValue("name")); !ok {
		return status.Errorf(codes.NotFound, "there is no logger %s: there are %s", quote(r.PathValue("name")),
			strings.Join(logging.Names(), ", "))
	}
	return nil
}

func (h *handler) serveLogger(w http.ResponseWriter, r *http.Request) {
	state, _ := h.loggers.Get(r.PathValue("name"))
	writeJSON(w, r, http.StatusOK, newLoggerBody(state))
}

// changeLogger gives the logger in the path the level in the body.
func (h *handler) changeLogger(r *http.Request) error {
	if err := h.findLogger(r); err != nil {
		return err
	}
	level, st := readLevel(r)
	if st != nil {
		return st.Err()
	}
	return h.loggers.Set(r.Context(), r.PathValue("name"), level, slog.String("caller", caller.From(r.Context()).Name),
		slog.String("peer", r.RemoteAddr), slog.String("request_id", requestID(r.Context())))
}

// readLevel reads the body of a change, as Spring Boot has it: {"configuredLevel":"DEBUG"}, or null for no level of its own.
// A form is not taken, which any page may send; nor is anything that was mistyped, which would take the level away.
func readLevel(r *http.Request) (*slog.Level, *status.Status) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(offered(), media) {
		return nil, invalid("", "the Content-Type is %s, but must be %s", quote(r.Header.Get("Content-Type")), mediaJSON)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxLevelBody+1))
	switch {
	case err != nil:
		return nil, invalid("", "the body did not come in whole")
	case len(body) > maxLevelBody:
		return nil, invalid("", "the body has more than %d bytes", maxLevelBody)
	}
	return parseLevel(body)
}

// parseLevel reads the JSON of a change.
func parseLevel(body []byte) (*slog.Level, *status.Status) {
	var change map[string]*string
	if err := json.Unmarshal(body, &change); err != nil || change == nil {
		return nil, invalid("", `the body must be like {"configuredLevel":"DEBUG"}, or have null there`)
	}
	name, ok := change["configuredLevel"]
	switch {
	case len(change) > 1 || !ok && len(change) > 0:
		return nil, invalid("", "only configuredLevel is taken")
	case name == nil:
		return nil, nil
	}
	level, ok := logging.ParseLevel(*name)
	if !ok {
		return nil, invalid("configuredLevel", "configuredLevel is %s, but takes %s, or null", quote(*name),
			strings.Join(logging.LevelNames(), ", "))
	}
	return &level, nil
}
