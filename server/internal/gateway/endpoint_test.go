package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/server/internal/caller"
)

// gate is an Admit that does what refuse says, and remembers what it was asked, and how each ended.
type gate struct {
	refuse error
	asked  chan string
	ended  chan error
	ctxs   chan context.Context
}

func newGate(refuse error) *gate {
	return &gate{refuse, make(chan string, 100), make(chan error, 100), make(chan context.Context, 100)}
}

func (g *gate) admit(ctx context.Context, operation string) (context.Context, func(error), error) {
	g.asked <- operation
	g.ctxs <- ctx
	md, _ := metadata.FromIncomingContext(ctx)
	md = md.Copy()
	md.Set("x-request-id", "id-of-the-server")
	ctx = caller.With(metadata.NewIncomingContext(ctx, md), caller.Caller{Name: "token:ops", Role: caller.Operator})
	if g.refuse != nil {
		return ctx, nil, g.refuse
	}
	return ctx, func(err error) { g.ended <- err }, nil
}

// TestEverythingIsAdmitted proves that there is no endpoint that nobody guards: each is a call or asks Admit, by the name
// that the table of permissions has, and the end of each is told once.
func TestEverythingIsAdmitted(t *testing.T) {
	operations := map[string]string{
		"": "GET /", "/health": "GET /health", "/health/liveness": "GET /health", "/health/readiness": "GET /health",
		"/health/startup": "GET /health", "/health/ping": "GET /health", "/info": "GET /info", "/prometheus": "GET /prometheus",
		"/openapi": "GET /openapi", "/openapi/ui": "GET /openapi", "/loggers": "GET /loggers", "/loggers/ROOT": "GET /loggers",
	}
	g := newGate(nil)
	service := &fake{}
	d := openDoor(t, service, Options{Admit: g.admit})
	for path, methods := range paths() {
		if isExporting(path) {
			send(t, methods[0], d.url+path, nil)
			if len(g.asked) > 0 {
				t.Errorf("%s is admitted twice: %s", path, <-g.asked)
			}
			continue
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := send(t, method, d.url+path, nil)
			if got.code != http.StatusOK || got.header.Get("X-Request-Id") != "id-of-the-server" {
				t.Errorf("%s %s answered %d with the id %q", method, path, got.code, got.header.Get("X-Request-Id"))
			}
			if operation := <-g.asked; operation != operations[path] {
				t.Errorf("%s %s is %q, want %q", method, path, operation, operations[path])
			}
			if err := <-g.ended; err != nil || len(g.asked) > 0 || len(g.ended) > 0 {
				t.Errorf("%s %s ended with %v; was it admitted more than once?", method, path, err)
			}
		}
	}
}

// TestNotAdmitted proves that who is not let in gets nothing of what there is.
func TestNotAdmitted(t *testing.T) {
	tests := []struct {
		code      codes.Code
		http      int
		challenge bool
	}{
		{codes.Unauthenticated, 401, true},
		{codes.PermissionDenied, 403, false},
		{codes.ResourceExhausted, 429, false},
		{codes.Unavailable, 503, false},
	}
	for _, test := range tests {
		g := newGate(status.Error(test.code, "not you"))
		called := make(chan struct{}, 100)
		d := openDoor(t, &fake{}, Options{
			Admit: g.admit, Info: func() Info { called <- struct{}{}; return Info{} },
			Health: func(context.Context) Health { called <- struct{}{}; return Health{} },
		})
		for path := range paths() {
			if isExporting(path) {
				continue
			}
			got := send(t, http.MethodGet, d.url+path, nil, "Accept", mediaActuatorV3)
			body := decode(t, got.body)
			if got.code != test.http || body["status"] != float64(test.http) || body["message"] != "not you" || len(body) != 5 {
				t.Errorf("GET %s, %s: answer is %d %s", path, test.code, got.code, got.body)
			}
			if id := got.header.Get("X-Request-Id"); id != "id-of-the-server" {
				t.Errorf("GET %s, %s: the request id is %q", path, test.code, id)
			}
			if challenge := got.header.Get("Www-Authenticate"); (challenge != "") != test.challenge {
				t.Errorf("GET %s, %s: WWW-Authenticate is %q", path, test.code, challenge)
			}
		}
		if len(called) > 0 {
			t.Errorf("%s: %d were served all the same", test.code, len(called))
		}
	}
}

// TestChallenge proves what a client that is not authenticated is told, at every kind of endpoint.
func TestChallenge(t *testing.T) {
	const plain, invalid = `Bearer realm="exportgate"`, `Bearer realm="exportgate", error="invalid_token"`
	unauthenticated := status.Error(codes.Unauthenticated, "who?")
	d := openDoor(t, &fake{answer: func(context.Context) error { return unauthenticated }}, Options{
		Admit: newGate(unauthenticated).admit,
	})
	for path, methods := range paths() {
		for header, want := range map[string]string{"": plain, "Bearer x": invalid, "bearer x": invalid, "Basic x": plain} {
			var headers []string
			if header != "" {
				headers = []string{"Authorization", header}
			}
			got := send(t, methods[0], d.url+path, nil, headers...)
			if got.code != http.StatusUnauthorized || got.header.Get("Www-Authenticate") != want {
				t.Errorf("%s with %q: %d %q, want 401 %q", path, header, got.code, got.header.Get("Www-Authenticate"), want)
			}
		}
	}
}

