package auth

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func TestAlgorithms(t *testing.T) {
	for _, algorithm := range Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key := newSigner(t, "a", jose.SignatureAlgorithm(algorithm))
				p := &provider{}
				p.set(newSigner(t, "other", jose.ES256), key)
				g := newGuard(t, p, Options{})
				id, err := g.authenticate(t.Context(), bearer(key.sign(t, good(nil))))
				if err != nil || id.Name != "jwt:"+issuerURL+"#me" {
					t.Errorf("error %s, name %q", why(t, err), id.Name)
				}
				others := newIdleGuard(t, p, Options{JWT: JWT{Algorithms: slices.DeleteFunc(Algorithms(), func(a string) bool { return a == algorithm })}})
				if _, err := others.authenticate(t.Context(), bearer(key.sign(t, good(nil)))); err == nil {
					t.Error("it was taken although it is not among those that are")
				}
			})
		})
	}
}

// Signatures that anybody could make cannot even be configured.
func TestAlgorithmsThatCannotBe(t *testing.T) {
	for _, algorithm := range []string{"none", "None", "HS256", "HS384", "HS512", "", "rs256"} {
		_, err := New(Options{JWT: JWT{Issuer: issuerURL, Audience: []string{audience}, Algorithms: []string{algorithm}}})
		if err == nil || !strings.Contains(err.Error(), "auth.jwt.algorithms") {
			t.Errorf("%q: error %v", algorithm, err)
		}
	}
	if _, err := New(Options{JWT: JWT{Issuer: issuerURL}}); err == nil || !strings.Contains(err.Error(), "auth.jwt.audience") {
		t.Errorf("no audience: error %v", err)
	}
}

func TestForgedJWT(t *testing.T) {
	key, stranger := newSigner(t, "a", jose.RS256), newSigner(t, "a", jose.RS256)
	public := key.public()
	der, err := x509.MarshalPKIXPublicKey(key.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	tests := map[string]func(t *testing.T, valid string) string{
		"signed by another key of the same id": func(t *testing.T, _ string) string {
			t.Helper()
			return stranger.sign(t, good(nil))
		},
		"signed by another key of no id": func(t *testing.T, _ string) string {
			t.Helper()
			return signWith(t, jose.SigningKey{Algorithm: jose.RS256, Key: stranger.key}, good(nil))
		},
		"another algorithm of the same key": func(t *testing.T, _ string) string {
			t.Helper()
			return signWith(t, jose.SigningKey{Algorithm: jose.PS256, Key: jose.JSONWebKey{Key: key.key, KeyID: "a"}}, good(nil))
		},
		"signed with the key it brings": func(t *testing.T, _ string) string {
			t.Helper()
			payload, err := json.Marshal(good(nil))
			if err != nil {
				t.Fatal(err)
			}
			with, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: stranger.key}, &jose.SignerOptions{EmbedJWK: true})
			if err != nil {
				t.Fatal(err)
			}
			signed, err := with.Sign(payload)
			if err != nil {
				t.Fatal(err)
			}
			token, _ := signed.CompactSerialize()
			return token
		},
		"signed with the public key as a secret, as PEM": func(t *testing.T, _ string) string {
			t.Helper()
			secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
			return signWith(t, jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: secret, KeyID: "a"}}, good(nil))
		},
		"signed with the public key as a secret, as DER": func(t *testing.T, _ string) string {
			t.Helper()
			return signWith(t, jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: der, KeyID: "a"}}, good(nil))
		},
		"signed with the public key as a secret, as JWK": func(t *testing.T, _ string) string {
			t.Helper()
			return signWith(t, jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: jwk, KeyID: "a"}}, good(nil))
		},
		"none": func(_ *testing.T, valid string) string {
			return encode([]byte(`{"alg":"none","kid":"a"}`)) + "." + strings.Split(valid, ".")[1] + "."
		},
		"none, with a signature": func(_ *testing.T, valid string) string {
			parts := strings.Split(valid, ".")
			return encode([]byte(`{"alg":"none","kid":"a"}`)) + "." + parts[1] + "." + parts[2]
		},
		"nOnE": func(_ *testing.T, valid string) string {
			return encode([]byte(`{"alg":"nOnE"}`)) + "." + strings.Split(valid, ".")[1] + "."
		},
		"no signature":     func(_ *testing.T, valid string) string { return valid[:strings.LastIndex(valid, ".")+1] },
		"half a signature": func(_ *testing.T, valid string) string { return valid[:len(valid)-50] },
		"other claims": func(t *testing.T, valid string) string {
			t.Helper()
			parts := strings.Split(valid, ".")
			payload, err := json.Marshal(good(map[string]any{"sub": "root"}))
			if err != nil {
				t.Fatal(err)
			}
			return parts[0] + "." + encode(payload) + "." + parts[2]
		},
		"something critical": func(t *testing.T, valid string) string {
			t.Helper()
			_, rest, _ := strings.Cut(valid, ".")
			return encode([]byte(`{"alg":"RS256","kid":"a","crit":["x"],"x":1}`)) + "." + rest
		},
		"two dots":   func(*testing.T, string) string { return ".." },
		"not base64": func(_ *testing.T, valid string) string { return "~" + valid[1:] },
	}
	for name, forge := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{}
				p.set(key)
				g := newGuard(t, p, Options{})
				valid := key.sign(t, good(nil))
				if _, err := g.authenticate(t.Context(), bearer(valid)); err != nil {
					t.Fatalf("one that is valid: %s", why(t, err))
				}
				forged := forge(t, valid)
				_, err := g.authenticate(t.Context(), bearer(forged))
				if reason := why(t, err); reason == "" || forged != ".." && strings.Contains(reason, forged) {
					t.Errorf("refused because %q", reason)
				}
			})
		})
	}
}

