package zeebe

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/gen/gateway_protocol"
	"github.com/exportgate/exportgate/server/internal/certs/certstest"
)

// clientSecret has what is written otherwise in a form.
const clientSecret = "s3/cr+et"

// fakeProvider gives tokens: token-1, token-2, ...
type fakeProvider struct {
	server *httptest.Server

	mu     sync.Mutex
	given  int
	forms  []url.Values // of the requests that were answered with a token
	life   int          // seconds, of a token; 0: not told
	answer http.HandlerFunc
}

func newFakeProvider(t *testing.T) *fakeProvider {
	t.Helper()
	p := &fakeProvider{life: 3600}
	p.server = httptest.NewUnstartedServer(p)
	p.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	p.server.Start()
	t.Cleanup(p.server.Close)
	return p
}

func (p *fakeProvider) url() string { return p.server.URL + "/oauth/token" }

// answers makes it answer otherwise; with a token again where nil.
func (p *fakeProvider) answers(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *fakeProvider) gave() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.given
}

func (p *fakeProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	answer := p.answer
	p.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	id, secret, ok := r.BasicAuth()
	if err := r.ParseForm(); err != nil || r.URL.Path != "/oauth/token" || r.Method != http.MethodPost || !ok ||
		id != "gate" || secret != url.QueryEscape(clientSecret) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.given++
	p.forms = append(p.forms, r.PostForm)
	life := ""
	if p.life > 0 {
		life = fmt.Sprintf(`,"expires_in":%d`, p.life)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"bearer"%s}`, p.given, life)
}

// authorizedClient asks a gateway, on this machine, with the provider's tokens.
func authorizedClient(t *testing.T, g *fakeGateway, p *fakeProvider, change func(*Options)) *Client {
	t.Helper()
	return gatewayClientWith(t, g, newFakeBroker(t).old("EXPORTING"), func(o *Options) {
		o.OAuth = OAuth{
			TokenURL: p.url(), ClientID: "gate", ClientSecret: clientSecret, Audience: "zeebe-api", Scope: "a b",
		}
		if change != nil {
			change(o)
		}
	})
}

// authorizations are what the gateway was called with.
func (g *fakeGateway) authorizations() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []string
	for _, md := range g.asked {
		all = append(all, strings.Join(md.Get("authorization"), "|"))
	}
	g.asked = nil
	return all
}

func oneBroker() *gateway_protocol.TopologyResponse {
	return &gateway_protocol.TopologyResponse{Brokers: []*gateway_protocol.BrokerInfo{told(0, "127.0.0.1", "8.9.3")}}
}

func TestTokens(t *testing.T) {
	for _, test := range []struct {
		name  string
		life  int // of tokens, in seconds
		calls []string
	}{
		{"kept while they are good", 3600, []string{"Bearer token-1", "Bearer token-1", "Bearer token-1"}},
		{"replaced before they end", int(refreshBefore.Seconds()), []string{"Bearer token-1", "Bearer token-2", "Bearer token-3"}},
		{"kept where nobody says when they end", 0, []string{"Bearer token-1", "Bearer token-1", "Bearer token-1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, g := newFakeProvider(t), newFakeGateway(t, oneBroker())
			p.life = test.life
			c := authorizedClient(t, g, p, nil)
			for range test.calls {
				topologyOf(t, c)
			}
			if diff := cmp.Diff(test.calls, g.authorizations()); diff != "" {
				t.Errorf("authorizations differ (-want +got):\n%s", diff)
			}
			want := url.Values{"grant_type": {"client_credentials"}, "audience": {"zeebe-api"}, "scope": {"a b"}}
			if diff := cmp.Diff(want, p.forms[0]); diff != "" {
				t.Errorf("what the provider is asked differs (-want +got):\n%s", diff)
			}
		})
	}
}

// A token that the gateway does not take any more is not shown again.
func TestTokenIsRevoked(t *testing.T) {
	p, g := newFakeProvider(t), newFakeGateway(t, oneBroker())
	c := authorizedClient(t, g, p, nil)
	topologyOf(t, c)
	g.tells(nil, status.Error(codes.Unauthenticated, "revoked"))
	topologyOf(t, c) // of what the gateway told last
	g.tells(oneBroker(), nil)
	topologyOf(t, c)
	if diff := cmp.Diff([]string{"Bearer token-1", "Bearer token-1", "Bearer token-2"}, g.authorizations()); diff != "" {
		t.Errorf("authorizations differ (-want +got):\n%s", diff)
	}
}

// A token that is to be replaced still serves where the provider is down, and not once it has ended.
func TestTokenOutlivesItsProvider(t *testing.T) {
	p, g := newFakeProvider(t), newFakeGateway(t, oneBroker())
	p.life = 20 // less than refreshBefore
	c := authorizedClient(t, g, p, nil)
	topologyOf(t, c)
	p.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	topologyOf(t, c)
	finder, ok := c.finder.(*gatewayFinder)
	if !ok {
		t.Fatal("there is no gateway")
	}
	finder.tokens.token.Expiry = time.Now().Add(time.Second)
	if _, err := finder.ask(t.Context()); err == nil {
		t.Error("a token that ends while it is on its way was sent")
	}
	if diff := cmp.Diff([]string{"Bearer token-1", "Bearer token-1"}, g.authorizations()); diff != "" {
		t.Errorf("authorizations differ (-want +got):\n%s", diff)
	}
}

// Where there is no token there is no topology, and the error says where the token should come from, and no secret.
func TestNoToken(t *testing.T) {
	said := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	elsewhere := newFakeProvider(t)
	for _, test := range []struct {
		name    string
		answer  http.HandlerFunc
		says    string
		outcome string
	}{
		{"refused", said(http.StatusUnauthorized, "application/json",
			`{"error":"invalid_client","error_description":"there is no client with the secret `+clientSecret+`, `+
				url.QueryEscape(clientSecret)+`"}`), "401: invalid_client there is no client with the secret ***", outcomeRefused},
		{"refused in HTML", said(http.StatusForbidden, "text/html", html+clientSecret), "it answered 403", outcomeRefused},
		{"a page", said(http.StatusOK, "text/html", html), "gives no token", outcomeBadAnswer},
		{"garbage", said(http.StatusOK, "application/json", `{"access_token":`+clientSecret), "gives no token", outcomeBadAnswer},
		{"another kind of token", said(http.StatusOK, "application/json", `{"access_token":"a","token_type":"mac"}`), `"MAC"`, outcomeBadAnswer},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				_, _ = w.Write([]byte(strings.Repeat(" ", 1<<16)))
			}
		}, "gives no token", outcomeBadAnswer},
		{"moved", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.url(), http.StatusTemporaryRedirect)
		}, "it answered 307", outcomeRefused},
		{"hangs", func(_ http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm() // Only who has read it all notices that nobody waits any more.
			<-r.Context().Done()
		}, "no answer within 500ms", outcomeTimeout},
		{"dies", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}, "closed the connection", outcomeUnreachable},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, g := newFakeProvider(t), newFakeGateway(t, oneBroker())
			p.answers(test.answer)
			var outcomes []string
			c := authorizedClient(t, g, p, func(o *Options) {
				o.RequestTimeout = time.Second
				o.Observe = func(operation, outcome string, _ time.Duration) { outcomes = append(outcomes, operation+" "+outcome) }
			})
			_, err := c.Topology(t.Context())
			wantError(t, err, g.address, p.url(), "zeebe.oauth.token-url", test.says)
			if err != nil && (strings.Contains(err.Error(), clientSecret) || strings.Contains(err.Error(), url.QueryEscape(clientSecret))) {
				t.Errorf("the error %q tells the secret", err)
			}
			if len(g.authorizations()) > 0 {
				t.Error("the gateway was called")
			}
			if diff := cmp.Diff([]string{"token " + test.outcome}, outcomes); diff != "" {
				t.Errorf("outcomes differ (-want +got):\n%s", diff)
			}
		})
	}
	if elsewhere.gave() > 0 {
		t.Error("the secret was sent to where a redirect leads")
	}
}

