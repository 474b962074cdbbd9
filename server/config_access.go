package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"
)

// SSLConfig says how both doors speak TLS.
type SSLConfig struct {
	// Files are this server's certificate and key, and what clients' certificates are checked with. All are empty where
	// there is no TLS.
	Files TLSFiles
	// ClientAuth is whether clients show a certificate. It is none without TLS.
	ClientAuth ClientAuth
	// MinVersion is the least version of TLS, as crypto/tls numbers them.
	MinVersion uint16
}

// On reports that the doors speak TLS.
func (c SSLConfig) On() bool { return c.Files.Certificate != "" }

// ClientAuth is whether clients show a certificate, in Spring's words.
type ClientAuth string

// The answers.
const (
	ClientAuthNone ClientAuth = "none"
	ClientAuthWant ClientAuth = "want"
	ClientAuthNeed ClientAuth = "need"
)

// AuthConfig says who may call, and what.
type AuthConfig struct {
	// TokensFile has the static tokens; empty where there are none.
	TokensFile string
	JWT        JWTConfig
	// Viewers, Holders and Operators are matchers of callers (docs/security.md). One at least is there if and only if
	// something tells who calls.
	Viewers, Holders, Operators []string
	// HolderMaxTTL is how long a holder's hold may live.
	HolderMaxTTL time.Duration
}

// JWTConfig says whose tokens are taken.
type JWTConfig struct {
	// Issuer is the provider's URL; empty where no JWT is taken.
	Issuer string
	// Audience are the names of this service, of which a token must have one. There is one at least where Issuer is set.
	Audience []string
	// Algorithms are the signatures that are taken, by their JOSE names.
	Algorithms []string
	// ClockSkew is how far the provider's clock may be off.
	ClockSkew time.Duration
	// CA is a PEM file of authorities; empty for those that the system trusts.
	CA string
}

// AuditConfig says where the audit log is written.
type AuditConfig struct {
	// Path is a file, "-" for standard output, or empty for no log.
	Path string
	// MaxSize in bytes is when a file is put aside; Keep is how many of these are kept.
	MaxSize int64
	Keep    int
	// OnFailure is what becomes of a pause that cannot be logged.
	OnFailure AuditFailure
}

// AuditFailure is what becomes of a pause that the audit log cannot take.
type AuditFailure string

// The answers.
const (
	AuditRefuse AuditFailure = "refuse"
	AuditAllow  AuditFailure = "allow"
)

// LimitsConfig bounds what each caller may ask for; 0 is no bound.
type LimitsConfig struct {
	CallsPerSecond, Burst, ConcurrentCalls, Watchers int
	// Connections is for each door, whoever calls.
	Connections int
}

// ExposureConfig says which endpoints there are, by their ids; "*" in Include is all of them.
type ExposureConfig struct{ Include, Exclude []string }

// HealthDetails is who sees the health of components.
type HealthDetails string

// The answers, in Spring's words.
const (
	DetailsNever          HealthDetails = "never"
	DetailsWhenAuthorized HealthDetails = "when-authorized"
	DetailsAlways         HealthDetails = "always"
)

// authenticated reports that callers have to prove who they are.
func (c *Config) authenticated() bool {
	return c.Auth.TokensFile != "" || c.Auth.JWT.Issuer != "" || c.SSL.ClientAuth != ClientAuthNone
}

// completeAddress opens the doors to others only where something guards them.
func (c *Config) completeAddress() {
	if c.HTTP.Address == "" {
		switch {
		case c.authenticated():
			c.HTTP.Address = Everywhere
			c.settings["server.address"] = setting{Everywhere, "because there is authentication"}
		case c.SSL.On():
			c.HTTP.Address = Everywhere
			c.settings["server.address"] = setting{Everywhere, "because there is TLS"}
		default:
			c.HTTP.Address = "127.0.0.1"
			c.settings["server.address"] = setting{"127.0.0.1", "because there is neither TLS nor authentication"}
		}
	}
	if c.GRPC.Address == "" {
		c.GRPC.Address = c.HTTP.Address
		c.settings["grpc.address"] = setting{c.HTTP.Address, "as server.address"}
	}
}

