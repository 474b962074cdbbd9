package logging

import (
	"log/slog"
	"slices"
	"strings"
)

// masked stands for a secret.
const masked = "******"

// replace masks secrets, and writes levels by their names here. It is the last that sees a value before it is written, and
// so catches what somebody logs without a thought; it is no leave to log secrets, for it goes by the key alone.
func replace(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) == 0 && attr.Key == slog.LevelKey {
		if level, ok := attr.Value.Any().(slog.Level); ok {
			attr.Value = slog.StringValue(LevelName(level))
		}
		return attr
	}
	if attr.Value.Kind() == slog.KindString && attr.Value.String() == "" {
		return attr // That there is none is worth knowing.
	}
	if namesSecret(attr.Key) || slices.ContainsFunc(groups, namesSecret) {
		attr.Value = slog.StringValue(masked)
	}
	return attr
}

// namesSecret reports whether what a key names is a secret: client_secret is one, secret_path is where one is.
func namesSecret(key string) bool {
	key = strings.ToLower(key)
	for _, secret := range []string{
		"authorization", "token", "password", "passwd", "passphrase", "secret", "cookie", "credential", "private_key", "api_key",
	} {
		if strings.HasSuffix(strings.TrimSuffix(key, "s"), secret) {
			return true
		}
	}
	return false
}
