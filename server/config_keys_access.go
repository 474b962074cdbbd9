package server

import (
	"strings"
	"time"

	"github.com/exportgate/exportgate/server/internal/auth"
)

// accessKeys are who may call, how often, and what is remembered of it.
func accessKeys() []Key {
	return []Key{
		{
			Name: "auth.tokens-file",
			Doc: "File of static tokens, a line each: a name and the token's hash, as `exportgate token` prints them. It is read again when it " +
				"changes.",
			set: into(func(c *Config) *string { return &c.Auth.TokensFile }, parsePath),
		},
		{
			Name: "auth.jwt.issuer",
			Doc:  "URL of the OpenID provider whose tokens (JWT) are taken. Its keys are found by discovery, and followed when they change.",
			set:  into(func(c *Config) *string { return &c.Auth.JWT.Issuer }, parseIssuer),
		},
		{
			Name: "auth.jwt.audience",
			Doc: "Audiences, separated by commas, of which a token must name one. Needed with `auth.jwt.issuer`: a token that was given to another " +
				"service must not open this one.",
			set: into(func(c *Config) *[]string { return &c.Auth.JWT.Audience }, parseWords),
		},
		{
			Name: "auth.jwt.algorithms", Default: strings.Join(auth.Algorithms(), ","),
			Doc: "Signatures that are taken, separated by commas. None that is made with a shared secret is possible.",
			set: into(func(c *Config) *[]string { return &c.Auth.JWT.Algorithms }, parseAlgorithms),
		},
		{
			Name: "auth.jwt.clock-skew", Default: "30s",
			Doc: "How far the provider's clock may be off.",
			set: into(func(c *Config) *time.Duration { return &c.Auth.JWT.ClockSkew }, parseSkew),
		},
		{
			Name: "auth.jwt.ca",
			Doc:  "PEM file of the authorities that the provider's certificate is checked with. By default those that the system trusts.",
			set:  into(func(c *Config) *string { return &c.Auth.JWT.CA }, parsePath),
		},
		{
			Name: "auth.roles.viewer",
			Doc: "Who may look at the status and metrics, separated by commas: `token:NAME`, `spiffe://DOMAIN/PATH` (`/*` at its end is every path " +
				"below), `dns:NAME`, `email:ADDRESS`, `subject:DN`, `jwt:ISSUER#SUBJECT`, `claim:NAME=VALUE` of a JWT, or `*` for everybody who is authenticated.",
			set: into(func(c *Config) *[]string { return &c.Auth.Viewers }, auth.SplitEntries),
		},
		{
			Name: "auth.roles.holder",
			Doc:  "Who may also place, renew and release named holds of their own.",
			set:  into(func(c *Config) *[]string { return &c.Auth.Holders }, auth.SplitEntries),
		},
		{
			Name: "auth.roles.operator",
			Doc:  "Who may do everything: the anonymous hold, other people's holds, `force`, log levels.",
			set:  into(func(c *Config) *[]string { return &c.Auth.Operators }, auth.SplitEntries),
		},
		{
			Name: "auth.holder-max-ttl", Default: "24h",
			Doc: "How long a hold of a holder may live at most.",
			set: into(func(c *Config) *time.Duration { return &c.Auth.HolderMaxTTL }, parseTTL),
		},
		{
			Name: "audit.path",
			Doc:  "File of the audit log, or `-` for standard output. By default there is none.",
			set:  into(func(c *Config) *string { return &c.Audit.Path }, parseAuditPath),
		},
		{
			Name: "audit.max-size", Default: "100MB",
			Doc: "Size at which the file is put aside and a new one begun.",
			set: into(func(c *Config) *int64 { return &c.Audit.MaxSize }, parseAuditSize),
		},
		{
			Name: "audit.keep", Default: "10",
			Doc: "How many files that were put aside are kept.",
			set: into(func(c *Config) *int { return &c.Audit.Keep }, parseCount),
		},
		{
			Name: "audit.on-failure", Default: string(AuditRefuse),
			Doc: "What becomes of a pause that the audit log cannot take: `refuse` or `allow`. A resume is always carried out.",
			set: into(func(c *Config) *AuditFailure { return &c.Audit.OnFailure }, oneOf(AuditRefuse, AuditAllow)),
		},
		{
			Name: "limits.calls-per-second", Default: "50",
			Doc: "How often each caller may call, in the long run. `0` is no limit, for this and the other `limits`.",
			set: into(func(c *Config) *int { return &c.Limits.CallsPerSecond }, parseLimit),
		},
		{
			Name: "limits.burst", Default: "200",
			Doc: "How many calls each caller may make at once that has not called for a while.",
			set: into(func(c *Config) *int { return &c.Limits.Burst }, parseLimit),
		},
		{
			Name: "limits.concurrent-calls", Default: "100",
			Doc: "How many calls of each caller may be under way at a time.",
			set: into(func(c *Config) *int { return &c.Limits.ConcurrentCalls }, parseLimit),
		},
		{
			Name: "limits.watchers", Default: "1000",
			Doc: "How many streams of statuses each caller may have open.",
			set: into(func(c *Config) *int { return &c.Limits.Watchers }, parseLimit),
		},
		{
			Name: "limits.connections", Default: "4096",
			Doc: "How many connections each door takes. If there are more, the one that has been idle the longest is closed.",
			set: into(func(c *Config) *int { return &c.Limits.Connections }, parseLimit),
		},
	}
}
