package browser_test

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/exportgate/exportgate/server/servertest"
)

// careless answers every page with what it would like to read.
type careless struct {
	posts, asked atomic.Int32
}

// ServeHTTP implements [http.Handler].
func (c *careless) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		c.posts.Add(1)
	case http.MethodOptions:
		c.asked.Add(1)
	}
	answer := map[string][2]string{
		"image":       {"image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>`},
		"script":      {"text/javascript", "export const secret = 1"},
		"style":       {"text/css", "a {}"},
		"eventsource": {"text/event-stream", "event: status\ndata: secret\n\n"},
	}
	kind := r.Header.Get("Sec-Fetch-Dest")
	switch {
	case r.Header.Get("Accept") == "text/event-stream":
		kind = "eventsource"
	case r.Header.Get("Upgrade") == "websocket":
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		w.Header().Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		return
	}
	found, ok := answer[kind]
	if !ok {
		found = [2]string{"text/html", "<!doctype html>secret"}
	}
	w.Header().Set("Content-Type", found[0])
	_, _ = fmt.Fprint(w, found[1])
}

// Attacks on a server that takes no care get what they want, or they would prove nothing: what can be read is read by a page of
// its own, and what can be sent comes from a page of another.
func TestTheAttacksAreSharp(t *testing.T) {
	t.Parallel()
	browser, server := open(t), new(careless)
	victim := httptest.NewServer(server)
	t.Cleanup(victim.Close)
	own := browser.another(t)
	own.do(chromedp.Navigate(victim.URL))
	evaluate[int](own, "self.brief = 30000") // Here everything comes.
	for _, a := range append(gets, window) {
		if read := own.attack(a, victim.URL+"/secret"); read == "" {
			t.Errorf("%s reads nothing", a.name)
		}
	}
	other := browser.another(t)
	other.do(chromedp.Navigate(site(t).URL))
	var posted, asked int32
	for _, a := range posts {
		other.attack(a, victim.URL+"/change")
		if a.asksFirst {
			asked++
		} else {
			posted++
		}
		servertest.Await(t, a.name+" comes", func() bool { return server.posts.Load() == posted && server.asked.Load() == asked })
	}
}
