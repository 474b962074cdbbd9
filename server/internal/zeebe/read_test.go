package zeebe

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

const closed = `{"1":{"role":"LEADER","processedPosition":7,"exporterPhase":"CLOSED","exportedPosition":-1},` +
	`"2":{"role":"LEADER","processedPosition":7,"exporterPhase":"CLOSED","exportedPosition":5}}`

// at is the broker at an address as the core hands it back.
func at(b *fakeBroker) exporting.Broker {
	return exporting.Broker{ID: "2", Address: b.address()}
}

func TestRead(t *testing.T) {
	b := newFakeBroker(t).old("PAUSED")
	c := newClient(t, nil, b)
	got, err := c.Read(t.Context(), at(b))
	if err != nil {
		t.Fatal(err)
	}
	want := []exporting.Reading{{
		Partition: exporting.PartitionID{ID: 1},
		Role:      exporting.RoleLeader,
		Phase:     exporting.PhasePaused,
		Processed: exporting.At(7),
		Exported:  exporting.At(5),
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("readings differ (-want +got):\n%s", diff)
	}
}

func TestReadNoExporters(t *testing.T) {
	for _, test := range []struct {
		name      string
		status    int
		exporters string
		want      bool
	}{
		{"none is enabled", http.StatusOK, `[{"exporterId":"es","status":"DISABLED"}]`, true},
		{"one is enabled", http.StatusOK, `[{"exporterId":"es","status":"ENABLED"}]`, false},
		{"there is no such endpoint", http.StatusNotFound, "", false},
		{"it cannot tell", http.StatusInternalServerError, springError, false},
		{"something else", http.StatusOK, html, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newFakeBroker(t)
			b.on("GET /partitions", http.StatusOK, closed)
			b.on("GET /exporters", test.status, test.exporters)
			c := newClient(t, func(o *Options) { o.Version = "8.9" }, b)
			readings, err := c.Read(t.Context(), at(b))
			if err != nil {
				t.Fatal(err)
			}
			if none := readings[0].NoExporters; none != test.want {
				t.Errorf("NoExporters of a partition that never exported is %t, want %t", none, test.want)
			}
			if readings[1].NoExporters {
				t.Error("a partition that has exported seems to have no exporters")
			}
			if diff := cmp.Diff([]string{"GET /partitions", "GET /exporters"}, b.requests()); diff != "" {
				t.Errorf("requests differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		says   string
	}{
		{"an empty map", 200, `{}`, "empty map"},
		{"HTML", 200, html, "management port"},
		{"a cut", 200, newer[:60], "cut off"},
		{"no endpoint", 404, springError, "no partitions endpoint (404)"},
		{"an error", 500, springError, "answered 500: Internal Server Error"},
		{"not ready", 503, ``, "answered 503"},
		{"refused", 401, ``, "answered 401"},
		{"no content", 204, ``, "answered 204"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newFakeBroker(t)
			b.on("GET /partitions", test.status, test.body)
			readings, err := newClient(t, nil, b).Read(t.Context(), at(b))
			if readings != nil {
				t.Errorf("readings %v beside an error", readings)
			}
			wantError(t, err, "("+b.address()+")", test.says)
		})
	}
}

func TestReadWithoutAddress(t *testing.T) {
	c := newClient(t, nil, newFakeBroker(t))
	_, err := c.Read(t.Context(), exporting.Broker{ID: "2"})
	wantError(t, err, "address is not known")
}

// TestReadSilence proves the words for the ways in which a broker does not answer.
func TestReadSilence(t *testing.T) {
	t.Run("connection refused", func(t *testing.T) {
		b := newFakeBroker(t)
		c := newClient(t, nil, b)
		b.server.Close()
		_, err := c.Read(t.Context(), at(b))
		wantError(t, err, "connection refused")
	})
	t.Run("it hangs", func(t *testing.T) {
		b := newFakeBroker(t)
		b.hangs("GET /partitions")
		c := newClient(t, func(o *Options) { o.RequestTimeout = 30 * time.Millisecond }, b)
		_, err := c.Read(t.Context(), at(b))
		wantError(t, err, "no answer within 30ms")
	})
	t.Run("it hangs in its answer", func(t *testing.T) {
		b := newFakeBroker(t)
		b.handle("GET /partitions", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, newer[:50])
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		c := newClient(t, func(o *Options) { o.RequestTimeout = 30 * time.Millisecond }, b)
		_, err := c.Read(t.Context(), at(b))
		wantError(t, err, "answer broke off")
	})
	t.Run("it closes the connection", func(t *testing.T) {
		b := newFakeBroker(t)
		b.handle("GET /partitions", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		_, err := newClient(t, nil, b).Read(t.Context(), at(b))
		wantError(t, err, "closed the connection without an answer")
	})
	t.Run("its answer breaks off", func(t *testing.T) {
		b := newFakeBroker(t)
		b.handle("GET /partitions", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, newer[:50])
		})
		_, err := newClient(t, nil, b).Read(t.Context(), at(b))
		wantError(t, err, "answer broke off")
	})
	t.Run("the caller leaves", func(t *testing.T) {
		b := newFakeBroker(t).old("EXPORTING")
		c := newClient(t, nil, b)
		topologyOf(t, c)
		ctx, cancel := context.WithCancel(t.Context())
		b.handle("GET /partitions", func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		})
		_, err := c.Read(ctx, at(b))
		wantError(t, err, "given up before it answered")
		b.shows("EXPORTING")
		b.requests()
		if _, err := c.Read(t.Context(), at(b)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"GET /partitions"}, b.requests()); diff != "" {
			t.Errorf("a caller that left made the broker's generation doubtful (-want +got):\n%s", diff)
		}
	})
	t.Run("no such host", func(t *testing.T) {
		c := newClient(t, func(o *Options) {
			o.Brokers = []string{"http://zeebe-0.zeebe:9600"}
			o.Transport = failing{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}}
		})
		_, err := c.Read(t.Context(), exporting.Broker{ID: "0", Address: "http://zeebe-0.zeebe:9600"})
		wantError(t, err, "no such host")
	})
}