func TestClaims(t *testing.T) {
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() } // In a bubble that is exact.
	tests := map[string]struct {
		changes func() map[string]any
		why     string // part of it; empty where it is taken
	}{
		"nothing":                  {func() map[string]any { return nil }, ""},
		"another issuer":           {func() map[string]any { return map[string]any{"iss": issuerURL + "/"} }, "another issuer"},
		"no issuer":                {func() map[string]any { return map[string]any{"iss": nil} }, "another issuer"},
		"several issuers":          {func() map[string]any { return map[string]any{"iss": []string{issuerURL}} }, "another issuer"},
		"issuer in another case":   {func() map[string]any { return map[string]any{"iss": nil, "ISS": issuerURL} }, "another issuer"},
		"another audience":         {func() map[string]any { return map[string]any{"aud": "somewhere-else"} }, "another audience"},
		"no audience":              {func() map[string]any { return map[string]any{"aud": nil} }, "another audience"},
		"part of an audience":      {func() map[string]any { return map[string]any{"aud": "export"} }, "another audience"},
		"an audience of claims":    {func() map[string]any { return map[string]any{"aud": map[string]any{audience: audience}} }, "another audience"},
		"one of several audiences": {func() map[string]any { return map[string]any{"aud": []string{"x", "another"}} }, ""},
		"no expiry":                {func() map[string]any { return map[string]any{"exp": nil} }, "when it expires"},
		"expiry in words":          {func() map[string]any { return map[string]any{"exp": "tomorrow"} }, "when it expires"},
		"expiry out of this world": {func() map[string]any { return map[string]any{"exp": 1e300} }, "when it expires"},
		"expiry before all time":   {func() map[string]any { return map[string]any{"exp": -1} }, "when it expires"},
		"expired within the skew":  {func() map[string]any { return map[string]any{"exp": in(-29 * time.Second)} }, ""},
		"expired just beyond it":   {func() map[string]any { return map[string]any{"exp": in(-30 * time.Second)} }, "expired at"},
		"expired":                  {func() map[string]any { return map[string]any{"exp": in(-time.Hour)} }, "expired at"},
		"begins within the skew":   {func() map[string]any { return map[string]any{"nbf": in(30 * time.Second)} }, ""},
		"begins just beyond it":    {func() map[string]any { return map[string]any{"nbf": in(31 * time.Second)} }, "not valid yet"},
		"begins in words":          {func() map[string]any { return map[string]any{"nbf": "now"} }, "not valid yet"},
		"no subject":               {func() map[string]any { return map[string]any{"sub": nil} }, "no subject"},
		"empty subject":            {func() map[string]any { return map[string]any{"sub": ""} }, "no subject"},
		"subject of a number":      {func() map[string]any { return map[string]any{"sub": 7} }, "no subject"},
		"subject of two lines":     {func() map[string]any { return map[string]any{"sub": "me\nyou"} }, "cannot be shown"},
		"subject without end":      {func() map[string]any { return map[string]any{"sub": strings.Repeat("a", 256)} }, "no subject"},
		"longest subject":          {func() map[string]any { return map[string]any{"sub": strings.Repeat("a", 255)} }, ""},
		"claims from elsewhere": {func() map[string]any {
			return map[string]any{"_claim_names": map[string]any{"groups": "x"}, "_claim_sources": map[string]any{"x": map[string]any{"endpoint": "http://127.0.0.1/"}}}
		}, ""},
	}
	key := newSigner(t, "a", jose.ES256)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{}
				p.set(key)
				g := newGuard(t, p, Options{JWT: JWT{ClockSkew: 30 * time.Second}})
				_, err := g.authenticate(t.Context(), bearer(key.sign(t, good(test.changes()))))
				if got := why(t, err); (got == "") != (test.why == "") || !strings.Contains(got, test.why) {
					t.Errorf("refused because %q, want %q", got, test.why)
				}
			})
		})
	}
}

// Whatever is sent as a token, it is refused with a reason that has nothing of it, and does not crash anything.
func FuzzJWT(f *testing.F) {
	key := newSigner(f, "a", jose.ES256)
	guard := newIdleGuard(f, &provider{}, Options{})
	guard.issuer.keys.set, guard.issuer.keys.fetched = []jose.JSONWebKey{key.public()}, time.Now()
	valid := key.sign(f, good(nil))
	f.Add(valid)
	f.Add(strings.Replace(valid, ".", "..", 1))
	f.Add("e30.e30.e30")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + ".e30.")
	f.Add(`{"payload":"e30","signatures":[]}`)
	f.Fuzz(func(t *testing.T, token string) {
		guard.issuer.keys.allowed.SetLimit(0) // It asks nobody for keys.
		guard.issuer.keys.allowed.SetBurst(0)
		_, err := guard.authenticate(t.Context(), bearer(token))
		if err == nil && token != valid {
			// Only what signs the same may pass: base64 has several forms of a last character.
			if !strings.HasPrefix(token, valid[:strings.LastIndex(valid, ".")]) {
				t.Errorf("%q was taken", token)
			}
			return
		}
		if err != nil && len(token) > 20 && strings.Contains(err.Error(), token) {
			t.Errorf("the error repeats the token: %v", err)
		}
	})
}
