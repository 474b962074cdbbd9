package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const (
	issuerURL = "https://issuer.example.org/realms/ops"
	audience  = "exportgate"
)

// signer is a key of an issuer.
type signer struct {
	id        string
	algorithm jose.SignatureAlgorithm
	key       crypto.Signer
}

func newSigner(tb testing.TB, id string, algorithm jose.SignatureAlgorithm) *signer {
	tb.Helper()
	var key crypto.Signer
	var err error
	switch string(algorithm[:2]) {
	case "RS", "PS":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES":
		curve := map[jose.SignatureAlgorithm]elliptic.Curve{jose.ES256: elliptic.P256(), jose.ES384: elliptic.P384(), jose.ES512: elliptic.P521()}
		key, err = ecdsa.GenerateKey(curve[algorithm], rand.Reader)
	default:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return &signer{id, algorithm, key}
}

func (s *signer) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.key.Public(), KeyID: s.id, Algorithm: string(s.algorithm), Use: "sig"}
}

// sign makes a token that says this.
func (s *signer) sign(tb testing.TB, claims map[string]any) string {
	tb.Helper()
	return signWith(tb, jose.SigningKey{Algorithm: s.algorithm, Key: jose.JSONWebKey{Key: s.key, KeyID: s.id}}, claims)
}

func signWith(tb testing.TB, key jose.SigningKey, claims map[string]any) string {
	tb.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		tb.Fatal(err)
	}
	with, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		tb.Fatal(err)
	}
	signed, err := with.Sign(payload)
	if err != nil {
		tb.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

// good is what a token says that is taken now, but for what is changed; nil leaves a claim out.
func good(changes map[string]any) map[string]any {
	claims := map[string]any{
		"iss": issuerURL, "aud": audience, "sub": "me", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// provider is an issuer as its clients see it.
type provider struct {
	mu       sync.Mutex
	keys     []jose.JSONWebKey
	answer   func(*http.Request) (*http.Response, error) // instead of its own, where it is not nil
	requests map[string]int                              // by path
}

func (p *provider) set(keys ...*signer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = nil
	for _, key := range keys {
		p.keys = append(p.keys, key.public())
	}
}

func (p *provider) fault(answer func(*http.Request) (*http.Response, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// fetches counts how often the keys were asked for, or where they are.
func (p *provider) fetches() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests["/realms/ops/.well-known/openid-configuration"]
}

func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	answer := p.answer
	if p.requests == nil {
		p.requests = map[string]int{}
	}
	p.requests[r.URL.Path]++
	content := map[string]any{"issuer": issuerURL, "jwks_uri": issuerURL + "/keys"}
	if strings.HasSuffix(r.URL.Path, "/keys") {
		content = map[string]any{"keys": p.keys}
	}
	body, err := json.Marshal(content)
	p.mu.Unlock()
	if answer != nil {
		return answer(r)
	}
	return say(http.StatusOK, string(body)), err
}

func say(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader(body)),
		Header: http.Header{"Content-Type": {"application/json"}},
	}
}

var errDown = errors.New("connection refused")

func down(*http.Request) (*http.Response, error) { return nil, errDown }

func hanging(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// newGuard takes tokens of a provider, and whatever else the options say. It runs until the test ends.
func newGuard(t *testing.T, p *provider, o Options) *Guard {
	t.Helper()
	g := newIdleGuard(t, p, o)
	ctx, cancel := context.WithCancel(context.Background()) //nolint:usetesting // It ends after the test's does, before its bubble's.
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return g
}

// newIdleGuard does not run.
func newIdleGuard(tb testing.TB, p *provider, o Options) *Guard {
	tb.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if p != nil {
		o.JWT.Issuer, o.JWT.Audience = issuerURL, []string{"another", audience}
	}
	g, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	if p != nil {
		g.issuer.keys.client.Transport = limitedTransport{p}
	}
	return g
}

func bearer(token string) Credentials { return Credentials{Authorization: []string{"Bearer " + token}} }

// why is why a credential is refused; "" if it is not.
func why(tb testing.TB, err error) string {
	tb.Helper()
	if err == nil {
		return ""
	}
	refused, is := errors.AsType[*UnauthenticatedError](err)
	if !is {
		tb.Fatalf("error %v", err)
	}
	return refused.Why
}
