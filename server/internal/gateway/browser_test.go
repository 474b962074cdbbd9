package gateway

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// ask sends a request that names a host.
func ask(t *testing.T, d *door, method, path, host string, headers ...string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, d.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return reply{response.StatusCode, response.Header, ""}
}

// refusals remembers what was turned away.
type refusals struct{ seen chan string }

func (f refusals) add(_ context.Context, operation string, err error) {
	cause := ""
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(interface{ GetMetadata() map[string]string }); ok {
			cause = info.GetMetadata()["cause"]
		}
	}
	f.seen <- operation + " " + status.Code(err).String() + " " + cause
}

func (f refusals) last() string {
	select {
	case seen := <-f.seen:
		return seen
	default:
		return ""
	}
}

// TestHosts proves by which names a door is known, and that nothing is done for who uses another.
func TestHosts(t *testing.T) {
	const loopback, open, listed = "loopback", "open", "listed"
	doors := map[string]Options{
		loopback: {Loopback: true, Hosts: []string{"Gate.Example.com", "10.1.2.3"}},
		open:     {},
		listed:   {Hosts: []string{"gate.example.com"}},
	}
	tests := []struct {
		host  string
		where string // the doors that take it
	}{
		{"localhost", "loopback open listed"},
		{"LocalHost:9600", "loopback open listed"},
		{"localhost.:9600", "loopback open listed"},
		{"app.localhost:9600", "loopback open listed"},
		{"127.0.0.1:9600", "loopback open listed"},
		{"127.8.8.8", "loopback open listed"},
		{"[::1]:9600", "loopback open listed"},
		{"[::1]", "loopback open listed"},
		{"[::ffff:127.0.0.1]:9600", "loopback open listed"},
		{"gate.example.com", "loopback open listed"},
		{"GATE.example.com.:443", "loopback open listed"},
		{"10.1.2.3:9600", "loopback open listed"},
		{"10.9.9.9:9600", "open listed"},
		{"0.0.0.0:9600", "open listed"},
		{"[2001:db8::1]:9600", "open listed"},
		{"evil.example", "open"},
		{"evil.example:9600", "open"},
		{"localhost.evil.example", "open"},
		{"localhost:9600.evil.example", "open"},
		{"127.0.0.1.evil.example", "open"},
		{"evillocalhost", "open"},
		{"x.gate.example.com", "open"},
		{"2130706433", "open"},
	}
	for name, options := range doors {
		service, refused := &fake{}, refusals{make(chan string, 10)}
		options.Refused = refused.add
		d := openDoor(t, service, options)
		for _, test := range tests {
			want := http.StatusMisdirectedRequest
			if strings.Contains(test.where, name) {
				want = http.StatusOK
			}
			for _, path := range []string{"/exporting/pause", "/exporting/resume"} {
				asked := len(service.requests())
				if got := ask(t, d, http.MethodPost, path, test.host); got.code != want {
					t.Errorf("%s: POST %s of %s answered %d, want %d", name, path, test.host, got.code, want)
				}
				if done := len(service.requests()) > asked; done != (want == http.StatusOK) {
					t.Errorf("%s: the service was asked for %s: %t", name, test.host, done)
				}
				seen, told := refused.last(), ""
				if want != http.StatusOK {
					told = map[string]string{
						"/exporting/pause": "/exportgate.v1.ExportingService/Pause", "/exporting/resume": "/exportgate.v1.ExportingService/Resume",
					}[path] + " PermissionDenied host"
				}
				if seen != told {
					t.Errorf("%s: POST %s of %s was told as %q, want %q", name, path, test.host, seen, told)
				}
			}
		}
	}
}

