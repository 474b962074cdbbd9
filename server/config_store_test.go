package server_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/exportgate/exportgate/server"
)

func TestStorePath(t *testing.T) {
	tests := []struct {
		name   string
		env    []string
		want   string // no path, and an error, if empty
		source string
	}{
		{
			name: "systemd", env: []string{"STATE_DIRECTORY=/var/lib/e:/b", "XDG_STATE_HOME=/x", home},
			want: "/var/lib/e", source: "$STATE_DIRECTORY",
		},
		{name: "desktop", env: []string{"XDG_STATE_HOME=/x", home}, want: "/x/exportgate", source: "$XDG_STATE_HOME"},
		{name: "home", env: []string{home}, want: "/home/me/.local/state/exportgate", source: "$HOME"},
		{
			name: "not absolute", env: []string{"STATE_DIRECTORY=", "XDG_STATE_HOME=x", home},
			want: "/home/me/.local/state/exportgate", source: "$HOME",
		},
		{name: "nowhere", env: []string{"HOME=.", "HOMEDRIVE=/c"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := server.Load(server.LoadOptions{Env: append(test.env, brokers)})
			if test.want == "" {
				if err == nil || !strings.Contains(err.Error(), "set store.path to a file") {
					t.Errorf("got error %v, want one that says to set store.path", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(test.want, "exportgate.db")
			if printed := printConfig(t, c); c.Store.Path != path || !strings.Contains(printed, "path: "+path+" # in "+test.source) {
				t.Errorf("got %s in\n%s\nwant %s", c.Store.Path, printed, path)
			}
			embedded, err := server.Load(server.LoadOptions{Env: test.env, EmbeddedCluster: true})
			if err != nil || embedded.Store.Path != "" {
				t.Errorf("got path %q and error %v for an embedded cluster, want neither", embedded.Store.Path, err)
			}
		})
	}
}

// etcd is a configuration of etcd that lacks nothing.
func etcd(more ...string) []string {
	return append([]string{brokers, "STORE_TYPE=etcd", "STORE_ETCD_ENDPOINTS=https://a:2379,https://b:2379"}, more...)
}

func TestStoreRefuses(t *testing.T) {
	files := newPair(t)
	other := newPair(t)
	empty, long, twoLines := writeFile(t, "\n"), writeFile(t, strings.Repeat("x", 4097)), writeFile(t, "hunter2\nx")
	tests := []struct {
		name string
		env  []string // etcd is added to it
		want []string
	}{
		{name: "etcd without members", env: []string{"STORE_ETCD_ENDPOINTS="}, want: []string{
			`store.type "etcd" (environment variable STORE_TYPE) needs store.etcd.endpoints`,
		}},
		{name: "etcd and a file", env: []string{"STORE_PATH=/a"}, want: []string{
			`store.path "/a" (environment variable STORE_PATH) is for bolt, and store.type "etcd"`,
		}},
		{name: "etcd's keys for bolt", env: []string{"STORE_TYPE=bolt", "STORE_ETCD_PREFIX=/a", home}, want: []string{
			`store.etcd.endpoints "https://a:2379,https://b:2379" (environment variable STORE_ETCD_ENDPOINTS) is for etcd, and ` +
				`store.type "bolt"`, `store.etcd.prefix "/a"`, "set store.type to etcd, or remove it",
		}},
		{name: "type", env: []string{"STORE_TYPE=redis"}, want: []string{`"redis" is not one of ["bolt" "etcd"]`}},

		{name: "no scheme", env: []string{"STORE_ETCD_ENDPOINTS=a:2379"}, want: []string{"such as https://etcd-0:2379"}},
		{name: "no port", env: []string{"STORE_ETCD_ENDPOINTS=https://a"}, want: []string{"such as https://etcd-0:2379"}},
		{name: "path", env: []string{"STORE_ETCD_ENDPOINTS=https://a:1/"}, want: []string{"such as https://etcd-0:2379"}},
		{name: "socket", env: []string{"STORE_ETCD_ENDPOINTS=unix://a:1"}, want: []string{"such as https://etcd-0:2379"}},
		{
			name: "member twice", env: []string{"STORE_ETCD_ENDPOINTS=http://a:1, http://a:1"},
			want: []string{"is there twice"},
		},
		{name: "with and without TLS", env: []string{"STORE_ETCD_ENDPOINTS=https://a:1,http://b:1"}, want: []string{
			`"http://b:1" is not https as the others are`,
		}},
		{name: "password in a URL", env: []string{"STORE_ETCD_ENDPOINTS=https://me:hunter2@a:1"}, want: []string{
			"set store.etcd.username and store.etcd.password-file",
		}},

		{name: "whole store", env: []string{"STORE_ETCD_PREFIX=/"}, want: []string{`"/" is not a prefix`}},
		{name: "prefix without slash", env: []string{"STORE_ETCD_PREFIX=a"}, want: []string{"beginning with a slash"}},
		{name: "prefix that climbs", env: []string{"STORE_ETCD_PREFIX=/a/../b"}, want: []string{"not a prefix"}},
		{name: "short lease", env: []string{"STORE_ETCD_LEASE_TTL=4s"}, want: []string{"not between 5s and 10m0s"}},
		{name: "long lease", env: []string{"STORE_ETCD_LEASE_TTL=11m"}, want: []string{"not between 5s and 10m0s"}},
		{name: "part of a second", env: []string{"STORE_ETCD_LEASE_TTL=5500ms"}, want: []string{"whole number of seconds"}},

		{name: "user alone", env: []string{"STORE_ETCD_USERNAME=me"}, want: []string{"set both or neither"}},
		{name: "password alone", env: []string{"STORE_ETCD_PASSWORD=hunter2"}, want: []string{"set both or neither"}},
		{name: "two passwords", env: []string{
			"STORE_ETCD_USERNAME=me", "STORE_ETCD_PASSWORD=hunter2", "STORE_ETCD_PASSWORD_FILE=" + writeFile(t, "hunter2"),
		}, want: []string{
			`store.etcd.password "********" (environment variable STORE_ETCD_PASSWORD) and store.etcd.password-file`,
		}},
		{name: "printed password", env: []string{"STORE_ETCD_USERNAME=me", "STORE_ETCD_PASSWORD=********"}, want: []string{
			"store.etcd.password (environment variable STORE_ETCD_PASSWORD)", "write the secret itself",
		}},
		{name: "no password file", env: []string{"STORE_ETCD_PASSWORD_FILE=/absent"}, want: []string{
			"store.etcd.password-file (environment variable STORE_ETCD_PASSWORD_FILE)", "/absent",
		}},
		{
			name: "empty password file", env: []string{"STORE_ETCD_PASSWORD_FILE=" + empty},
			want: []string{empty + " is empty"},
		},
		{
			name: "large password file", env: []string{"STORE_ETCD_PASSWORD_FILE=" + long},
			want: []string{"larger than 4096 bytes"},
		},
		{name: "another file", env: []string{"STORE_ETCD_PASSWORD_FILE=" + twoLines}, want: []string{"more than one line"}},

		{name: "TLS without https", env: []string{
			"STORE_ETCD_ENDPOINTS=http://a:1", "STORE_ETCD_TLS_CA=" + files.CA,
		}, want: []string{
			"store.etcd.tls.ca", "STORE_ETCD_TLS_CA) is for TLS, and store.etcd.endpoints",
		}},
		{
			name: "certificate alone", env: []string{"STORE_ETCD_TLS_CERTIFICATE=" + files.Certificate},
			want: []string{"set both or neither"},
		},
		{name: "key alone", env: []string{"STORE_ETCD_TLS_KEY=" + files.Key}, want: []string{"set both or neither"}},
		{name: "no authorities", env: []string{"STORE_ETCD_TLS_CA=/absent"}, want: []string{
			`store.etcd.tls.ca "/absent" (environment variable STORE_ETCD_TLS_CA)`,
		}},
		{
			name: "authorities that are none", env: []string{"STORE_ETCD_TLS_CA=" + files.Key},
			want: []string{"no certificate in PEM form"},
		},
		{name: "no such pair", env: []string{
			"STORE_ETCD_TLS_CERTIFICATE=" + files.Certificate, "STORE_ETCD_TLS_KEY=/absent",
		}, want: []string{`store.etcd.tls.key "/absent" (environment variable STORE_ETCD_TLS_KEY)`}},
		{name: "another's key", env: []string{
			"STORE_ETCD_TLS_CERTIFICATE=" + files.Certificate, "STORE_ETCD_TLS_KEY=" + other.Key,
		}, want: []string{"store.etcd.tls.certificate", "private key does not match public key"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := server.Load(server.LoadOptions{Env: overlay(etcd(), test.env)})
			if err == nil || c != nil {
				t.Fatalf("got %v and error %v, want an error alone", c, err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got error\n%v\nwithout\n%s", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells a password: %v", err)
			}
		})
	}
}

// overlay is an environment with some variables set anew.
func overlay(env, anew []string) []string {
	for _, variable := range anew {
		name, _, _ := strings.Cut(variable, "=")
		env = slices.DeleteFunc(env, func(old string) bool { return strings.HasPrefix(old, name+"=") })
		env = append(env, variable)
	}
	return env
}

// TestStoreOfOneType proves that nothing is left of the other type, whose defaults would be refused if they were written.
func TestStoreOfOneType(t *testing.T) {
	for want, env := range map[string][]string{"etcd": etcd(), "bolt": {brokers, home}} {
		c, err := server.Load(server.LoadOptions{Env: env})
		if err != nil {
			t.Fatal(err)
		}
		again, err := server.Load(server.LoadOptions{File: writeFile(t, printConfig(t, c))})
		if err != nil {
			t.Fatalf("what was printed cannot be loaded: %v", err)
		}
		if diff := cmp.Diff(c, again, ignoreUnexported); diff != "" || string(c.Store.Type) != want {
			t.Errorf("what was printed of %s is another configuration (-first +again):\n%s", want, diff)
		}
	}
}

// printConfig is what Print writes.
func printConfig(t *testing.T, c *server.Config) string {
	t.Helper()
	var out strings.Builder
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
