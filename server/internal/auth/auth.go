// Package auth says who calls, and whether the caller may do what it asks for: by client certificates, by tokens of an
// OpenID provider (JWT) and by static tokens, any of which may be on at once, and by one table of permissions.
//
// Everything that it does not understand is refused: a credential of an unknown kind, two where one is expected, an
// operation that the table does not have. What a caller is told is the same for every bad credential; the reason is for the
// log.
//
// It must not know which door a call came through, how often it may come, nor what becomes of it.
package auth

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/exportgate/exportgate/server/internal/caller"
)

// Options say what proves who calls. With no certificates, no tokens and no issuer nothing is asked for, and everybody is
// an operator.
type Options struct {
	// Certificates is true where a verified client certificate proves who calls.
	Certificates bool
	// TokensFile is a file of static tokens, as [NewToken] makes them; empty for none.
	TokensFile string
	// JWT says whose tokens are taken; none are if its Issuer is empty.
	JWT JWT
	// Roles say who may do what.
	Roles Roles
	// HolderMaxTTL is how long a holder's hold may live; 0 is as long as the server's holds may.
	HolderMaxTTL time.Duration
	Logger       *slog.Logger
}

// Credentials are what came with a call to prove who calls.
type Credentials struct {
	// Address is where it came from, for logs alone: it proves nothing.
	Address string
	// TLS is the state of its connection; nil without TLS.
	TLS *tls.ConnectionState
	// Authorization has the values of its Authorization headers, of which there should be one at most.
	Authorization []string
}

// Guard authenticates and authorizes. Its methods may be called by several goroutines.
type Guard struct {
	certificates bool
	tokens       *tokens // nil where there are none
	issuer       *issuer // nil where no JWT is taken
	roles        roles
	permissions  map[string]permission
	maxTTL       time.Duration
}

// New reads the token file and the roles. An error names the line or the entry. It waits for nobody: that the issuer does
// not answer is no error.
func New(o Options) (*Guard, error) {
	g := &Guard{certificates: o.Certificates, permissions: permissions(), maxTTL: o.HolderMaxTTL}
	var err error
	if g.roles, err = parseRoles(o.Roles); err != nil {
		return nil, err
	}
	if o.TokensFile != "" {
		if g.tokens, err = openTokens(o.TokensFile, o.Logger); err != nil {
			return nil, err
		}
	}
	if o.JWT.Issuer != "" {
		if g.issuer, err = newIssuer(o.JWT, o.Logger); err != nil {
			return nil, err
		}
	}
	for _, m := range g.roles {
		if !g.may(m) {
			o.Logger.Warn("nobody can have a role by this entry: what it matches is not asked for", "role", m.role, "entry", m.text)
		}
	}
	return g, nil
}

// may reports whether a matcher can match anybody.
func (g *Guard) may(m matcher) bool {
	switch m.kind {
	case kindToken:
		return g.tokens != nil
	case kindJWT, kindClaim:
		return g.issuer != nil
	case kindSPIFFE, kindDNS, kindEmail, kindSubject:
		return g.certificates
	case kindEverybody:
	}
	return true
}

// Run keeps tokens and the issuer's keys up to date until the context ends, which is no error.
func (g *Guard) Run(ctx context.Context) error {
	var running sync.WaitGroup
	if g.tokens != nil {
		running.Go(func() { g.tokens.run(ctx) })
	}
	if g.issuer != nil {
		running.Go(func() { g.issuer.keys.run(ctx) })
	}
	running.Wait()
	<-ctx.Done()
	return nil
}

// Open reports that nothing proves who calls, so that everybody is an operator.
func (g *Guard) Open() bool { return !g.certificates && g.tokens == nil && g.issuer == nil }

// Public reports whether an operation is open to everybody, whoever proves what. Those are the questions of probes.
func (g *Guard) Public(operation string) bool { return g.permissions[operation].open }

// State is how up to date the guard is, for health and metrics.
type State struct {
	// Tokens is how many static tokens there are; TokensErr is why the file as it is now is not in use, nil where it is.
	Tokens    int
	TokensErr error
	// Keys is how many keys of the issuer are known, since Fetched, which is zero if they never were; KeysErr is why the last
	// attempt to fetch them failed, nil if it did not.
	Keys    int
	Fetched time.Time
	KeysErr error
}

// State is as of now.
func (g *Guard) State() State {
	var s State
	if g.tokens != nil {
		s.Tokens, s.TokensErr = g.tokens.state()
	}
	if g.issuer != nil {
		s.Keys, s.Fetched, s.KeysErr = g.issuer.keys.state()
	}
	return s
}

// Admit finds out who calls and whether the caller may do what it asks for. The operation is one of [Operations]: the full name
// of a gRPC method, or for what only HTTP has a method and the endpoint's path below the base path ("GET /prometheus"). The
// request is the gRPC method's message, where it is known by then; it is nil for a stream and for HTTP.
//
// It fails with an [*UnauthenticatedError], an [*UnavailableError], or a [*DeniedError], with which the caller is returned
// too. Where an operation is open to everybody the credentials are not looked at, and the caller may do nothing.
func (g *Guard) Admit(ctx context.Context, c Credentials, operation string, request any) (caller.Caller, error) {
	needs := g.permissions[operation]
	if needs.open && !g.Open() {
		return caller.Caller{}, nil
	}
	who, err := g.authenticate(ctx, c)
	if err != nil {
		return caller.Caller{}, err
	}
	if why := needs.refuses(who, request); why != "" {
		return who, &DeniedError{Caller: who, Operation: operation, Why: why}
	}
	return who, nil
}

// authenticate finds out who calls. Where a header and a certificate tell it, the header does, because it was put there for
// this call; and if it is no good the call is refused, because falling back would hide that until it matters.
func (g *Guard) authenticate(ctx context.Context, c Credentials) (caller.Caller, error) {
	if g.Open() {
		return caller.Caller{Role: caller.Operator}, nil
	}
	var id identity
	var err error
	switch {
	case len(c.Authorization) > 0:
		id, err = g.bearer(ctx, c.Authorization)
	case g.certificates && c.TLS != nil && len(c.TLS.VerifiedChains) > 0:
		id, err = certified(c.TLS.VerifiedChains[0][0], time.Now())
	default:
		err = unauthenticated("none was sent")
	}
	if err != nil {
		return caller.Caller{}, err
	}
	who := caller.Caller{Name: id.names[0], Role: g.roles.of(id)}
	if who.Role == caller.Holder {
		who.MaxTTL = g.maxTTL
	}
	return who, nil
}

// bearer finds out whose a bearer token is.
func (g *Guard) bearer(ctx context.Context, headers []string) (identity, error) {
	token, err := bearerOf(headers)
	switch {
	case err != nil:
		return identity{}, err
	case isStatic(token) && g.tokens == nil:
		return identity{}, unauthenticated("a static token was sent, and auth.tokens-file is not set")
	case isStatic(token):
		return g.tokens.identify(token)
	case isJWT(token) && g.issuer == nil:
		return identity{}, unauthenticated("a JWT was sent, and auth.jwt.issuer is not set")
	case isJWT(token):
		return g.issuer.identify(ctx, token)
	}
	return identity{}, unauthenticated(fmt.Sprintf("the bearer token is neither a static token, which begins with %s, nor a JWT", tokenPrefix))
}