// TestStrangeCredentials proves that credentials of which it is not clear what they are are refused before anybody sees
// them, are counted, and are not repeated.
func TestStrangeCredentials(t *testing.T) {
	g, service, refused := newGate(nil), &fake{}, refusals{make(chan string, 10)}
	d := openDoor(t, service, Options{Admit: g.admit, Refused: refused.add})
	for name, headers := range map[string][]string{
		"two":           {"Authorization", "Bearer secret", "Authorization", "Bearer secret"},
		"none":          {"Authorization", ""},
		"not printable": {"Authorization", "Bearer secr\u00e9t"},
	} {
		for path, methods := range paths() {
			if got := send(t, methods[0], d.url+path, nil, headers...); got.code != http.StatusBadRequest ||
				strings.Contains(got.body, "secr") {
				t.Errorf("%s: %s answered %d %s", name, path, got.code, got.body)
			}
			if told := refused.last(); !strings.HasSuffix(told, " InvalidArgument authorization") {
				t.Errorf("%s: of %s was told %q", name, path, told)
			}
		}
	}
	if len(g.asked) > 0 || len(service.requests()) > 0 {
		t.Error("somebody saw them")
	}
}

// TestWhatAdmitSees proves that it sees of a request what it would see of a call.
func TestWhatAdmitSees(t *testing.T) {
	g := newGate(nil)
	d := openDoor(t, &fake{}, Options{Admit: g.admit})
	send(t, http.MethodGet, d.url+"/info", nil, "Authorization", "Bearer abc", "User-Agent", "curl/8", "Traceparent", "00-1-2-01",
		"X-Forwarded-For", "10.0.0.1", "Grpc-Metadata-Authorization", "Bearer stolen", "X-Forwarded-Client-Cert", "evil")
	ctx := <-g.ctxs
	md, _ := metadata.FromIncomingContext(ctx)
	want := metadata.MD{"authorization": {"Bearer abc"}, "user-agent": {"curl/8"}, "traceparent": {"00-1-2-01"}}
	if diff := cmp.Diff(want, md); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(peerIn(ctx), "127.0.0.1:") {
		t.Errorf("the peer is %q", peerIn(ctx))
	}
	if _, ok := ctx.Deadline(); !ok {
		t.Error("it may take for ever")
	}
}

func TestPeerOverTLS(t *testing.T) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://gate/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.TLS = &tls.ConnectionState{ServerName: "gate"}
	p, _ := peer.FromContext(withPeer(t.Context(), r))
	if info, ok := p.AuthInfo.(credentials.TLSInfo); !ok || info.State.ServerName != "gate" {
		t.Errorf("the peer has %v, want the state of TLS", p.AuthInfo)
	}
	r.TLS = nil
	if p, _ := peer.FromContext(withPeer(t.Context(), r)); p.AuthInfo != nil {
		t.Errorf("without TLS the peer has %v", p.AuthInfo)
	}
}

// TestPanicsEnd proves that what was admitted ends, whatever comes between.
func TestPanicsEnd(t *testing.T) {
	g := newGate(nil)
	d := openDoor(t, &fake{}, Options{Admit: g.admit, Info: func() Info { panic("a bug") }})
	send(t, http.MethodGet, d.url+"/info", nil)
	if err := <-g.ended; status.Code(err) != codes.Internal || len(g.ended) > 0 {
		t.Errorf("it ended with %v, and %d times more", err, len(g.ended))
	}
}

// TestExposure proves that what is not exposed is not there.
func TestExposure(t *testing.T) {
	tests := []struct {
		include, exclude []string
		want             []string
	}{
		{nil, nil, EndpointIDs()},
		{[]string{"*"}, nil, EndpointIDs()},
		{[]string{"health", "info"}, nil, []string{"health", "info"}},
		{[]string{"*"}, []string{"exporting", "loggers"}, []string{"health", "info", "openapi", "prometheus"}},
		{[]string{"health"}, []string{"health"}, nil},
		{[]string{"openapi", "exporting"}, []string{"*"}, nil},
		{nil, []string{"prometheus"}, []string{"exporting", "health", "info", "loggers", "openapi"}},
	}
	for _, test := range tests {
		d := openDoor(t, &fake{}, Options{BasePath: "/actuator", Exposure: Exposure{test.include, test.exclude}})
		links, _ := decode(t, send(t, http.MethodGet, d.url+"/actuator", nil).body)["_links"].(map[string]any)
		for path, methods := range paths() {
			id, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
			want := http.StatusNotFound
			if id == "" || slices.Contains(test.want, id) {
				want = http.StatusOK
			}
			if got := send(t, methods[0], d.url+"/actuator"+path, nil); got.code != want {
				t.Errorf("include %v, exclude %v: %s answered %d, want %d", test.include, test.exclude, path, got.code, want)
			}
			if _, linked := links[id]; id != "" && linked != (want == http.StatusOK) {
				t.Errorf("include %v, exclude %v: %s is linked: %t", test.include, test.exclude, id, linked)
			}
		}
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	for key, o := range map[string]Options{
		"exposure.include": {Exposure: Exposure{Include: []string{"env"}}},
		"exposure.exclude": {Exposure: Exposure{Exclude: []string{"Health"}}},
		"show-details":     {Details: "sometimes"},
		"allowed-hosts":    {Hosts: []string{"http://gate"}},
		"base path":        {BasePath: "actuator"},
		"response":         {Response: "loud"},
	} {
		o.Conn, o.Draining, o.Timeout, o.Logger = dial(t, &fake{}, nil), t.Context(), 1, discard()
		o.Info, o.Health, o.Metrics = func() Info { return Info{} }, func(context.Context) Health { return Health{} }, http.NotFoundHandler()
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v, want an error that names it", key, err)
		}
		o.Timeout = 0
		if _, err := New(o); err == nil {
			t.Error("a door without a timeout was made")
		}
	}
	if _, err := New(Options{}); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("a door of nothing: %v", err)
	}
}
