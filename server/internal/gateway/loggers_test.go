package gateway

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/server/internal/logging"
)

func TestLoggers(t *testing.T) {
	var out strings.Builder
	levels := logging.New(&out, logging.Text, slog.LevelInfo)
	d := openDoor(t, &fake{}, Options{Loggers: levels})
	const json = "application/json"
	steps := []struct {
		name, media, body string
		code              int
		level             string // of the logger then; empty where it has none of its own
	}{
		{"zeebe", json, `{"configuredLevel":"DEBUG"}`, 204, "DEBUG"},
		{"zeebe", mediaActuatorV3, `{"configuredLevel":"off"}`, 204, "OFF"},
		{"zeebe", json + "; charset=utf-8", ` {"configuredLevel" : "TRACE"} ` + "\n", 204, "TRACE"},
		{"zeebe", json, `{"configuredLevel":"LOUD"}`, 400, "TRACE"},
		{"zeebe", json, `{"configuredLevel":""}`, 400, "TRACE"},
		{"zeebe", json, `{"configuredLevel":5}`, 400, "TRACE"},
		{"zeebe", json, `{"configuredLevl":"INFO"}`, 400, "TRACE"},
		{"zeebe", json, `{"ConfiguredLevel":"INFO"}`, 400, "TRACE"},
		{"zeebe", json, `{"configuredLevel":"INFO","more":null}`, 400, "TRACE"},
		{"zeebe", json, `{"configuredLevel":"INFO"} x`, 400, "TRACE"},
		{"zeebe", json, `"INFO"`, 400, "TRACE"},
		{"zeebe", json, `null`, 400, "TRACE"},
		{"zeebe", json, ``, 400, "TRACE"},
		{"zeebe", json, `{"configuredLevel":"` + strings.Repeat("x", maxLevelBody) + `"}`, 400, "TRACE"},
		{"zeebe", json, strings.Repeat(" ", maxLevelBody) + `{"configuredLevel":"INFO"}`, 400, "TRACE"},
		{"zeebe", "application/x-www-form-urlencoded", `{"configuredLevel":"INFO"}`, 400, "TRACE"},
		{"zeebe", "text/plain", `{"configuredLevel":"INFO"}`, 400, "TRACE"},
		{"zeebe", "", `{"configuredLevel":"INFO"}`, 400, "TRACE"},
		{"zeebe", json, `{"configuredLevel":null}`, 204, ""},
		{"zeebe", json, `{"configuredLevel":"WARN"}`, 204, "WARN"},
		{"zeebe", json, `{}`, 204, ""},
		{"ROOT", json, `{"configuredLevel":"ERROR"}`, 204, "ERROR"},
		{"ROOT", json, `{"configuredLevel":null}`, 204, "INFO"},
	}
	for _, step := range steps {
		out.Reset()
		got := send(t, http.MethodPost, d.url+"/loggers/"+step.name, strings.NewReader(step.body), "Content-Type", step.media)
		if got.code != step.code || (got.body == "") != (step.code == 204) {
			t.Errorf("%s: answer is %d %s, want %d", step.body, got.code, got.body, step.code)
		}
		if lines := strings.Count(out.String(), "\n"); (lines == 1) != (step.code == 204) {
			t.Errorf("%s: %d lines were logged: %s", step.body, lines, out.String())
		}
		want := map[string]any{"effectiveLevel": "INFO"}
		if step.level != "" {
			want = map[string]any{"effectiveLevel": step.level, "configuredLevel": step.level}
		}
		if diff := cmp.Diff(want, decode(t, send(t, http.MethodGet, d.url+"/loggers/"+step.name, nil).body)); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", step.body, diff)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, name := range []string{"nobody", "root", "zeebe%00", "%7aeebe"} {
			got := send(t, method, d.url+"/loggers/"+name, nil)
			if got.code != http.StatusNotFound || !strings.Contains(got.body, "ROOT, ") {
				t.Errorf("%s of %s: answer is %d %s, want 404 that says which there are", method, name, got.code, got.body)
			}
		}
	}
}

