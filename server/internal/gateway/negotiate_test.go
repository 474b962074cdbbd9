package gateway

import (
	"net/http"
	"testing"
)

func TestNegotiate(t *testing.T) {
	const v2, v3 = mediaActuatorV2, mediaActuatorV3
	tests := []struct {
		accept []string
		want   string
	}{
		{nil, mediaJSON},
		{[]string{""}, mediaJSON},
		{[]string{"*/*"}, mediaJSON},
		{[]string{"application/*"}, mediaJSON},
		{[]string{"text/*, application*, */json, *"}, mediaJSON},
		{[]string{"application/json"}, mediaJSON},
		{[]string{v3}, v3},
		{[]string{v2}, v2},
		{[]string{"Application/VND.Spring-Boot.Actuator.V3+JSON"}, v3},
		{[]string{v3 + ";charset=utf-8"}, v3},
		{[]string{v3 + ", " + v2 + ", application/json"}, v3},
		{[]string{"application/json, " + v3}, mediaJSON},
		{[]string{"text/html, " + v3 + ";q=0.9, */*;q=0.8"}, v3},
		{[]string{v3 + ";q=0.1, application/json;q=0.2"}, mediaJSON},
		{[]string{v3 + ";q=0.2, */*;q=0.1"}, v3},
		{[]string{"application/json;q=0.5", v3}, v3},
		{[]string{v3 + ";q=0"}, mediaJSON},
		{[]string{v3 + ";q=7"}, mediaJSON},
		{[]string{v3 + ";q=NaN"}, mediaJSON},
		{[]string{v3 + ";q=x"}, mediaJSON},
		{[]string{"text/plain"}, mediaJSON},
		{[]string{"application/vnd.spring-boot.actuator.v1+json"}, mediaJSON},
		{[]string{",;,/,=, " + v3}, v3},
	}
	for _, test := range tests {
		if got := negotiate(test.accept); got != test.want {
			t.Errorf("%q gets %s, want %s", test.accept, got, test.want)
		}
	}
}

func TestNegotiateStream(t *testing.T) {
	for accept, want := range map[string]format{
		"": lines{}, "*/*": lines{}, "application/*": lines{}, mediaLines: lines{}, mediaJSON: lines{}, "text/html": lines{},
		mediaEvents: events{}, "TEXT/Event-Stream; charset=utf-8": events{}, "text/*": events{},
		"text/html, text/event-stream;q=0.1":                 events{},
		"text/event-stream;q=0.1, */*":                       lines{},
		"text/event-stream, */*;q=0.1":                       events{},
		"text/event-stream;q=0":                              lines{},
		"application/json, text/event-stream":                lines{},
		"application/json;q=0.9, text/event-stream":          events{},
		mediaActuatorV3 + ", text/event-stream;q=0.9":        lines{},
		"application/x-ndjson;q=0.5, text/event-stream;q=.6": events{},
	} {
		if got := negotiateStream([]string{accept}); got != want {
			t.Errorf("%q gets %s, want %s", accept, got.media(), want.media())
		}
	}
}

// TestMediaTypes proves that every answer with a body but a stream, a page and metrics has the negotiated type, and that nothing is ever 406.
func TestMediaTypes(t *testing.T) {
	d := openDoor(t, &fake{}, Options{})
	targets := paths()
	for _, path := range []string{pathWatch, "/prometheus", "/openapi", "/openapi/ui"} {
		delete(targets, path)
	}
	targets["/nothing"], targets["/exporting/nothing"] = []string{http.MethodGet}, []string{http.MethodPost}
	for path, methods := range targets {
		method := methods[0]
		for accept, want := range map[string]string{mediaActuatorV3: mediaActuatorV3, "text/html": mediaJSON} {
			got := send(t, method, d.url+path, nil, "Accept", accept)
			if got.header.Get("Content-Type") != want || got.code == http.StatusNotAcceptable {
				t.Errorf("%s %s as %s: answer %d has the type %q, want %s", method, path, accept, got.code,
					got.header.Get("Content-Type"), want)
			}
		}
	}
}
