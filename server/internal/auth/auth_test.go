package auth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/exportgate/exportgate/server/internal/caller"
	"github.com/exportgate/exportgate/server/internal/certs/certstest"
)

const status = "/exportgate.v1.ExportingService/GetStatus"

// Of two credentials the header counts, and one that is no good is refused whatever else there is. All refusals read the same.
func TestAuthenticate(t *testing.T) {
	key := newSigner(t, "a", jose.ES256)
	token, hash := NewToken()
	unknown, _ := NewToken()
	file := tokenFile(t, "backup "+hash)
	state := &tls.ConnectionState{}
	tests := map[string]struct {
		headers []string
		state   *tls.ConnectionState // state is one with a verified certificate
		name    string
		why     string
	}{
		"nothing":                {nil, nil, "", "none was sent"},
		"TLS without a name":     {nil, &tls.ConnectionState{}, "", "none was sent"},
		"certificate":            {nil, state, "dns:a", ""},
		"token":                  {[]string{"Bearer " + token}, nil, "token:backup", ""},
		"another case":           {[]string{"bEARER " + token}, nil, "token:backup", ""},
		"more spaces":            {[]string{"Bearer   " + token + " "}, nil, "token:backup", ""},
		"JWT":                    {[]string{"Bearer jwt"}, nil, "jwt:" + issuerURL + "#me", ""},
		"token and certificate":  {[]string{"Bearer " + token}, state, "token:backup", ""},
		"bad token, certificate": {[]string{"Bearer " + unknown}, state, "", "not in the token file"},
		"bad JWT, certificate":   {[]string{"Bearer a.b.c"}, state, "", "another form"},
		"empty, certificate":     {[]string{""}, state, "", "not of the scheme"},
		"several":                {[]string{"Bearer " + token, "Bearer " + token}, nil, "", "several"},
		"several in one":         {[]string{"Bearer " + token + ", Bearer " + token}, nil, "", "characters"},
		"scheme alone":           {[]string{"Bearer"}, nil, "", "no token"},
		"scheme and a space":     {[]string{"Bearer "}, nil, "", "no token"},
		"another scheme":         {[]string{"Basic " + token}, nil, "", "not of the scheme"},
		"token alone":            {[]string{token}, nil, "", "not of the scheme"},
		"a tab":                  {[]string{"Bearer\t" + token}, nil, "", "not of the scheme"},
		"what is neither":        {[]string{"Bearer abc"}, nil, "", "neither"},
		"five parts":             {[]string{"Bearer a.b.c.d.e"}, nil, "", "neither"},
		"too long":               {[]string{"Bearer " + strings.Repeat("a", maxToken+1)}, nil, "", "too long"},
		"a line in it":           {[]string{"Bearer " + token + "\n"}, nil, "", "characters"},
		"not ASCII":              {[]string{"Bearer " + token + "é"}, nil, "", "characters"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{}
				p.set(key)
				g := newGuard(t, p, Options{Certificates: true, TokensFile: file, Roles: Roles{Viewer: []string{"*"}}})
				leaf := certstest.NewAuthority(t, "ca").Issue(t, certstest.Leaf{DNS: []string{"a"}}).Leaf
				state.VerifiedChains = [][]*x509.Certificate{{leaf}}
				for i, header := range test.headers {
					if strings.HasSuffix(header, "jwt") {
						test.headers[i] = "Bearer " + key.sign(t, good(nil))
					}
				}
				who, err := g.Admit(t.Context(), Credentials{TLS: test.state, Authorization: test.headers}, status, nil)
				if got := why(t, err); who.Name != test.name || (got == "") != (test.why == "") || !strings.Contains(got, test.why) {
					t.Errorf("caller %+v, refused because %q, want %q", who, got, test.why)
				}
				if refused, is := errors.AsType[*UnauthenticatedError](err); is && refused.Error() != (&UnauthenticatedError{}).Error() {
					t.Errorf("it tells: %v", err)
				}
			})
		})
	}
}