// TestForeignHostsLearnNothing proves that whatever a page asks for under a name of its own, there is only one answer.
func TestForeignHostsLearnNothing(t *testing.T) {
	refused := refusals{make(chan string, 10)}
	d := openDoor(t, &fake{}, Options{Loopback: true, Refused: refused.add})
	for _, test := range []struct{ method, path, want string }{
		{"GET", "/health", "GET /health PermissionDenied host"},
		{"HEAD", "/", "GET / PermissionDenied host"},
		{"POST", "/loggers/ROOT", "POST /loggers PermissionDenied host"},
		{"GET", "/loggers/zeebe", "GET /loggers PermissionDenied host"},
		{"OPTIONS", "/exporting/pause", "unknown PermissionDenied host"},
		{"BREW", "/exporting", "unknown PermissionDenied host"},
		{"GET", "/nothing", "unknown PermissionDenied host"},
	} {
		got := ask(t, d, test.method, test.path, "evil.example:9600")
		if got.code != http.StatusMisdirectedRequest {
			t.Errorf("%s %s answered %d, want 421", test.method, test.path, got.code)
		}
		if seen := refused.last(); seen != test.want {
			t.Errorf("%s %s was told as %q, want %q", test.method, test.path, seen, test.want)
		}
	}
	below := openDoor(t, &fake{}, Options{Loopback: true, Refused: refused.add, BasePath: "/actuator"})
	if ask(t, below, "GET", "/favicon.ico", "evil.example:9600"); refused.last() != "unknown PermissionDenied host" {
		t.Error("what is asked for outside the base path was told as what is at its root")
	}
	if got := send(t, http.MethodGet, d.url+"/exporting", nil, "Host", "ignored"); got.code != http.StatusOK {
		t.Errorf("a request by address answered %d", got.code)
	}
	for request, want := range map[string]int{
		"GET /health HTTP/1.0\r\n\r\n":                                              http.StatusOK, // a probe that names no host
		"GET /health HTTP/1.1\r\nHost: evil@localhost\r\n\r\n":                      http.StatusBadRequest,
		"GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n":        http.StatusMisdirectedRequest,
		"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n":     http.StatusBadRequest,
		"GET http://localhost/health HTTP/1.1\r\nHost: evil.example\r\n\r\n":        http.StatusOK, // as RFC 9112, 3.2.2 has it
		"GET /health HTTP/1.1\r\nX-Forwarded-Host: localhost\r\nHost: evil\r\n\r\n": http.StatusMisdirectedRequest,
	} {
		c := dialRaw(t, d)
		write(t, c, request)
		if got, _ := readAnswer(t, c); got.code != want {
			t.Errorf("%q got %d, want %d", request, got.code, want)
		}
	}
}

