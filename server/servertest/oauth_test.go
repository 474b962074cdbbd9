package servertest_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/exportgate/exportgate/server/internal/certs/certstest"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// The client that the gateway's tokens are given to.
const (
	oauthClient = "exportgate"
	oauthSecret = "s3cr3t & more"
)

// noToken is what the server says where it has none.
const noToken = "there is no token from"

// provider gives tokens for the gateway, or fails to, as it is told.
type provider struct {
	*httptest.Server

	mu    sync.Mutex
	mode  string // empty where it does what it should
	given int
	taken int // the first token that is good
}

func newProvider(t *testing.T, ca *certstest.Authority) *provider {
	t.Helper()
	p := &provider{}
	p.Server = httptest.NewUnstartedServer(p)
	p.TLS = end(ca.Issue(t, certstest.Leaf{IP: []string{"127.0.0.1"}}))
	p.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(t.Output(), nil), slog.LevelWarn)
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

// set has it behave in a mode from now on.
func (p *provider) set(mode string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = mode
}

// revoke makes every token that was given of no use.
func (p *provider) revoke() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken = p.given + 1
}

// takes is what the gateway asks.
func (p *provider) takes(token string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	var n int
	_, err := fmt.Sscanf(token, "token-%d", &n)
	return err == nil && n >= p.taken && n <= p.given
}

// ServeHTTP gives a token.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	mode := p.mode
	p.mu.Unlock()
	_ = r.ParseForm() // Only what was read is known to have been given up.
	id, secret, _ := r.BasicAuth()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case mode == "away":
		panic(http.ErrAbortHandler)
	case mode == "slow":
		<-r.Context().Done()
	case mode == "page":
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html>log in with " + r.FormValue("client_secret") + "</html>"))
	case mode == "refuses", r.FormValue("grant_type") != "client_credentials", id != oauthClient && r.FormValue("client_id") != oauthClient,
		!strings.Contains(secret+r.FormValue("client_secret"), "s3cr3t"), r.FormValue("audience") != "zeebe-api":
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"invalid_client","error_description":"who is ` + oauthClient + ` with ` + oauthSecret + `?"}`))
	default:
		p.mu.Lock()
		p.given++
		n := p.given
		p.mu.Unlock()
		_, _ = fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":300}`, n)
	}
}

// A gateway that asks for tokens tells the brokers once there is one; where there is none any more, the brokers that were told
// last are still driven. Whatever the provider does, its secret is in no answer and no log.
func TestGatewayWithTokens(t *testing.T) {
	t.Parallel()
	for mode, why := range map[string]string{
		"away": "without an answer", "slow": "no answer within", "page": "cannot parse json", "refuses": "invalid_client",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			try := try{T: t, version: "8.9", door: servertest.GRPC}
			ca := certstest.NewAuthority(t, "ca")
			s, p := newSecure(t, ca), newProvider(t, ca)
			cluster := s.options(try.version)
			cluster.GatewayToken = p.takes
			secret := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(secret, []byte(oauthSecret+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			harness := startCluster(t, cluster)
			settings := servertest.Settings(t, harness.Cluster, servertest.Options{Discovery: servertest.ByGateway, Settings: s.settings(map[string]string{
				"zeebe.oauth.token-url": p.URL + "/token", "zeebe.oauth.client-id": oauthClient, "zeebe.oauth.client-secret-file": secret,
				"zeebe.oauth.audience": "zeebe-api", "zeebe.oauth.ca": s.trust, "log.level": "debug",
			})})
			p.set(mode)
			server := start(t, settings)
			route := server.route(t, try.door)
			o := route.Pause(t.Context(), hard())
			try.expect(o, codes.Unavailable, incomplete)
			if !strings.Contains(o.Message, p.URL+"/token") || !strings.Contains(o.Message, why) {
				t.Errorf("the failure does not say %q of %s: %v", why, p.URL, o)
			}
			try.expectUntouched(harness)

			p.set("")
			try.expectSuccess(harness, try.untilAvailable(route, hard()), embedded.Paused)
			before := strings.Count(server.said.String(), noToken)
			p.set(mode)
			p.revoke()
			servertest.Await(t, "there is no token any more", func() bool { return strings.Count(server.said.String(), noToken) > before })
			try.expectSuccess(harness, route.Resume(t.Context(), resume()), embedded.Exporting)
			p.set("")
			try.expectSuccess(harness, try.untilAvailable(route, hard()), embedded.Paused)
			server.end()
			for _, secret := range []string{oauthSecret, "s3cr3t", "token-1"} {
				if strings.Contains(server.said.String()+o.Message, secret) {
					t.Errorf("%q was told", secret)
				}
			}
		})
	}
}
