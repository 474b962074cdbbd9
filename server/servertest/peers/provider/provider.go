// Package provider is an OpenID provider that runs in the test: zitadel's certified library with its discovery, its keys and
// its token endpoint, over a store in memory.
//
// It must not know who takes its tokens.
package provider

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Provider serves on a loopback port until the test ends. Its methods may be called by many goroutines.
type Provider struct {
	address string
	store   *store

	mu      sync.Mutex
	server  *http.Server // nil while it is away
	handler http.Handler
	done    chan struct{}
	asked   map[string]int // requests, by path
	instead http.Handler   // answers in its place; nil where it answers itself
}

// Claims are what a token says.
type Claims struct {
	Subject  string
	Audience []string
	// Lifetime may be negative: the token is then expired already.
	Lifetime time.Duration
	// Extra is what else is in it, such as groups.
	Extra map[string]any
}

// Start starts a provider.
func Start(t *testing.T) *Provider {
	t.Helper()
	p := New(t)
	p.Return(t)
	return p
}

// New returns a provider that is away until [Provider.Return]: its address is known and nobody listens there.
func New(t *testing.T) *Provider {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{address: l.Addr().String(), store: newStore(), asked: map[string]int{}}
	if err := errors.Join(l.Close(), p.store.rotate()); err != nil {
		t.Fatal(err)
	}
	provider, err := op.NewProvider(&op.Config{SupportedScopes: []string{"openid"}}, p.store, op.StaticIssuer(p.Issuer()),
		op.WithAllowInsecure(), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	p.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked[r.URL.Path]++
		answers := p.instead
		p.mu.Unlock()
		if answers == nil {
			answers = provider
		}
		answers.ServeHTTP(w, r)
	})
	t.Cleanup(func() { p.Leave(t) })
	return p
}

// Issuer is its URL, as tokens have it.
func (p *Provider) Issuer() string { return "http://" + p.address }

// Asked is how many requests it had for a path.
func (p *Provider) Asked(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

// Return makes it answer, if it does not.
func (p *Provider) Return(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		return
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	server, done := &http.Server{Handler: p.handler, ReadHeaderTimeout: time.Minute}, make(chan struct{})
	p.server, p.done = server, done
	go func() {
		defer close(done)
		_ = server.Serve(l) // It ends when it is closed.
	}()
}

// Leave makes it refuse connections, if it does not.
func (p *Provider) Leave(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return
	}
	if err := p.server.Close(); err != nil {
		t.Error(err)
	}
	<-p.done
	p.server = nil
}

// Misbehave lets something else answer whatever it is asked; nil lets it answer again.
func (p *Provider) Misbehave(instead http.Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.instead = instead
}

// Rotate signs with a new key from now on. The old one is forgotten: what it has signed is not valid any more.
func (p *Provider) Rotate(t *testing.T) {
	t.Helper()
	if err := p.store.rotate(); err != nil {
		t.Fatal(err)
	}
}

// Key is the key that signs at the moment.
func (p *Provider) Key() *rsa.PrivateKey {
	key, _ := p.store.current()
	return key
}

// KeyID is the id of that key.
func (p *Provider) KeyID() string {
	_, id := p.store.current()
	return id
}

// Token fetches a token as a service does, with client credentials. The provider has to be there.
func (p *Provider) Token(t *testing.T, claims Claims) string {
	t.Helper()
	id, secret := rand.Text(), rand.Text()
	p.store.add(id, secret, claims)
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"openid"}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.Issuer()+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(id, secret)
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.AccessToken == "" {
		t.Fatalf("the provider answered %s: %s (%v)", response.Status, body, err)
	}
	return answer.AccessToken
}

// Sign makes a token that the provider would not give out: with another algorithm or key, or with other claims.
func Sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, keyID string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// errUnused is what the parts of the store answer that client credentials do not need.
var errUnused = errors.New("not in this provider")

func newKey() (*rsa.PrivateKey, string, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, "", fmt.Errorf("make a key: %w", err)
	}
	return key, rand.Text(), nil
}

// Health implements [op.Storage].
func (s *store) Health(context.Context) error { return nil }