// Where only one kind is taken, the other is refused, and the log is told why.
func TestOneKind(t *testing.T) {
	token, hash := NewToken()
	key := newSigner(t, "a", jose.ES256)
	g := newIdleGuard(t, nil, Options{TokensFile: tokenFile(t, "backup "+hash)})
	if _, err := g.authenticate(t.Context(), bearer(key.sign(t, good(nil)))); !strings.Contains(why(t, err), "auth.jwt.issuer is not set") {
		t.Errorf("a JWT: %s", why(t, err))
	}
	g = newIdleGuard(t, &provider{}, Options{})
	if _, err := g.authenticate(t.Context(), bearer(token)); !strings.Contains(why(t, err), "auth.tokens-file is not set") {
		t.Errorf("a static token: %s", why(t, err))
	}
}

func TestOpen(t *testing.T) {
	g := newGuard(t, nil, Options{HolderMaxTTL: time.Hour})
	if !g.Open() || g.State() != (State{}) {
		t.Errorf("open %v, state %+v", g.Open(), g.State())
	}
	want := caller.Caller{Role: caller.Operator}
	for _, operation := range []string{status, "POST /loggers", "GET /health"} {
		if who, err := g.Admit(t.Context(), bearer("whatever"), operation, nil); err != nil || who != want {
			t.Errorf("%s: error %v, caller %+v", operation, err, who)
		}
	}
	who, err := g.Admit(t.Context(), Credentials{}, "/exportgate.v1.ExportingService/Drop", nil)
	if _, is := errors.AsType[*DeniedError](err); !is || who != want {
		t.Errorf("what is not in the table: error %v, caller %+v", err, who)
	}
}

// Only holders have a limit of their own.
func TestHolderMaxTTL(t *testing.T) {
	token, hash := NewToken()
	file := tokenFile(t, "backup "+hash)
	for role, roles := range map[caller.Role]Roles{
		caller.Holder: {Holder: []string{"token:backup"}, Viewer: []string{"*"}}, caller.Operator: {Operator: []string{"*"}, Holder: []string{"*"}},
		caller.Viewer: {Viewer: []string{"token:backup"}}, caller.None: {Operator: []string{"token:other"}},
	} {
		g := newIdleGuard(t, nil, Options{TokensFile: file, Roles: roles, HolderMaxTTL: time.Hour})
		who, err := g.authenticate(t.Context(), bearer(token))
		if err != nil || who.Role != role || (who.MaxTTL == time.Hour) != (role == caller.Holder) {
			t.Errorf("%v: error %v, caller %+v", role, err, who)
		}
	}
}

// An entry that can match nobody is told, not refused: to take a way of authentication away must not need other changes.
func TestEntriesInVain(t *testing.T) {
	var lines strings.Builder
	_, err := New(Options{
		TokensFile: tokenFile(t, ""), Logger: slog.New(slog.NewTextHandler(&lines, nil)),
		Roles: Roles{Operator: []string{"token:a", "dns:a", "claim:a=b", "*"}},
	})
	if told := lines.String(); err != nil || strings.Count(told, "\n") != 2 || !strings.Contains(told, "dns:a") || !strings.Contains(told, "claim:a=b") {
		t.Errorf("error %v, told:\n%s", err, told)
	}
}

func BenchmarkAdmit(b *testing.B) {
	es, rs := newSigner(b, "a", jose.ES256), newSigner(b, "b", jose.RS256)
	token, hash := NewToken()
	leaf := certstest.NewAuthority(b, "ca").Issue(b, certstest.Leaf{URI: []string{"spiffe://example.org/ns/ops"}}).Leaf
	g := newIdleGuard(b, &provider{}, Options{
		Certificates: true, TokensFile: tokenFile(b, "backup "+hash), Roles: Roles{Viewer: []string{"*"}},
	})
	g.issuer.keys.set = []jose.JSONWebKey{es.public(), rs.public()}
	for name, c := range map[string]Credentials{
		"certificate": {TLS: &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf}}}}, "token": bearer(token),
		"JWT/ES256": bearer(es.sign(b, good(nil))), "JWT/RS256": bearer(rs.sign(b, good(nil))),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Admit(b.Context(), c, status, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
