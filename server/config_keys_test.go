package server_test

import (
	"crypto/tls"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/exportgate/exportgate/server"
)

var update = flag.Bool("update", false, "rewrite the documentation and the golden files")

// TestKeys proves that each key arrives from the file, from each of its environment variables and from its flag, and
// that each overrides the one before.
func TestKeys(t *testing.T) {
	rows := fileTests(t)
	maps.Copy(rows, keyTests)
	for _, key := range server.Keys() {
		t.Run(key.Name, func(t *testing.T) {
			row, ok := rows[key.Name]
			if !ok {
				t.Fatal("the table has no row for this key")
			}
			load := func(opts server.LoadOptions) {
				t.Helper()
				c, err := server.Load(opts)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(row.want, row.get(c)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", key.Name, diff)
				}
			}
			rest := without(besides(key.Name, rows), key)

			for _, name := range names(key) {
				load(server.LoadOptions{File: writeFile(t, name+": "+quote(row.text)), Env: rest})
				load(server.LoadOptions{File: writeFile(t, nested(name, quote(row.text))), Env: rest})
			}
			weaker := writeFile(t, key.Name+": "+quote(other(key.Name)))
			for _, env := range key.Env() {
				load(server.LoadOptions{File: weaker, Env: append(rest, env+"="+row.text)})
			}
			if key.Secret {
				return
			}
			flags := parseFlags(t, "--"+key.Name+"="+row.text)
			load(server.LoadOptions{File: weaker, Env: append(rest, key.Env()[0]+"="+other(key.Name)), Flags: flags})
		})
	}
	if len(rows) != len(server.Keys()) {
		t.Errorf("the tables have %d rows for %d keys", len(rows), len(server.Keys()))
	}
}

// other is a valid value of a key that differs from the one in its row.
func other(key string) string {
	for _, k := range server.Keys() {
		if k.Name == key && k.Default != "" {
			return k.Default
		}
	}
	switch key {
	case "zeebe.brokers":
		return "http://other:9600"
	case "management.endpoints.web.exposure.exclude":
		return "info"
	case "server.servlet.context-path":
		return "/x"
	case "auth.jwt.issuer", "zeebe.oauth.token-url":
		return "https://other.example"
	case "auth.roles.viewer", "auth.roles.holder", "auth.roles.operator":
		return "dns:other"
	case "exporting.guard.min-free-disk":
		return "1GB"
	case "zeebe.gateway":
		return "other:26500"
	case "zeebe.version":
		return "8.8"
	case "store.etcd.endpoints":
		return "https://b:2379"
	case "grpc.address":
		return "127.0.0.2"
	}
	return "3"
}

func TestEnvironmentNames(t *testing.T) {
	got := map[string][]string{}
	for _, key := range server.Keys() {
		got[key.Name] = key.Env()
	}
	for name, want := range map[string][]string{
		"server.port":           {"SERVER_PORT", "MANAGEMENT_SERVER_PORT"},
		"zeebe.request-timeout": {"ZEEBE_REQUEST_TIMEOUT", "ZEEBE_REQUESTTIMEOUT"},
		"management.endpoints.web.base-path": {
			"MANAGEMENT_ENDPOINTS_WEB_BASE_PATH", "MANAGEMENT_ENDPOINTS_WEB_BASEPATH",
		},
		"exporting.allow-soft-to-hard": {"EXPORTING_ALLOW_SOFT_TO_HARD", "EXPORTING_ALLOWSOFTTOHARD"},
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDefaults(t *testing.T) {
	c, err := server.Load(server.LoadOptions{EmbeddedCluster: true})
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	want := &server.Config{
		Name:            host,
		HTTP:            server.Listener{Port: 9600, Address: "127.0.0.1"},
		GRPC:            server.Listener{Port: 9601, Address: "127.0.0.1"},
		BasePath:        "/actuator",
		Response:        server.ResponseEnvelope,
		ShutdownTimeout: 30 * time.Second,
		Exposure:        server.ExposureConfig{Include: []string{"*"}},
		HealthDetails:   server.DetailsWhenAuthorized,
		SSL:             server.SSLConfig{ClientAuth: server.ClientAuthNone, MinVersion: tls.VersionTLS13},
		Auth: server.AuthConfig{
			JWT: server.JWTConfig{
				Algorithms: []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"},
				ClockSkew:  30 * time.Second,
			},
			HolderMaxTTL: 24 * time.Hour,
		},
		Audit:  server.AuditConfig{MaxSize: 100e6, Keep: 10, OnFailure: server.AuditRefuse},
		Limits: server.LimitsConfig{CallsPerSecond: 50, Burst: 200, ConcurrentCalls: 100, Watchers: 1000, Connections: 4096},
		Zeebe:  server.ZeebeConfig{RequestTimeout: 8 * time.Second, Concurrency: 64},
		Exporting: server.ExportingConfig{
			Timeout:           30 * time.Second,
			OnFailure:         server.OnFailureRevert,
			ConfirmInterval:   500 * time.Millisecond,
			Drain:             6 * time.Second,
			ReconcileInterval: 5 * time.Second,
			OnForeignChange:   server.ForeignEnforce,
			Guard:             server.GuardConfig{Policy: server.GuardWarn},
		},
		Holds: server.HoldsConfig{DefaultTTL: time.Hour, MaxTTL: 24 * time.Hour},
		Store: server.StoreConfig{Type: server.StoreBolt},
		Log:   server.LogConfig{Level: server.LogInfo, Format: server.LogText},
	}
	if diff := cmp.Diff(want, c, ignoreUnexported); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDocumentation proves that the table of docs/configuration.md is this one. Run with -update to rewrite it.
func TestDocumentation(t *testing.T) {
	const begin, end = "<!-- keys: begin -->\n", "<!-- keys: end -->\n"
	path := filepath.Join("..", "docs", "configuration.md")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(content), begin)
	table, tail, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatalf("%s lacks the lines %q and %q", path, begin, end)
	}
	want := keysAsMarkdown()
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, table); diff != "" {
		t.Errorf("%s is not what the keys say; run this test with -update (-want +got):\n%s", path, diff)
	}
}

func keysAsMarkdown() string {
	var b strings.Builder
	b.WriteString("| key | environment | default | what it does |\n|---|---|---|---|\n")
	for _, key := range server.Keys() {
		var env []string
		for _, name := range names(key) {
			env = append(env, "`"+strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))+"`")
		}
		value := ""
		if key.Default != "" {
			value = "`" + key.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", key.Name, strings.Join(env, ", "), value, key.Doc)
	}
	return b.String()
}

// names is the key's name and its alias.
func names(key server.Key) []string {
	if key.Alias == "" {
		return []string{key.Name}
	}
	return []string{key.Name, key.Alias}
}

// without drops what sets the key from an environment.
func without(env []string, key server.Key) []string {
	var rest []string
	for _, variable := range env {
		if name, _, _ := strings.Cut(variable, "="); name != key.Env()[0] {
			rest = append(rest, variable)
		}
	}
	return rest
}

// nested writes `a.b: x` as `a:\n  b: x`.
func nested(name, text string) string {
	words := strings.Split(name, ".")
	var b strings.Builder
	for depth, word := range words {
		fmt.Fprintf(&b, "\n%s%s:", strings.Repeat("  ", depth), word)
	}
	return b.String() + " " + text
}

func quote(text string) string { return "'" + text + "'" }

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "exportgate.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func parseFlags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	server.RegisterFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return flags
}