// checkAccess refuses what would let in other callers than was meant.
func (c *Config) checkAccess() error {
	return errors.Join(c.checkSSL(), c.checkJWT(), c.checkRoles(), c.onlyWith("audit.path", c.Audit.Path != "", "audit."))
}

func (c *Config) checkSSL() error {
	files, trust := c.SSL.Files, c.SSL.Files.CA != ""
	err := c.onlyWith("server.ssl.certificate", c.SSL.On(), "server.ssl.")
	switch {
	case err != nil:
		return err
	case (files.Certificate == "") != (files.Key == ""):
		return errors.New("server.ssl.certificate and server.ssl.certificate-private-key are of use only together: set both or neither")
	case trust != (c.SSL.ClientAuth != ClientAuthNone):
		return fmt.Errorf("server.ssl.trust-certificate is what clients' certificates are checked with, and %s: set both or neither",
			c.tell("server.ssl.client-auth"))
	}
	return c.checkFiles(files, "server.ssl.trust-certificate", "server.ssl.certificate", "server.ssl.certificate-private-key")
}

func (c *Config) checkJWT() error {
	err := c.onlyWith("auth.jwt.issuer", c.Auth.JWT.Issuer != "", "auth.jwt.")
	switch {
	case err != nil:
		return err
	case c.Auth.JWT.Issuer != "" && len(c.Auth.JWT.Audience) == 0:
		return fmt.Errorf("%s needs auth.jwt.audience: a token that was given to another service must not open this one",
			c.tell("auth.jwt.issuer"))
	}
	return c.checkFiles(TLSFiles{CA: c.Auth.JWT.CA}, "auth.jwt.ca")
}

func (c *Config) checkRoles() error {
	roles := len(c.Auth.Viewers) + len(c.Auth.Holders) + len(c.Auth.Operators)
	switch {
	case c.authenticated() && roles == 0:
		return errors.New("callers have to prove who they are, but nobody may do anything: set auth.roles.operator, and auth.roles.holder " +
			"or auth.roles.viewer for others")
	case !c.authenticated() && roles > 0:
		return errors.New("auth.roles says who may do what, but nothing tells who calls: set auth.tokens-file, auth.jwt.issuer or " +
			"server.ssl.client-auth")
	}
	return c.onlyWith("auth.roles.holder", len(c.Auth.Holders) > 0, "auth.holder-")
}

// onlyWith refuses the keys below a prefix where the one that they are for is not set, and forgets their defaults.
func (c *Config) onlyWith(with string, set bool, prefix string) error {
	if set {
		return nil
	}
	return c.forget(func(key Key) bool { return key.Name != with && strings.HasPrefix(key.Name, prefix) },
		"is of use only with "+with+", which is not set")
}

// accessExposures warns of what is allowed but dangerous about the doors.
func (c *Config) accessExposures() []string {
	var warnings []string
	for _, door := range []struct {
		key  string
		door Listener
	}{{"server.address", c.HTTP}, {"grpc.address", c.GRPC}} {
		switch {
		case door.door.Off() || isLoopback(door.door.Address):
		case !c.authenticated() && !c.SSL.On():
			warnings = append(warnings, c.tell(door.key)+" is not loopback"+unprotected)
		case !c.authenticated():
			warnings = append(warnings, c.tell(door.key)+
				" is not loopback, and there is no authentication: whoever reaches it can pause and resume exporting")
		case !c.SSL.On():
			warnings = append(warnings, c.tell(door.key)+
				" is not loopback, and there is no TLS: tokens can be read on the way, unless a mesh encrypts it")
		}
	}
	if c.SSL.On() && c.SSL.MinVersion < tls.VersionTLS13 {
		warnings = append(warnings, c.tell("server.ssl.enabled-protocols")+" lets clients speak an older TLS than 1.3")
	}
	if c.authenticated() && c.Audit.Path == "" {
		warnings = append(warnings, "audit.path is not set: what authenticated callers did is in the ordinary log alone")
	}
	return warnings
}
