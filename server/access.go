package server

import (
	"net"
	"time"

	"github.com/fullstorydev/grpchan/inprocgrpc"

	"github.com/exportgate/exportgate/server/internal/auth"
	"github.com/exportgate/exportgate/server/internal/interceptor"
	"github.com/exportgate/exportgate/server/internal/limits"
	"github.com/exportgate/exportgate/server/internal/telemetry"
)

// access is who is let in, and what every call passes on its way.
type access struct {
	guard *auth.Guard
	chain *interceptor.Chain
}

// openAccess begins to know callers.
func (s *Server) openAccess(cfg *Config) (*access, error) {
	guard, err := auth.New(authOptions(cfg, &s.surroundings))
	if err != nil {
		return nil, err
	}
	s.start("authentication", guard.Run)
	return &access{guard: guard, chain: interceptor.New(interceptor.Options{
		Logger: s.part("calls"), ClientContext: inprocgrpc.ClientContext, Guard: guard, Audit: s.audit,
		Limits: limits.New(limits.Options{
			CallsPerSecond: cfg.Limits.CallsPerSecond, Burst: cfg.Limits.Burst, ConcurrentCalls: cfg.Limits.ConcurrentCalls,
			Watchers: cfg.Limits.Watchers, Failures: limits.DefaultFailures,
		}),
		Started: s.metrics.Started, Observe: s.metrics.Call, Refused: s.metrics.Refused, Tracing: s.tracing.TracerProvider(),
	})}, nil
}

func authOptions(cfg *Config, s *surroundings) auth.Options {
	jwt := auth.JWT{
		Issuer: cfg.Auth.JWT.Issuer, Audience: cfg.Auth.JWT.Audience, Algorithms: cfg.Auth.JWT.Algorithms, ClockSkew: cfg.Auth.JWT.ClockSkew,
	}
	if s.files.issuer != nil {
		jwt.DialTLS = s.files.issuer.DialTLS(&net.Dialer{Timeout: connectTimeout})
	}
	return auth.Options{
		Certificates: cfg.SSL.ClientAuth != ClientAuthNone, TokensFile: cfg.Auth.TokensFile, JWT: jwt,
		Roles:        auth.Roles{Viewer: cfg.Auth.Viewers, Holder: cfg.Auth.Holders, Operator: cfg.Auth.Operators},
		HolderMaxTTL: cfg.Auth.HolderMaxTTL, Logger: s.part("auth"),
	}
}

// limited bounds the connections of a door.
func (s *Server) limited(l net.Listener, cfg *Config, name string) net.Listener {
	door := limits.NewDoor(l, limits.ListenerOptions{
		Max: cfg.Limits.Connections, Refused: func() { s.metrics.ConnectionRefused(name) },
		Displaced: func() { s.metrics.ConnectionDisplaced(name) },
	})
	s.open[name] = door.Open
	return door
}

// connectTimeout bounds every connection that this server makes to an identity provider, with its TLS.
const connectTimeout = 10 * time.Second

// identity is what metrics tell of the identity provider.
func (a *access) identity(issuer string) func() telemetry.Identity {
	if issuer == "" {
		return nil
	}
	return func() telemetry.Identity {
		state := a.guard.State()
		return telemetry.Identity{Issuer: issuer, Keys: state.Keys, Err: state.KeysErr}
	}
}

// NewToken makes a static token, and the line of the tokens file that takes it for a name's.
func NewToken(name string) (token, line string, err error) {
	token, hash := auth.NewToken()
	line, err = auth.TokenLine(name, hash)
	return token, line, err
}
