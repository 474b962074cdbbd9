package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// JWT says whose tokens are taken, and how they are checked.
type JWT struct {
	// Issuer is the URL of an OpenID provider, as its tokens have it.
	Issuer string
	// Audience are the names of this service, of which a token must have one.
	Audience []string
	// Algorithms are the signatures that are taken, by their JOSE names; all of [Algorithms] if empty.
	Algorithms []string
	// ClockSkew is how far the provider's clock may be off.
	ClockSkew time.Duration
	// DialTLS opens connections to an https provider; nil trusts the authorities that the system trusts.
	DialTLS func(ctx context.Context, network, address string) (net.Conn, error)
}

// Algorithms are all signatures that may be taken. Each is made with a private key, which the provider alone has: with a
// shared secret, whoever checks a token could make one.
func Algorithms() []string {
	return []string{
		oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
	}
}

// issuer checks the tokens of one provider.
type issuer struct {
	JWT

	keys       *keys
	config     oidc.Config
	algorithms []jose.SignatureAlgorithm
}

func newIssuer(o JWT, log *slog.Logger) (*issuer, error) {
	if len(o.Audience) == 0 {
		return nil, errors.New("auth.jwt.audience: there is none: a token that was given to another service must not open this one")
	}
	if len(o.Algorithms) == 0 {
		o.Algorithms = Algorithms()
	}
	algorithms := make([]jose.SignatureAlgorithm, 0, len(o.Algorithms))
	for _, algorithm := range o.Algorithms {
		if !slices.Contains(Algorithms(), algorithm) {
			return nil, fmt.Errorf("auth.jwt.algorithms: %q is not one of %q", algorithm, Algorithms())
		}
		algorithms = append(algorithms, jose.SignatureAlgorithm(algorithm))
	}
	// Audience and times are checked here: of the first there may be several, and the library's leeway is not ours.
	config := oidc.Config{SupportedSigningAlgs: o.Algorithms, SkipClientIDCheck: true, SkipExpiryCheck: true}
	return &issuer{JWT: o, keys: newKeys(o, log), config: config, algorithms: algorithms}, nil
}

// identify is whose a JWT is. Errors have nothing of it in them.
func (i *issuer) identify(ctx context.Context, token string) (identity, error) {
	check := &signature{issuer: i}
	_, err := oidc.NewVerifier(i.Issuer, check, &i.config).Verify(ctx, token)
	switch {
	case check.err != nil:
		return identity{}, check.err
	case err != nil:
		return identity{}, unauthenticated(otherForm)
	}
	return check.who, nil
}

const otherForm = "the JWT has another form, or another algorithm, than is taken"

// signature is the verification of one token, in the way that the library asks for it. It remembers what came of it: the
// library passes errors on as text.
type signature struct {
	*issuer

	who identity
	err error
}

// VerifySignature implements [oidc.KeySet]. What a token says is looked at first, because no new keys are worth fetching for
// one that would be refused all the same; it counts only once the signature is verified.
func (s *signature) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	var payload []byte
	payload, s.who, s.err = s.verify(ctx, token)
	return payload, s.err
}

func (s *signature) verify(ctx context.Context, token string) ([]byte, identity, error) {
	parsed, err := jose.ParseSignedCompact(token, s.algorithms)
	if err != nil {
		return nil, identity{}, unauthenticated(otherForm)
	}
	who, err := s.read(parsed.UnsafePayloadWithoutVerification(), time.Now())
	if err != nil {
		return nil, identity{}, err
	}
	payload, err := s.keys.verify(ctx, parsed)
	return payload, who, err
}

// maxSubject is what OpenID Connect allows.
const maxSubject = 255

// read checks what a token says, but for its signature.
func (i *issuer) read(payload []byte, now time.Time) (identity, error) {
	var said map[string]any
	if err := json.Unmarshal(payload, &said); err != nil {
		return identity{}, unauthenticated("the JWT has no claims")
	}
	if said["iss"] != i.Issuer {
		return identity{}, unauthenticated("the JWT is of another issuer")
	}
	if !slices.ContainsFunc(i.Audience, func(name string) bool { return claims(said, "aud", name) }) {
		return identity{}, unauthenticated("the JWT is for another audience")
	}
	switch expires, known := instant(said["exp"]); {
	case !known:
		return identity{}, unauthenticated("the JWT does not say when it expires")
	case !now.Before(expires.Add(i.ClockSkew)):
		return identity{}, unauthenticated("the JWT expired at " + expires.UTC().Format(time.RFC3339))
	}
	if claim, there := said["nbf"]; there {
		if begins, known := instant(claim); !known || now.Before(begins.Add(-i.ClockSkew)) {
			return identity{}, unauthenticated("the JWT is not valid yet")
		}
	}
	subject, _ := said["sub"].(string)
	if subject == "" || len(subject) > maxSubject {
		return identity{}, unauthenticated("the JWT has no subject, or too long a one")
	}
	name := prefixJWT + i.Issuer + "#" + subject
	return identity{names: []string{name}, claims: said}, checkName(name)
}

// instant is what a claim says in seconds since 1970.
func instant(claim any) (time.Time, bool) {
	seconds, is := claim.(float64)
	if !is || seconds < 0 || seconds > 1<<40 { // In 30,000 years; more would not fit into a time.
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}
