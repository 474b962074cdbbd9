package embedded

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestControl(t *testing.T) {
	c := start(t, Options{})
	control := c.Control()
	do := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		control.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody))
		return w
	}
	for _, test := range []struct {
		path   string
		status int
		state  string // a line of the page afterwards
	}{
		{"/brokers/1/hang", 200, "broker 1  8.9.27  up    http://*  hang"},
		{"/brokers/1/refuse", 200, "broker 1  8.9.27  up    http://*  answer 500"},
		{"/brokers/1/empty", 200, "broker 1  8.9.27  up    http://*  empty after 1ms"},
		{"/brokers/1/html", 200, "broker 1  8.9.27  up    http://*  html"},
		{"/brokers/1/garbage", 200, "broker 1  8.9.27  up    http://*  garbage"},
		{"/brokers/1/truncated", 200, "broker 1  8.9.27  up    http://*  truncated"},
		{"/brokers/1/slow", 200, "broker 1  8.9.27  up    http://*  slow by 3s"},
		{"/brokers/1/swallow", 200, "broker 1  8.9.27  up    http://*  swallow"},
		{"/brokers/1/late", 200, "broker 1  8.9.27  up    http://*  late by 5s"},
		{"/brokers/1/show-once", 200, "broker 1  8.9.27  up    http://*  show once"},
		{"/brokers/1/flicker", 200, "broker 1  8.9.27  up    http://*  flicker"},
		{"/brokers/1/close", 200, "broker 1  8.9.27  up    http://*  closed"},
		{"/brokers/1/flaky", 200, "broker 1  8.9.27  up    http://*  fail 0.1 of requests"},
		{"/brokers/1/inactive?partition=1", 200, "partition 1  broker 1  INACTIVE   EXPORTING    exported -1  "},
		{"/brokers/1/inactive?partition=9", 409, ""},
		{"/brokers/1/fill-disk?free=5", 200, "broker 1  8.9.27  up    http://*  5% of the disk free"},
		{"/brokers/1/fill-disk?free=x", 409, ""},
		{"/brokers/1/fill-disk?free=-1", 409, ""},
		{"/brokers/1/fill-disk", 409, ""},
		{"/brokers/1/clear", 200, "partition 1  broker 1  FOLLOWER   EXPORTING    exported -1  "},
		{"/brokers/1/lose-disk", 409, "broker 1  8.9.27  up    http://*  "},
		{"/brokers/1/stop", 200, "broker 1  8.9.27  down  http://*  "},
		{"/brokers/1/lose-disk", 200, "broker 1  8.9.27  down  http://*  "},
		{"/brokers/1/start", 200, "broker 1  8.9.27  up    http://*  "},
		{"/brokers/1/restart", 200, "broker 1  8.9.27  up    http://*  "},
		{"/brokers/1/sing", 409, ""},
		{"/brokers/3/stop", 404, ""},
		{"/brokers/x/stop", 404, ""},
		{"/partitions/2/leader?broker=0", 200, "partition 2  broker 0  LEADER     EXPORTING    exported -1  "},
		{"/partitions/2/leader?broker=9", 409, ""},
		{"/partitions/9/leader?broker=0", 400, ""},
		{"/partitions/2/leader", 400, ""},
	} {
		t.Run(test.path, func(t *testing.T) {
			if got := do(http.MethodPost, test.path); got.Code != test.status {
				t.Errorf("POST: %d %s, want %d", got.Code, got.Body, test.status)
			}
			page := do(http.MethodGet, "/").Body.String()
			line := strings.ReplaceAll(test.state, "http://*", c.Broker(1).Address())
			if test.state != "" && !strings.Contains(page, line+"\n") {
				t.Errorf("no line %q in:\n%s", line, page)
			}
		})
	}
}
