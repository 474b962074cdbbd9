package identity_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/certs/certstest"
	jose "github.com/go-jose/go-jose/v4"

	"github.com/exportgate/exportgate/server/servertest/peers/provider"
)

// standing is what a caller is to the server.
type standing int

// The standings. Of an unknown one nothing proves who it is; nobody is known, and has no role.
const (
	unknown standing = iota
	nobody
	viewer
	holder
	operator
	standings int = iota
)

// String is the standing's name, and the role's where it is one.
func (s standing) String() string {
	return []string{"unknown", "none", "viewer", "holder", "operator"}[s]
}

// caller is somebody who calls.
type caller struct {
	name   string
	is     standing
	proven string // the name that the server knows it by
	shows  credential
}

func bearer(token string) credential { return credential{}.with("Authorization", "Bearer "+token) }

// static shows the static token of a name.
func (w *world) static(name string) credential { return bearer(w.tokens.of(name)) }

// certified shows a certificate that the server trusts.
func (w *world) certified(t *testing.T, l certstest.Leaf) credential {
	t.Helper()
	pair := w.clients.Issue(t, l)
	w.secrets.addKey(t, "a client's private key", pair.Key)
	return credential{certificate: &pair.TLS}
}

// certificate shows that of a viewer.
func (w *world) certificate(t *testing.T) credential {
	t.Helper()
	return w.certified(t, certstest.Leaf{CommonName: "viewer"})
}

// issued fetches a token from the provider.
func (w *world) issued(t *testing.T, claims provider.Claims) string {
	t.Helper()
	token := w.provider.Token(t, claims)
	w.secrets.add("a token of the provider for "+claims.Subject, token)
	return token
}

// member is who the provider says is in the group of a role.
func member(role string) provider.Claims {
	return provider.Claims{
		Subject: role, Audience: []string{audience}, Lifetime: time.Hour, Extra: map[string]any{"groups": []string{"people", role + "s"}},
	}
}

// forged signs a token as an operator, with the provider's own key unless another is given.
func (w *world) forged(t *testing.T, algorithm jose.SignatureAlgorithm, key any, keyID string, change map[string]any) string {
	t.Helper()
	now := time.Now()
	claims := map[string]any{
		"iss": w.provider.Issuer(), "aud": audience, "sub": "operator", "groups": []string{"operators"},
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	maps.Copy(claims, change)
	token := provider.Sign(t, algorithm, key, keyID, claims)
	w.secrets.add("a forged token", token)
	return token
}

// callers are all kinds of them. The provider's key changes on the way, so that it has to be done before the server starts to
// know its keys, or when it may learn new ones.
func (w *world) callers(t *testing.T, old string) []caller {
	t.Helper()
	all := []caller{{name: "nothing"}}
	for _, role := range []standing{nobody, viewer, holder, operator} {
		name := role.String()
		all = append(all,
			caller{name + " by static token", role, "token:" + name, w.static(name)},
			caller{name + " by JWT", role, "jwt:" + w.provider.Issuer() + "#" + name, bearer(w.issued(t, member(name)))},
			caller{
				name + " by SPIFFE ID", role, "spiffe://example.test/" + name + "s/a",
				w.certified(t, certstest.Leaf{URI: []string{"spiffe://example.test/" + name + "s/a"}, CommonName: "a"}),
			},
			caller{name + " by DNS name", role, "dns:" + name + ".test", w.certified(t, certstest.Leaf{DNS: []string{strings.ToUpper(name) + ".test"}})},
			caller{
				name + " by e-mail", role, "email:" + name + "@example.test",
				w.certified(t, certstest.Leaf{Email: []string{name + "@example.test"}}),
			},
			caller{name + " by subject", role, "subject:CN=" + name, w.certified(t, certstest.Leaf{CommonName: name})},
		)
	}
	return slices.Concat(all, w.both(t), w.bad(t, old))
}

// both show a certificate and a header, of which the header counts.
func (w *world) both(t *testing.T) []caller {
	t.Helper()
	certificate := func(role string) credential { return w.certified(t, certstest.Leaf{CommonName: role}) }
	return []caller{
		{"operator's certificate, viewer's token", viewer, "token:viewer", w.beside(certificate("operator"), w.static("viewer"))},
		{
			"viewer's certificate, operator's JWT", operator, "jwt:" + w.provider.Issuer() + "#both",
			w.beside(certificate("viewer"), bearer(w.issued(t, provider.Claims{
				Subject: "both", Audience: []string{audience}, Lifetime: time.Hour, Extra: map[string]any{"groups": "operators"},
			}))),
		},
		{"operator's certificate, bad token", unknown, "", certificate("operator").with("Authorization", "Bearer egt_"+strings.Repeat("A", 43))},
		{"operator's certificate, another scheme", unknown, "", certificate("operator").with("Authorization", "Basic b3BlcmF0b3I6c2VjcmV0")},
	}
}

func (*world) beside(certificate, header credential) credential {
	return credential{certificate.certificate, header.headers}
}

// bad show what is not valid, or not valid here.
func (w *world) bad(t *testing.T, old string) []caller {
	t.Helper()
	key, id := w.provider.Key(), w.provider.KeyID()
	elsewhere := member("operator")
	elsewhere.Audience = []string{"another-service"}
	expired := member("operator")
	expired.Lifetime = -time.Hour
	made := func(change map[string]any) credential {
		return bearer(w.forged(t, jose.RS256, key, id, change))
	}
	w.secrets.add("a static token that nobody has", "egt_"+strings.Repeat("k", 43))
	return []caller{
		{name: "static token that nobody has", shows: bearer("egt_" + strings.Repeat("k", 43))},
		{name: "garbage", shows: bearer("garbage")},
		{name: "garbage with dots", shows: bearer("a.b.c")},
		{name: "no token after the scheme", shows: credential{}.with("Authorization", "Bearer")},
		{name: "expired JWT", shows: bearer(w.issued(t, expired))},
		{name: "JWT that expired before the clocks may differ", shows: made(map[string]any{"exp": time.Now().Add(-time.Minute).Unix()})},
		{name: "JWT without an end", shows: made(map[string]any{"exp": nil})},
		{name: "JWT that is not valid yet", shows: made(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()})},
		{name: "JWT for another audience", shows: bearer(w.issued(t, elsewhere))},
		{name: "JWT for nobody", shows: made(map[string]any{"aud": nil})},
		{name: "JWT of another issuer", shows: made(map[string]any{"iss": "https://issuer.example.test"})},
		{name: "JWT of nobody", shows: made(map[string]any{"sub": ""})},
		{name: "JWT signed with a key that was taken back", shows: bearer(old)},
	}
}