func TestReadLimits(t *testing.T) {
	b := newFakeBroker(t)
	b.handle("GET /partitions", func(w http.ResponseWriter, r *http.Request) {
		chunk := []byte(strings.Repeat(" ", 1<<20))
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	_, err := newClient(t, nil, b).Read(t.Context(), at(b))
	wantError(t, err, "larger than 16 MiB")
}

func TestReadDoesNotFollowRedirects(t *testing.T) {
	elsewhere := newFakeBroker(t).old("PAUSED")
	b := newFakeBroker(t)
	b.handle("GET /partitions", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.address()+"/partitions", http.StatusFound)
	})
	_, err := newClient(t, nil, b).Read(t.Context(), at(b))
	wantError(t, err, "answered 302", "redirect", elsewhere.address())
	if asked := elsewhere.requests(); len(asked) > 0 {
		t.Errorf("the redirect was followed: %v", asked)
	}
}

// TestReadReusesConnections proves that bodies are read to their end and that brokers keep their connections.
func TestReadReusesConnections(t *testing.T) {
	connections := 0
	b := &fakeBroker{answers: map[string]http.HandlerFunc{}}
	b.server = httptest.NewUnstartedServer(b)
	b.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections++
		}
	}
	b.server.Start()
	t.Cleanup(b.server.Close)
	b.on("GET /partitions", http.StatusOK, newer+strings.Repeat(" ", 1<<20))
	c := newClient(t, func(o *Options) { o.Version = "8.9" }, b)
	for range 5 {
		if _, err := c.Read(t.Context(), at(b)); err != nil {
			t.Fatal(err)
		}
	}
	b.server.Close()
	if connections != 1 {
		t.Errorf("5 reads took %d connections, want 1", connections)
	}
}

// failing is a transport over which nobody answers.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }
