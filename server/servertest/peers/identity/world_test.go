package identity_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server"
	"github.com/exportgate/exportgate/server/internal/audit"
	"github.com/exportgate/exportgate/server/internal/auth"
	"github.com/exportgate/exportgate/server/internal/certs/certstest"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"

	"github.com/exportgate/exportgate/server/servertest/peers/provider"
)

// audience is what tokens for the server are for.
const audience = "exportgate"

// holderTTL is how long a holder's hold may live.
const holderTTL = 2 * time.Hour

// world is a server that knows callers by certificates, static tokens and a provider's tokens at once, over TLS and a small
// cluster, and everything that it and its callers said.
type world struct {
	cluster  *embedded.Cluster
	server   *server.Server
	config   *server.Config
	provider *provider.Provider

	doors, clients *certstest.Authority // who issues the server's certificate, and its callers'
	tokens         *tokenFile
	audit          string // path of its audit log

	secrets *secrets
	log     *transcript // all that the server logs, at every level
	told    *transcript // all that callers were answered
	address atomic.Uint32
}

// start starts a world whose provider may be away.
func start(t *testing.T, p *provider.Provider) *world {
	t.Helper()
	w := &world{
		provider: p, doors: certstest.NewAuthority(t, "doors"), clients: certstest.NewAuthority(t, "clients"),
		secrets: &secrets{}, log: &transcript{}, told: &transcript{}, audit: filepath.Join(t.TempDir(), "audit.log"),
	}
	w.tokens = newTokenFile(t, w.secrets)
	for _, name := range []string{"none", "viewer", "holder", "operator", "neighbour"} {
		w.tokens.add(t, name)
	}
	var err error
	w.cluster, err = embedded.Start(t.Context(), embedded.Options{
		Dir: t.TempDir(), Partitions: 1, WriteInterval: 100 * time.Millisecond, ApplyDelay: -1,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)).With("of", "cluster"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.cluster.Close(); err != nil {
			t.Errorf("the cluster does not close: %v", err)
		}
	})
	w.serve(t)
	return w
}

// serve starts the server. It ends before anything else of the world, and whatever it said is then searched for secrets.
func (w *world) serve(t *testing.T) {
	t.Helper()
	door, trust := w.doors.Issue(t, certstest.Leaf{DNS: []string{"localhost"}, CommonName: "door"}), filepath.Join(t.TempDir(), "clients.crt")
	w.secrets.addKey(t, "the door's private key", door.Key)
	files := door.Write(t, t.TempDir())
	certstest.WriteFile(t, trust, w.clients.PEM())
	settings := map[string]string{
		"server.address": "127.0.0.1", "server.ssl.certificate": files.Certificate, "server.ssl.certificate-private-key": files.Key,
		"server.ssl.trust-certificate": trust, "server.ssl.client-auth": "want",
		"auth.tokens-file": w.tokens.path, "auth.jwt.issuer": w.provider.Issuer(), "auth.jwt.audience": audience,
		"auth.roles.viewer": matchers("viewer"), "auth.roles.holder": matchers("holder") + ",token:neighbour",
		"auth.roles.operator": matchers("operator"), "auth.holder-max-ttl": holderTTL.String(),
		"audit.path": w.audit, "limits.calls-per-second": "0", "limits.concurrent-calls": "0",
		"exporting.confirm-interval": "20ms", "exporting.drain": "200ms",
	}
	w.config = servertest.Load(t, servertest.Settings(t, w.cluster, servertest.Options{Settings: settings}))
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
	var err error
	if w.server, err = server.New(t.Context(), w.config, log); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.server.Run(ctx) }()
	t.Cleanup(func() {
		w.keepPages(t)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server does not end well: %v", err)
		}
		w.findSecrets(t)
	})
}

// matchers are who has a role, by every way to prove it.
func matchers(role string) string {
	return strings.Join([]string{
		"token:" + role, "claim:groups=" + role + "s", "spiffe://example.test/" + role + "s/*", "dns:" + role + ".test",
		"email:" + role + "@example.test", "subject:CN=" + role,
	}, ",")
}

// keepPages keeps what the server tells of itself.
func (w *world) keepPages(t *testing.T) {
	t.Helper()
	operator := w.dial(t, servertest.HTTP, w.static("operator"))
	for _, path := range []string{"/health", "/prometheus", "/info", "/loggers", "/exporting", "/"} {
		if a := operator.get(t, path); a.code != 0 {
			t.Errorf("an operator's GET %s was answered %v", path, a)
		}
	}
	if err := w.config.Print(w.told); err != nil {
		t.Error(err)
	}
}

// findSecrets fails the test if anything that anybody was told, or that is kept, has a secret in it.
func (w *world) findSecrets(t *testing.T) {
	t.Helper()
	kept, err := os.ReadFile(w.audit)
	if err != nil {
		t.Fatal(err)
	}
	for where, content := range map[string][]byte{"the log": w.log.bytes(), "the audit log": kept, "an answer": w.told.bytes()} {
		if len(content) == 0 {
			t.Errorf("there is nothing in %s", where)
		}
		for _, found := range w.secrets.in(content) {
			t.Errorf("%s has %s in it", where, found)
		}
	}
}

// nextAddress is one of this machine's that no other client of this world calls from, since invalid credentials are
// limited by it.
func (w *world) nextAddress() netip.Addr {
	n := w.address.Add(1)
	return netip.AddrFrom4([4]byte{127, 1, byte(n >> 8), byte(n)})
}

// metric is the sum of what a metric says, of those of its series that have the labels, each as in name="value".
func (w *world) metric(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	sum := 0.0
	for line := range strings.Lines(string(w.dial(t, servertest.HTTP, w.static("operator")).raw(t, "/prometheus"))) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		has := func(label string) bool { return strings.Contains(series, label) }
		if rest, is := strings.CutPrefix(series, name); !is || rest != "" && rest[0] != '{' || !every(labels, has) {
			continue
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		sum += number
	}
	return sum
}

func every(labels []string, has func(string) bool) bool {
	return !slices.ContainsFunc(labels, func(label string) bool { return !has(label) })
}

// lines are the audit log's so far, of some kinds.
func (w *world) lines(t *testing.T, kinds ...audit.Kind) []audit.Line {
	t.Helper()
	content, err := os.ReadFile(w.audit)
	if err != nil {
		t.Fatal(err)
	}
	var lines []audit.Line
	for text := range bytes.Lines(content) {
		if !bytes.HasSuffix(text, []byte("\n")) {
			break // It is being written.
		}
		var line audit.Line
		if err := json.Unmarshal(text, &line); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if slices.Contains(kinds, line.Kind) {
			lines = append(lines, line)
		}
	}
	return lines
}

// trusting is how clients of this world speak TLS, with a certificate if they have one.
func (w *world) trusting(certificate *tls.Certificate) *tls.Config {
	config := &tls.Config{RootCAs: w.doors.Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS13}
	if certificate != nil {
		// Also one that the server does not ask for: whether it takes it is for the server to say.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	return config
}

// tokenFile is a file of static tokens.
type tokenFile struct {
	path    string
	secrets *secrets

	mu     sync.Mutex
	tokens map[string]string // by name
	lines  map[string]string
}

func newTokenFile(t *testing.T, s *secrets) *tokenFile {
	t.Helper()
	return &tokenFile{
		path: filepath.Join(t.TempDir(), "tokens"), secrets: s, tokens: map[string]string{}, lines: map[string]string{},
	}
}

// add gives somebody a token, instead of the one before.
func (f *tokenFile) add(t *testing.T, name string) string {
	t.Helper()
	token, hash := auth.NewToken()
	f.secrets.add("the token of "+name, token)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokens[name], f.lines[name] = token, fmt.Sprintf("%s %s\n", name, hash)
	f.write(t)
	return token
}

// revoke takes somebody's token away.
func (f *tokenFile) revoke(t *testing.T, name string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.lines, name)
	f.write(t)
}

func (f *tokenFile) of(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tokens[name]
}

func (f *tokenFile) write(t *testing.T) {
	t.Helper()
	certstest.WriteFile(t, f.path, []byte(strings.Join(slices.Collect(maps.Values(f.lines)), "")))
}
