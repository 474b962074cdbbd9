package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/exportgate/exportgate/server"
)

// TestSecretsAreShownNowhere looks for a password in all that may be made of a configuration.
func TestSecretsAreShownNowhere(t *testing.T) {
	file := writeFile(t, "store.etcd.password: hunter2")
	for name, opts := range map[string]server.LoadOptions{
		"environment": {Env: etcd("STORE_ETCD_USERNAME=me", "STORE_ETCD_PASSWORD=hunter2")},
		"file":        {Env: etcd("STORE_ETCD_USERNAME=me"), File: file},
		"its own":     {Env: etcd("STORE_ETCD_USERNAME=me", "STORE_ETCD_PASSWORD_FILE="+writeFile(t, "hunter2\r\n"))},
	} {
		c, err := server.Load(opts)
		if err != nil {
			t.Fatal(err)
		}
		if c.Store.Etcd.Password != "hunter2" {
			t.Errorf("%s: the password has %d bytes and is another", name, len(c.Store.Etcd.Password))
		}
		var out bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("x", "config", c, "store", c.Store, "password", c.Store.Etcd.Password)
		}
		if err := json.NewEncoder(&out).Encode(c); err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			fmt.Fprintf(&out, verb+"\n"+verb+"\n", *c, c.Store.Etcd.Password)
		}
		printed := printConfig(t, c)
		out.WriteString(printed)
		for _, tell := range []string{"hunter2", "68756e74657232"} {
			if strings.Contains(out.String(), tell) {
				t.Errorf("%s: the password is shown:\n%s", name, out.String())
			}
		}
		if name != "its own" && !strings.Contains(printed, "password: '********' # ") {
			t.Errorf("%s: there is no sign of the password in\n%s", name, printed)
		}
	}
	if got := fmt.Sprintf("<%v>", server.Secret("")); got != "<>" {
		t.Errorf("no secret is shown as %s", got)
	}
}

// TestSecretsInABadFile proves that a file which YAML cannot read is not quoted.
func TestSecretsInABadFile(t *testing.T) {
	for _, line := range []string{
		"password: *hunter2", "password: &hunter2", "password: {hunter2}", "password: [[hunter2]]", "hunter2",
		"pasword: hunter2",
	} {
		_, err := server.Load(server.LoadOptions{Env: etcd(), File: writeFile(t, "store:\n  etcd:\n    "+line+"\n")})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got error %v, want one without the password", line, err)
		}
	}
}

func TestSecretsHaveNoFlag(t *testing.T) {
	flags := parseFlags(t)
	for _, key := range server.Keys() {
		if got := flags.Lookup(key.Name) == nil; got != key.Secret {
			t.Errorf("%s: has no flag: %v, is secret: %v", key.Name, got, key.Secret)
		}
	}
}
