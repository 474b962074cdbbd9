package provider

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// store is what the provider knows. Of the library's port it has what client credentials need.
type store struct {
	op.Storage

	mu      sync.Mutex
	key     *rsa.PrivateKey
	keyID   string
	clients map[string]client
}

func newStore() *store { return &store{clients: map[string]client{}} }

func (s *store) rotate() error {
	key, id, err := newKey()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key, s.keyID = key, id
	return nil
}

func (s *store) current() (*rsa.PrivateKey, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key, s.keyID
}

func (s *store) add(id, secret string, claims Claims) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[id] = client{id: id, secret: secret, claims: claims}
}

func (s *store) client(id string) (client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.clients[id]; ok {
		return c, nil
	}
	return client{}, errUnused
}

// SigningKey implements [op.Storage].
func (s *store) SigningKey(context.Context) (op.SigningKey, error) {
	key, id := s.current()
	return signingKey{key, id}, nil
}

// SignatureAlgorithms implements [op.Storage].
func (s *store) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}

// KeySet implements [op.Storage].
func (s *store) KeySet(context.Context) ([]op.Key, error) {
	key, id := s.current()
	return []op.Key{publicKey{signingKey{key, id}}}, nil
}

// GetClientByClientID implements [op.Storage].
func (s *store) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	return s.client(id)
}

// ClientCredentials implements [op.ClientCredentialsStorage].
func (s *store) ClientCredentials(_ context.Context, id, secret string) (op.Client, error) {
	c, err := s.client(id)
	if err == nil && subtle.ConstantTimeCompare([]byte(secret), []byte(c.secret)) != 1 {
		err = errUnused
	}
	return c, err
}

// ClientCredentialsTokenRequest implements [op.ClientCredentialsStorage].
func (s *store) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	c, err := s.client(id)
	return tokenRequest{c, scopes}, err
}

// CreateAccessToken implements [op.Storage].
func (s *store) CreateAccessToken(_ context.Context, r op.TokenRequest) (string, time.Time, error) {
	request, ok := r.(tokenRequest)
	if !ok {
		return "", time.Time{}, errUnused
	}
	return rand.Text(), time.Now().Add(request.client.claims.Lifetime), nil
}

// GetPrivateClaimsFromScopes implements [op.Storage].
func (s *store) GetPrivateClaimsFromScopes(_ context.Context, _, id string, _ []string) (map[string]any, error) {
	c, err := s.client(id)
	return c.claims.Extra, err
}

type signingKey struct {
	key *rsa.PrivateKey
	id  string
}

func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k signingKey) Key() any                                    { return k.key }
func (k signingKey) ID() string                                  { return k.id }

type publicKey struct{ signingKey }

func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return k.key.Public() }

type tokenRequest struct {
	client client
	scopes []string
}

func (r tokenRequest) GetSubject() string    { return r.client.claims.Subject }
func (r tokenRequest) GetAudience() []string { return r.client.claims.Audience }
func (r tokenRequest) GetScopes() []string   { return r.scopes }

// client is a service that may have tokens.
type client struct {
	op.Client

	id, secret string
	claims     Claims
}

func (c client) GetID() string { return c.id }
func (c client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeClientCredentials}
}
func (c client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }
func (c client) ClockSkew() time.Duration            { return 0 }
func (c client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}