// The token URL's certificate is checked, with authorities of its own.
func TestTokenURLOverTLS(t *testing.T) {
	ca := certstest.NewAuthority(t, "ca")
	p, g := newFakeProvider(t), newFakeGateway(t, oneBroker())
	p.server.Close()
	p.server = httptest.NewUnstartedServer(p)
	p.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	p.server.TLS = serverTLS(ca.Issue(t, certstest.Leaf{IP: []string{"127.0.0.1"}}))
	p.server.StartTLS()
	t.Cleanup(p.server.Close)
	topologyOf(t, authorizedClient(t, g, p, func(o *Options) { o.OAuth.TLS = source(t, ca, nil) }))
	_, err := authorizedClient(t, g, p, func(o *Options) { o.TLS = source(t, ca, nil) }).Topology(t.Context())
	wantError(t, err, p.url(), "certificate is not trusted")
}

// One token is fetched for all who wait for it, and nobody waits longer than he can.
func TestTokenIsSharedAndBounded(t *testing.T) {
	p, g := newFakeProvider(t), newFakeGateway(t, oneBroker())
	c := authorizedClient(t, g, p, nil)
	var asking sync.WaitGroup
	for range 10 {
		asking.Go(func() {
			if _, err := c.Topology(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	if n := p.gave(); n != 1 {
		t.Errorf("%d tokens were fetched", n)
	}
	finder, ok := c.finder.(*gatewayFinder)
	if !ok {
		t.Fatal("there is no gateway")
	}
	finder.tokens.slot <- struct{}{}
	defer func() { <-finder.tokens.slot }()
	ctx, cancel := contextThatEnds(t)
	defer cancel()
	_, err := finder.ask(ctx)
	wantError(t, err, p.url(), "another request")
}
