package auth

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/exportgate/exportgate/server/internal/certs/certstest"
)

// issue serves an issuer on a real port, with a certificate of an authority.
func issue(t *testing.T, ca *certstest.Authority, keys http.HandlerFunc) string {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewUnstartedServer(mux)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, certstest.Leaf{IP: []string{"127.0.0.1"}}).TLS}}
	server.StartTLS()
	t.Cleanup(server.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": server.URL, "jwks_uri": server.URL + "/keys"})
	})
	mux.HandleFunc("/keys", keys)
	return server.URL
}

// dial trusts an authority alone.
func dial(ca *certstest.Authority) func(context.Context, string, string) (net.Conn, error) {
	return (&tls.Dialer{Config: &tls.Config{RootCAs: ca.Pool()}}).DialContext
}

func TestFetch(t *testing.T) {
	key := newSigner(t, "a", jose.ES256)
	public, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.public()}})
	if err != nil {
		t.Fatal(err)
	}
	answer := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(public) }
	ca := certstest.NewAuthority(t, "ca")
	elsewhere := issue(t, ca, answer)
	tests := map[string]struct {
		keys  http.HandlerFunc
		trust *certstest.Authority
		err   string
	}{
		"as it should be": {answer, ca, ""},
		"not trusted":     {answer, certstest.NewAuthority(t, "other"), "discovery: "},
		"moved within": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery == "" {
				http.Redirect(w, r, "/keys?moved", http.StatusFound)
				return
			}
			answer(w, r)
		}, ca, ""},
		"moved for ever": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/keys", http.StatusFound)
		}, ca, "leads elsewhere"},
		"moved elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere+"/keys", http.StatusFound)
		}, ca, "leads elsewhere"},
		"too much": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.Repeat(" ", maxAnswer+1)))
		}, ca, "too large"},
		"not there": {http.NotFound, ca, "404"},
		"an essay": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys": "` + strings.Repeat("é", 1000) + `"}`))
		}, ca, "no set of keys"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			client := newClient(dial(test.trust))
			defer client.CloseIdleConnections()
			set, err := fetch(t.Context(), client, issue(t, ca, test.keys))
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) || len(set) > 1 {
				t.Errorf("error %v, %d keys", err, len(set))
			}
			if err != nil && len(err.Error()) > 2*maxReason {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

// What an issuer answers may become an error, which has to fit into a line.
func TestShortened(t *testing.T) {
	content := []byte(`{"keys": "` + strings.Repeat("\xff", 100) + `"}`)
	if _, err := parseKeys(content); err == nil {
		t.Error("taken for keys")
	}
	long := shortened(errors.New(strings.Repeat("é", 1000)))
	if len(long.Error()) > maxReason+len("…") || !strings.HasSuffix(long.Error(), "é…") {
		t.Errorf("%d bytes: %v", len(long.Error()), long)
	}
}