func TestAllLoggers(t *testing.T) {
	levels := logging.New(io.Discard, logging.Text, slog.LevelWarn)
	if err := levels.Set(t.Context(), "store", new(slog.LevelDebug)); err != nil {
		t.Fatal(err)
	}
	d := openDoor(t, &fake{}, Options{Loggers: levels})
	loggers := map[string]any{}
	for _, name := range logging.Names() {
		loggers[name] = map[string]any{"effectiveLevel": "WARN"}
	}
	loggers["ROOT"] = map[string]any{"effectiveLevel": "WARN", "configuredLevel": "WARN"}
	loggers["store"] = map[string]any{"effectiveLevel": "DEBUG", "configuredLevel": "DEBUG"}
	want := map[string]any{
		"levels": []any{"OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"}, "loggers": loggers, "groups": map[string]any{},
	}
	if diff := cmp.Diff(want, decode(t, send(t, http.MethodGet, d.url+"/loggers", nil).body)); diff != "" {
		t.Errorf("loggers (-want +got):\n%s", diff)
	}
}

// TestChangesOfLevelsAreAdmitted proves that who may not change a level is refused before anything is read, and that what
// became of a change is told before it is answered.
func TestChangesOfLevelsAreAdmitted(t *testing.T) {
	change := func(d *door, body string) reply {
		return send(t, http.MethodPost, d.url+"/loggers/zeebe", strings.NewReader(body), "Content-Type", mediaJSON)
	}
	var out strings.Builder
	levels := logging.New(&out, logging.Text, slog.LevelInfo)
	g := newGate(status.Error(codes.PermissionDenied, "not you"))
	if got := change(openDoor(t, &fake{}, Options{Admit: g.admit, Loggers: levels}), `{"configuredLevel":"DEBUG"}`); got.code != 403 {
		t.Errorf("answer is %d %s, want 403", got.code, got.body)
	}
	if state, _ := levels.Get("zeebe"); state.Configured != nil || <-g.asked != "POST /loggers" {
		t.Errorf("the level is %v", state.Configured)
	}
	for body, want := range map[string]codes.Code{`{"configuredLevel":"DEBUG"}`: codes.OK, `{"configuredLevel":"LOUD"}`: codes.InvalidArgument} {
		g := newGate(nil)
		change(openDoor(t, &fake{}, Options{Admit: g.admit, Loggers: levels}), body)
		if err := <-g.ended; status.Code(err) != want || len(g.ended) > 0 {
			t.Errorf("%s ended with %v, and %d times more", body, err, len(g.ended))
		}
	}
	if line := out.String(); !strings.Contains(line, "to=DEBUG") || !strings.Contains(line, "caller=token:ops") ||
		!strings.Contains(line, "request_id=id-of-the-server") || strings.Count(line, "\n") != 1 {
		t.Errorf("logged %q, want one line that says who changed what", line)
	}
}

// FuzzParseLevel proves that a body sets a level that it names, or none, or is refused.
func FuzzParseLevel(f *testing.F) {
	for _, seed := range []string{
		`{"configuredLevel":"DEBUG"}`, `{"configuredLevel":null}`, `{}`, `null`, `[]`, `{"configuredLevel":"x"}`, `{"a":`, "\xff",
		`{"configuredLevel":"INFO","configuredLevel":"OFF"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		level, st := parseLevel(body)
		switch {
		case st != nil && (st.Code() != codes.InvalidArgument || st.Message() == "" || level != nil):
			t.Errorf("%q: %v, %v", body, level, st)
		case level != nil && !strings.Contains(strings.ToUpper(string(body)), logging.LevelName(*level)) &&
			!strings.Contains(string(body), `\`):
			t.Errorf("%q sets %s", body, logging.LevelName(*level))
		}
	})
}
