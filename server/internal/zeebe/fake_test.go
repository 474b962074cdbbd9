package zeebe

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// fakeBroker is a management port that says what a test makes it say, and 404 to all else.
type fakeBroker struct {
	server *httptest.Server

	mu      sync.Mutex
	answers map[string]http.HandlerFunc // by "GET /partitions"
	asked   []string
}

func newFakeBroker(t *testing.T) *fakeBroker {
	t.Helper()
	b := &fakeBroker{answers: map[string]http.HandlerFunc{}}
	b.server = httptest.NewServer(b)
	t.Cleanup(b.server.Close)
	return b
}

// address is the broker's base URL.
func (b *fakeBroker) address() string { return b.server.URL + "/actuator" }

func (b *fakeBroker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := r.Method + " " + strings.TrimPrefix(r.URL.RequestURI(), "/actuator")
	b.mu.Lock()
	b.asked = append(b.asked, request)
	answer, ok := b.answers[request]
	b.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	answer(w, r)
}

// on makes the broker answer a request.
func (b *fakeBroker) on(request string, status int, body string) {
	b.handle(request, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func (b *fakeBroker) handle(request string, answer http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers[request] = answer
}

// hangs makes the broker never answer a request.
func (b *fakeBroker) hangs(request string) {
	b.handle(request, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
}

// requests returns what the broker was asked since the last call.
func (b *fakeBroker) requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked := b.asked
	b.asked = nil
	return asked
}

// posts returns the changes among the requests since the last call.
func (b *fakeBroker) posts() []string {
	return slices.DeleteFunc(b.requests(), func(r string) bool { return !strings.HasPrefix(r, "POST ") })
}

// old makes it a broker of 8.5 to 8.9 with partition 1 of a cluster.
func (b *fakeBroker) old(phase string) *fakeBroker {
	b.on("GET /cluster", http.StatusOK, clusterOfOne)
	b.shows(phase)
	for _, operation := range []string{"pauseExporting", "softPauseExporting", "resumeExporting"} {
		b.on("POST /partitions/"+operation, http.StatusOK, partitionsIn(phase))
	}
	return b
}

// new810 makes it a broker of 8.10 with partition 1 of a cluster.
func (b *fakeBroker) new810(phase string) *fakeBroker {
	b.on("GET /cluster", http.StatusOK, clusterOfOne)
	b.on("GET /cluster/changes", http.StatusOK, `{"changes":[]}`)
	b.shows(phase)
	for _, operation := range []string{"pauseExporting", "softPauseExporting", "resumeExporting"} {
		b.on("POST /partitions/"+operation, http.StatusInternalServerError, springError)
	}
	for _, operation := range []string{"pause", "pause?soft=true", "resume"} {
		b.on("POST /exporting/"+operation, http.StatusNoContent, "")
	}
	return b
}

// shows makes the broker show a phase.
func (b *fakeBroker) shows(phase string) {
	b.on("GET /partitions", http.StatusOK, partitionsIn(phase))
}

const (
	clusterOfOne = `{"version":3,"brokers":[{"id":0,"state":"ACTIVE","partitions":[{"id":1,"state":"ACTIVE"}]}]}`
	springError  = `{"timestamp":"2026-09-29T23:00:06.305+00:00","status":500,"error":"Internal Server Error","path":"/a"}`
	html         = `<!DOCTYPE html><html><head><title>Operate</title></head></html>`
)

func partitionsIn(phase string) string {
	return `{"1":{"role":"LEADER","processedPosition":7,"exporterPhase":"` + phase + `","exportedPosition":5}}`
}

// newClient makes a client of brokers 0, 1, ..., with a timeout that a test can wait for.
func newClient(t *testing.T, change func(*Options), brokers ...*fakeBroker) *Client {
	t.Helper()
	o := Options{RequestTimeout: 5 * time.Second}
	for id, b := range brokers {
		o.Brokers = append(o.Brokers, fmt.Sprintf("%d=%s", id, b.address()))
	}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// topologyOf reads a client's topology.
func topologyOf(t *testing.T, c *Client) *exporting.Topology {
	t.Helper()
	topology, err := c.Topology(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return topology
}

// wantError checks that an error says all of the words.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}