// TestOrigins proves that no page from elsewhere changes anything, wherever the door listens, and that what is no page is
// not hindered.
func TestOrigins(t *testing.T) {
	const here = "127.0.0.1:9600"
	tests := []struct {
		name           string
		headers        []string
		post, get      int // on a door that is not on loopback
		local, localIn int // the same on one that is
	}{
		{"no page", nil, 200, 200, 200, 200},
		{"typed in", []string{"Sec-Fetch-Site", "none"}, 200, 200, 200, 200},
		{"a page of this server", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://" + here}, 200, 200, 200, 200},
		{"an old browser's page of this server", []string{"Origin", "http://" + here}, 200, 200, 200, 200},
		{"another port of this machine", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:8080"}, 403, 200, 403, 200},
		{"another site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403, 200, 403, 403},
		{"another site's form in an old browser", []string{"Origin", "https://evil.example"}, 403, 200, 403, 403},
		{"a link on another site", []string{"Sec-Fetch-Site", "cross-site"}, 403, 200, 403, 200},
		{"a link on another site that is followed", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "document"}, 403, 200, 403, 200},
		{"an image on another site", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "image"}, 403, 200, 403, 403},
		{"a frame on another site", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "iframe"}, 403, 200, 403, 403},
		{"a fetch on another site", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "empty"}, 403, 200, 403, 403},
		{"an image on this machine", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Dest", "image"}, 403, 200, 403, 200},
		{"a page without origin", []string{"Sec-Fetch-Site", "cross-site", "Origin", "null"}, 403, 200, 403, 403},
		{"an old page without origin", []string{"Origin", "null"}, 403, 200, 403, 403},
		{"a lie", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://evil.example"}, 200, 200, 403, 403},
		{"nonsense", []string{"Origin", "http://[::"}, 403, 200, 403, 403},
		{"an unknown word", []string{"Sec-Fetch-Site", "friend"}, 403, 200, 403, 200},
	}
	for _, test := range tests {
		for _, local := range []bool{false, true} {
			service, refused := &fake{}, refusals{make(chan string, 10)}
			d := openDoor(t, service, Options{Loopback: local, Refused: refused.add})
			post, get := test.post, test.get
			if local {
				post, get = test.local, test.localIn
			}
			for _, each := range []struct {
				method, path, operation string
				want                    int
			}{
				{http.MethodPost, "/exporting/resume", "/exportgate.v1.ExportingService/Resume", post},
				{http.MethodGet, "/exporting", "/exportgate.v1.ExportingService/GetStatus", get},
			} {
				asked := len(service.requests())
				got := ask(t, d, each.method, each.path, here, test.headers...)
				if got.code != each.want {
					t.Errorf("%s, local: %t: %s answered %d, want %d", test.name, local, each.method, got.code, each.want)
				}
				told := ""
				if each.want == http.StatusForbidden {
					told = each.operation + " PermissionDenied cross-origin"
				}
				if seen := refused.last(); seen != told {
					t.Errorf("%s, local: %t: %s was told as %q, want %q", test.name, local, each.method, seen, told)
				}
				if done := len(service.requests()) > asked; done != (each.want == http.StatusOK) {
					t.Errorf("%s, local: %t: %s asked the service: %t", test.name, local, each.method, done)
				}
				for name := range got.header {
					if strings.HasPrefix(name, "Access-Control") {
						t.Errorf("%s: the answer has %s", test.name, name)
					}
				}
			}
		}
	}
}

// TestPreflight proves that no browser is told that a page from elsewhere may call.
func TestPreflight(t *testing.T) {
	for _, local := range []bool{false, true} {
		d := openDoor(t, &fake{}, Options{Loopback: local})
		got := send(t, http.MethodOptions, d.url+"/loggers/ROOT", nil, "Origin", "https://evil.example",
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
		for name := range got.header {
			if strings.HasPrefix(name, "Access-Control") {
				t.Errorf("the answer has %s: %s", name, got.header.Get(name))
			}
		}
	}
}

// TestSafetyHeaders proves that every answer has them, whatever it is.
func TestSafetyHeaders(t *testing.T) {
	want := map[string]string{
		"Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "",
		"Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	}
	d := openDoor(t, &fake{}, Options{Loopback: true})
	targets := paths()
	delete(targets, "/openapi/ui") // Its policy has one thing more.
	targets["/nothing"], targets["/exporting/nothing"] = []string{http.MethodGet}, []string{http.MethodPost}
	for path, methods := range targets {
		for _, headers := range [][]string{nil, {"Origin", "https://evil.example"}, {"Authorization", ""}} {
			got := send(t, methods[0], d.url+path, nil, headers...)
			for name, value := range want {
				if got.header.Get(name) != value {
					t.Errorf("%s %s with %v: %s is %q, want %q", methods[0], path, headers, name, got.header.Get(name), value)
				}
			}
		}
	}
}

func TestStrictTransport(t *testing.T) {
	for host, want := range map[string]string{
		"gate.example.com:9600": "max-age=31536000", "localhost:9600": "", "x.localhost": "", "127.0.0.1:9600": "", "[::1]": "",
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Host, r.TLS = host, &tls.ConnectionState{}
		if setCommonHeaders(w, r); w.Header().Get("Strict-Transport-Security") != want {
			t.Errorf("%s over TLS: got %q, want %q", host, w.Header().Get("Strict-Transport-Security"), want)
		}
	}
}

func TestStrangeHostsAreNoOption(t *testing.T) {
	for _, name := range []string{"", "http://gate", "a b", "gate/x", "gate:http", "*", "[::1"} {
		if _, err := newHosts(true, []string{name}); err == nil || !strings.Contains(err.Error(), "server.allowed-hosts") {
			t.Errorf("%q: %v, want an error that names the key", name, err)
		}
	}
}

// FuzzHostName proves that what is taken for a host is one, and stays what it is.
func FuzzHostName(f *testing.F) {
	for _, seed := range []string{"localhost:9600", "[::1]:9600", "[::1%25lo]", "a.b.", "1.2.3.4", "evil@localhost", "[", "]:1", ":1", "::1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, hostPort string) {
		name := hostName(hostPort)
		if strings.ContainsAny(name, " /@?#\\%'\"<>[]\r\n\x00") || name != strings.ToLower(name) {
			t.Errorf("%q is taken for the host %q", hostPort, name)
		}
		if again := hostName(name); name != "" && !strings.HasSuffix(name, ".") && again != name && !strings.Contains(name, "::ffff:") {
			t.Errorf("%q is taken for %q, which is taken for %q", hostPort, name, again)
		}
		door := hosts{loopback: true}
		if door.known(hostPort) && !isLoopback(name) {
			t.Errorf("a door on loopback is known as %q", hostPort)
		}
	})
}

// TestMisunderstoodChangesAreTold proves that what was to change something and could not be understood is not forgotten, while
// whoever mistypes a read leaves no trace.
func TestMisunderstoodChangesAreTold(t *testing.T) {
	refused := refusals{make(chan string, 10)}
	d := openDoor(t, &fake{}, Options{Refused: refused.add})
	for _, test := range []struct{ method, target, body, want string }{
		{"POST", "/exporting/pause?soff=true", "", exportgatev1.ExportingService_Pause_FullMethodName},
		{"POST", "/exporting/resume?hold=", "", exportgatev1.ExportingService_Resume_FullMethodName},
		{"POST", "/exporting/pause", "soft=true", exportgatev1.ExportingService_Pause_FullMethodName},
		{"GET", "/exporting?x=1", "", ""},
		{"GET", "/exporting/watch?x=1", "", ""},
	} {
		got := send(t, test.method, d.url+test.target, strings.NewReader(test.body))
		if got.code != http.StatusBadRequest {
			t.Errorf("%s %s answered %d, want 400", test.method, test.target, got.code)
		}
		want := ""
		if test.want != "" {
			want = test.want + " InvalidArgument "
		}
		if seen := refused.last(); seen != want {
			t.Errorf("%s %s was told as %q, want %q", test.method, test.target, seen, want)
		}
	}
}
