package logging

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretsAreMasked(t *testing.T) {
	const secret = "hunter2"
	secrets := []string{
		"authorization", "Authorization", "proxy_authorization", "token", "access_token", "accessToken", "tokens", "password",
		"passwd", "key_passphrase", "secret", "client_secret", "cookie", "Set-Cookie", "cookies", "credentials", "private_key", "api_key",
	}
	shown := []string{"secret_path", "tokens_file", "name", "hold", "method", "key", "audience"}
	for _, format := range []Format{Text, JSON} {
		var out bytes.Buffer
		log := New(&out, format, slog.LevelInfo).Logger()
		for _, key := range secrets {
			out.Reset()
			log.Info("a line", key, secret)
			log.With(key, secret).Info("a line")
			log.WithGroup("a").Info("a line", slog.Group("b", key, secret))
			log.Info("a line", slog.Group(key, "value", secret, slog.Group("deeper", "value", secret)))
			log.Info("a line", key, []string{secret})
			if strings.Contains(out.String(), secret) || strings.Count(out.String(), masked) != 6 {
				t.Errorf("%s in %s is written: %s", key, format, out.String())
			}
		}
		for _, key := range shown {
			out.Reset()
			log.Info("a line", key, secret)
			if !strings.Contains(out.String(), secret) {
				t.Errorf("%s in %s is masked: %s", key, format, out.String())
			}
		}
		out.Reset()
		if log.Info("a line", "token", ""); strings.Contains(out.String(), masked) {
			t.Errorf("an empty one in %s is masked: %s", format, out.String())
		}
	}
}

func TestLevelsHaveTheirNames(t *testing.T) {
	var out bytes.Buffer
	log := New(&out, JSON, LevelTrace).Logger()
	log.Log(t.Context(), LevelTrace, "a line")
	log.Warn("a line", slog.Group("g", "level", slog.LevelInfo+1))
	for _, want := range []string{`"level":"TRACE"`, `"level":"WARN"`, `"level":"INFO+1"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %s in %s", want, out.String())
		}
	}
}
