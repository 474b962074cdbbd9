package provider

import (
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// The provider is one to a client library that is not ours.
func TestProvider(t *testing.T) {
	p := Start(t)
	discovered, err := oidc.NewProvider(t.Context(), p.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	verifier := discovered.Verifier(&oidc.Config{ClientID: "exportgate"})
	token := p.Token(t, Claims{Subject: "me", Audience: []string{"exportgate"}, Lifetime: time.Hour, Extra: map[string]any{"groups": []string{"a"}}})
	verified, err := verifier.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Groups []string `json:"groups"`
	}
	if err := verified.Claims(&claims); err != nil || verified.Subject != "me" || len(claims.Groups) != 1 {
		t.Errorf("got subject %q, %+v and error %v", verified.Subject, claims, err)
	}
	if _, err := verifier.Verify(t.Context(), p.Token(t, Claims{Subject: "me", Audience: []string{"exportgate"}, Lifetime: -time.Hour})); err == nil {
		t.Error("an expired token was verified")
	}
	p.Rotate(t)
	if _, err := verifier.Verify(t.Context(), p.Token(t, Claims{Subject: "me", Audience: []string{"exportgate"}, Lifetime: time.Hour})); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
}
