package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/exportgate/exportgate/server"
)

var ignoreUnexported = cmpopts.IgnoreUnexported(server.Config{})

const (
	brokers = "ZEEBE_BROKERS=http://a:9600/actuator"
	home    = "HOME=/home/me"
)

func TestLoadRefuses(t *testing.T) {
	tests := []struct {
		name string
		file string   // its content; "FILE" in want stands for its path
		env  []string // brokers are added unless zeebe.brokers or zeebe.gateway is set
		args []string
		want []string // each is part of the error
	}{
		// The file.
		{name: "unknown key", file: "a: 1\nserver:\n  prot: 9600\n", want: []string{
			`FILE:1: there is no key "a"`, `FILE:3: there is no key "server.prot"; did you mean server.port?`,
		}},
		{name: "key of a later release", file: "auth.type: x", want: []string{`there is no key "auth.type"`}},
		{name: "value for a group", file: "server: 9600", want: []string{`FILE:1: expected keys and values below "server"`}},
		{name: "no keys at all", file: "hello", want: []string{`FILE:1: expected keys and values`}},
		{name: "list at the top", file: "- a\n", want: []string{`expected keys and values`}},
		{name: "keys below a key", file: "server:\n  port:\n    http: 1\n", want: []string{
			"FILE:3: server.port must be a plain value",
		}},
		{name: "list of maps", file: "zeebe.brokers: [{url: x}]", want: []string{"zeebe.brokers must be a list of plain"}},
		{name: "no value", file: "server:\n  port:\n", want: []string{"FILE:2: server.port has no value"}},
		{name: "alias", file: "server: {port: &p 9600, address: *p}", want: []string{"server.address must be a plain value"}},
		{name: "same key twice", file: "server.port: 1\nserver: {port: 2}\n", want: []string{
			"server.port has two values, from FILE:1 and from FILE:2",
		}},
		{name: "key and its alias", file: "server.port: 1\nmanagement.server.port: 2\n", want: []string{
			"server.port has two values, from FILE:1 and from FILE:2",
		}},
		{name: "two documents", file: "log.level: info\n---\nlog.level: debug\n", want: []string{"keep one"}},
		{name: "no YAML", file: "server: [", want: []string{"configuration file FILE: yaml: line 1"}},
		{name: "too large", file: strings.Repeat("#", 1<<20+1), want: []string{"larger than 1048576 bytes"}},

		// The environment and the flags.
		{name: "both port variables", env: []string{"SERVER_PORT=1", "MANAGEMENT_SERVER_PORT=2"}, want: []string{
			"server.port has two values, from environment variable MANAGEMENT_SERVER_PORT and from environment variable " +
				"SERVER_PORT",
		}},
		{name: "both spellings", env: []string{"ZEEBE_REQUEST_TIMEOUT=9s", "ZEEBE_REQUESTTIMEOUT=7s"}, want: []string{
			"zeebe.request-timeout has two values",
		}},
		{name: "service link", env: []string{"GRPC_PORT=tcp://10.0.0.1:80"}, want: []string{
			"grpc.port (environment variable GRPC_PORT)", "enableServiceLinks: false",
		}},
		{name: "every mistake at once", env: []string{"GRPC_PORT=x"}, args: []string{"--server.port=y"}, want: []string{
			`grpc.port (environment variable GRPC_PORT): "x" is not a port`,
			`server.port (flag --server.port): "y" is not a port`,
		}},

		// Types and ranges.
		{name: "port too large", args: []string{"--server.port=65536"}, want: []string{"not a port"}},
		{name: "port too small", args: []string{"--server.port=-2"}, want: []string{"not a port"}},
		{name: "port of words", file: "server.port: [1]\nserver.address: a b", want: []string{`"a b" is not an address`}},
		{name: "empty port", file: "server.port: ''", want: []string{`server.port (FILE:1): "" is not a port`}},
		{name: "fraction", args: []string{"--zeebe.concurrency=1.5"}, want: []string{"not a whole number from 1 to 10000"}},
		{name: "zero", args: []string{"--zeebe.concurrency=0"}, want: []string{"not a whole number from 1"}},
		{name: "bare number", file: "exporting.timeout: 30", want: []string{
			`exporting.timeout (FILE:1): "30" has no unit: write 30s or 30ms`,
		}},
		{name: "no duration", args: []string{"--exporting.timeout=soon"}, want: []string{`"soon" is not a duration`}},
		{name: "negative", args: []string{"--exporting.timeout=-1s"}, want: []string{"not between 1ms and 24h0m0s"}},
		{name: "too long", args: []string{"--exporting.timeout=25h"}, want: []string{"not between 1ms and 24h0m0s"}},
		{name: "hold too long", args: []string{"--holds.max-ttl=721h"}, want: []string{"not between 1ms and 720h0m0s"}},
		{name: "name of two lines", args: []string{"--server.name=a\nb"}, want: []string{`"a\nb" is not a name`}},
		{name: "name of spaces", file: "server.name: ' a'", want: []string{`" a" is not a name`}},
		{name: "name of bytes", args: []string{"--server.name=\xff"}, want: []string{"is not a name"}},
		{name: "endless name", args: []string{"--zeebe.cluster-id=" + strings.Repeat("a", 254)}, want: []string{
			"zeebe.cluster-id (flag --zeebe.cluster-id)", "at most 253 bytes",
		}},
		{name: "no path", args: []string{"--store.path=a\x00"}, want: []string{"is not the path of a file"}},
		{name: "no boolean", args: []string{"--exporting.allow-soft-to-hard=ja"}, want: []string{"neither true nor false"}},
		{name: "unknown word", args: []string{"--log.level=loud"}, want: []string{
			`"loud" is not one of ["debug" "info" "warn" "error"]`,
		}},
		{name: "address with port", args: []string{"--server.address=127.0.0.1:80"}, want: []string{"without a port"}},
		{name: "base path without slash", args: []string{"--management.endpoints.web.base-path=actuator"}, want: []string{
			"not a base path",
		}},
		{name: "base path with slash at its end", args: []string{"--management.endpoints.web.base-path=/a/"}, want: []string{
			"not a base path",
		}},
		{name: "base path that climbs", args: []string{"--management.endpoints.web.base-path=/a/../b"}, want: []string{
			"not a base path",
		}},
		{name: "version", args: []string{"--zeebe.version=latest"}, want: []string{"not a version"}},
		{name: "broker without scheme", env: []string{"ZEEBE_BROKERS=zeebe-0:9600"}, want: []string{
			`zeebe.brokers (environment variable ZEEBE_BROKERS): "zeebe-0:9600" is not a management URL`,
		}},
		{name: "broker with query", env: []string{"ZEEBE_BROKERS=http://a/?x=1"}, want: []string{"must end with its path"}},
		{name: "broker twice", env: []string{"ZEEBE_BROKERS=http://a,http://a"}, want: []string{"is there twice"}},
		{name: "empty broker", env: []string{"ZEEBE_BROKERS=http://a,"}, want: []string{`"" is not a management URL`}},
		{name: "gateway URL", env: []string{"ZEEBE_GATEWAY=http://gw:26500"}, want: []string{"not the address of a gateway"}},
		{name: "gateway port", env: []string{"ZEEBE_GATEWAY=gw:0"}, want: []string{"not the address of a gateway"}},
		{name: "template without host", env: []string{"ZEEBE_GATEWAY=gw:1", "ZEEBE_MANAGEMENT_URL=http://a"}, want: []string{
			"has no {host}",
		}},

		// Contradictions.
		{name: "no brokers", env: []string{"ZEEBE_BROKERS="}, want: []string{"neither zeebe.brokers nor zeebe.gateway"}},
		{name: "brokers and gateway", env: []string{brokers, "ZEEBE_GATEWAY=gw:1"}, want: []string{
			`zeebe.brokers "http://a:9600/actuator" (environment variable ZEEBE_BROKERS) and zeebe.gateway "gw:1"`,
		}},
		{name: "template without gateway", args: []string{"--zeebe.management-url=http://{host}"}, want: []string{
			"is for zeebe.gateway, which is not set",
		}},
		{name: "some sizes", args: []string{"--zeebe.partitions=3"}, want: []string{"set both or neither"}},
		{name: "more replicas than brokers", args: []string{
			"--zeebe.partitions=3", "--zeebe.cluster-size=2", "--zeebe.replication-factor=3",
		}, want: []string{`zeebe.replication-factor "3" (flag --zeebe.replication-factor) is more than zeebe.cluster-size`}},
		{name: "both doors off", args: []string{"--server.port=-1", "--grpc.port=-1"}, want: []string{"both off"}},
		{name: "one port twice", args: []string{"--server.port=9601"}, want: []string{
			`server.port "9601" (flag --server.port) and grpc.port "9601" (default) collide`,
		}},
		{name: "one port twice, everywhere", args: []string{
			"--server.port=9601", "--server.address=0.0.0.0",
			"--grpc.address=127.0.0.1",
		}, want: []string{"collide"}},
		{name: "default of holds too long", args: []string{"--holds.max-ttl=30m"}, want: []string{
			`holds.default-ttl "1h" (default) is longer than holds.max-ttl "30m" (flag --holds.max-ttl)`,
		}},
		{name: "confirm too long", args: []string{"--exporting.confirm-interval=30s"}, want: []string{
			`exporting.confirm-interval "30s" (flag --exporting.confirm-interval) is not shorter than exporting.timeout "30s"`,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			opts := server.LoadOptions{Env: append(test.env, home), Flags: parseFlags(t, test.args...)}
			if test.file != "" {
				opts.File = writeFile(t, test.file)
			}
			if joined := strings.Join(test.env, "\n"); !strings.Contains(joined, "ZEEBE_BROKERS") &&
				!strings.Contains(joined, "ZEEBE_GATEWAY") {
				opts.Env = append(opts.Env, brokers)
			}
			c, err := server.Load(opts)
			if err == nil || c != nil {
				t.Fatalf("got %v and error %v, want an error alone", c, err)
			}
			for _, want := range test.want {
				if want = strings.ReplaceAll(want, "FILE", opts.File); !strings.Contains(err.Error(), want) {
					t.Errorf("got error\n%v\nwithout\n%s", err, want)
				}
			}
		})
	}
}

func TestLoadRefusesAFileThatCannotBeRead(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "absent.yaml"), t.TempDir()} {
		_, err := server.Load(server.LoadOptions{File: path, EmbeddedCluster: true})
		if err == nil || !strings.Contains(err.Error(), "configuration file "+path) {
			t.Errorf("got %v, want an error that names %s", err, path)
		}
	}
}

func TestLoadKeepsPasswordsToItself(t *testing.T) {
	for _, env := range []string{
		"ZEEBE_BROKERS=http://me:secret@a:9600", "ZEEBE_BROKERS=http://me:secret@a b%zz",
		"ZEEBE_MANAGEMENT_URL=http://me:secret@{host}",
	} {
		_, err := server.Load(server.LoadOptions{Env: []string{env}})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got error %v, want one without the password", env, err)
		}
	}
}

func TestLoadEmbedded(t *testing.T) {
	_, err := server.Load(server.LoadOptions{Env: []string{brokers, "ZEEBE_VERSION=8.9"}, EmbeddedCluster: true})
	if err == nil || !strings.Contains(err.Error(), "zeebe.brokers") || !strings.Contains(err.Error(), "zeebe.version") {
		t.Errorf("got %v, want an error that names both keys", err)
	}
}

// config is short for what the rows below look at.
type config = *server.Config

func TestLoadTakes(t *testing.T) {
	tests := []struct {
		name string
		file string
		env  []string
		args []string
		want func(config) bool
	}{
		{name: "a file that says nothing", file: "# server.port: 1\n", want: func(c config) bool {
			return c.HTTP.Port == 9600
		}},
		{name: "a group that says nothing", file: "server:\n  # port: 1\n", want: func(c config) bool {
			return c.HTTP.Port == 9600
		}},
		{name: "a version that looks like a number", file: "zeebe.version: 8.10\n", want: func(c config) bool {
			return c.Zeebe.Version == "8.10"
		}},
		{name: "a list of brokers", file: "zeebe:\n  brokers:\n  - http://b\n  - http://c\n", want: func(c config) bool {
			return cmp.Equal(c.Zeebe.Brokers, []string{"http://b", "http://c"})
		}},
		{
			name: "an empty variable as none", file: "server.port: 1\n", env: []string{"SERVER_PORT="},
			want: func(c config) bool {
				return c.HTTP.Port == 1
			},
		},
		{
			name: "a flag that takes a value back", file: "zeebe.version: 8.9\n", args: []string{"--zeebe.version="},
			want: func(c config) bool {
				return c.Zeebe.Version == ""
			},
		},
		{name: "a switch without a value", args: []string{"--exporting.allow-soft-to-hard"}, want: func(c config) bool {
			return c.Exporting.AllowSoftToHard
		}},
		{
			name: "both port variables alike", env: []string{"SERVER_PORT=7", "MANAGEMENT_SERVER_PORT=7"},
			want: func(c config) bool {
				return c.HTTP.Port == 7
			},
		},
		{name: "any free port twice", args: []string{"--server.port=0", "--grpc.port=0"}, want: func(c config) bool {
			return c.HTTP.Port == 0 && c.GRPC.Port == 0
		}},
		{
			name: "one port on two addresses", args: []string{"--grpc.port=9600", "--grpc.address=127.0.0.2"},
			want: func(c config) bool {
				return c.GRPC.HostPort() == "127.0.0.2:9600"
			},
		},
		{name: "one door", args: []string{"--grpc.port=-1"}, want: func(c config) bool {
			return c.GRPC.Off() && !c.HTTP.Off()
		}},
		{name: "the address for both doors", args: []string{"--server.address=::1"}, want: func(c config) bool {
			return c.GRPC.HostPort() == "[::1]:9601"
		}},
		{name: "words in capitals", env: []string{"EXPORTING_ON_FAILURE=KEEP"}, want: func(c config) bool {
			return c.Exporting.OnFailure == server.OnFailureKeep
		}},
		{name: "no template without a gateway", want: func(c config) bool { return c.Zeebe.ManagementURL == "" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			opts := server.LoadOptions{
				Env: append(test.env, home), Flags: parseFlags(t, test.args...), File: writeFile(t, test.file),
			}
			if !strings.Contains(test.file, "brokers") {
				opts.Env = append(opts.Env, brokers)
			}
			c, err := server.Load(opts)
			if err != nil {
				t.Fatal(err)
			}
			if !test.want(c) {
				t.Errorf("got %+v", c)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct {
		name string
		env  []string
		want []string // the part that matters of each warning, in order
	}{
		{name: "none", env: []string{"SERVER_ADDRESS=localhost", "GRPC_ADDRESS=::1"}},
		{name: "open to all", env: []string{"SERVER_ADDRESS=0.0.0.0"}, want: []string{
			`server.address "0.0.0.0"`, `grpc.address "0.0.0.0" (as server.address)`,
		}},
		{name: "open but shut", env: []string{"SERVER_ADDRESS=proxy.example", "GRPC_PORT=-1"}, want: []string{
			`server.address "proxy.example"`,
		}},
		{name: "short timeout", env: []string{"ZEEBE_REQUEST_TIMEOUT=5s"}, want: []string{`zeebe.request-timeout "5s"`}},
		{name: "soft to hard", env: []string{"EXPORTING_ALLOW_SOFT_TO_HARD=true"}, want: []string{
			"exporting.allow-soft-to-hard",
		}},
		{name: "slips", env: []string{"ZEEBE_BROKER=x", "EXPORTING_TIMOUT=1s"}, want: []string{
			"EXPORTING_TIMOUT sets nothing; did you mean EXPORTING_TIMEOUT?",
			"ZEEBE_BROKER sets nothing; did you mean ZEEBE_BROKERS?",
		}},
		{name: "short drain", env: []string{"EXPORTING_DRAIN=5s"}, want: []string{
			`exporting.drain "5s" (environment variable EXPORTING_DRAIN) is too short for exporters that flush every 5s`,
		}},
		{name: "etcd in the clear", env: []string{
			"STORE_TYPE=etcd", "STORE_ETCD_ENDPOINTS=http://localhost:2379,http://b:2379",
		}, want: []string{`store.etcd.endpoints "http://localhost:2379,http://b:2379"`}},
		{name: "etcd on this machine", env: []string{
			"STORE_TYPE=etcd", "STORE_ETCD_ENDPOINTS=http://localhost:2379,http://127.0.0.1:2479,http://[::1]:2579",
		}},
		{name: "etcd over TLS", env: []string{"STORE_TYPE=etcd", "STORE_ETCD_ENDPOINTS=https://a:2379"}},
		{name: "lease as short as a request", env: []string{
			"STORE_TYPE=etcd", "STORE_ETCD_ENDPOINTS=https://a:2379", "STORE_ETCD_LEASE_TTL=8s",
		}, want: []string{`zeebe.request-timeout "8s" (default) is not shorter than store.etcd.lease-ttl "8s"`}},
		{name: "other people's variables", env: []string{
			"ZEEBE_BROKER_CLUSTER_PARTITIONSCOUNT=3", "ZEEBE_GATEWAY_PORT=tcp://10.0.0.1:26500", "PATH=/bin",
			"ZEEBE_LOG_LEVEL=x",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := server.Load(server.LoadOptions{Env: append(test.env, brokers, home)})
			if err != nil {
				t.Fatal(err)
			}
			got := c.Warnings()
			if len(got) != len(test.want) {
				t.Fatalf("got %q, want %d warnings", got, len(test.want))
			}
			for i, want := range test.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("got %q without %q", got[i], want)
				}
			}
		})
	}
}

func TestPrint(t *testing.T) {
	file := writeFile(t, "zeebe:\n  version: 8.10\nlog.format: json\n")
	flags := parseFlags(t, "--exporting.timeout=1m")
	c, err := server.Load(server.LoadOptions{File: file, Env: []string{brokers, home}, Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"server:\n  port: 9600 # default\n", "  version: 8.10 # " + file + ":2\n",
		"  timeout: 1m # flag --exporting.timeout\n",
		"  brokers: http://a:9600/actuator # environment variable ZEEBE_BROKERS\n",
		"  address: 127.0.0.1 # as server.address\n", "  name: " + c.Name + " # name of this host\n",
		"  path: /home/me/.local/state/exportgate/exportgate.db # in $HOME\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got\n%s\nwithout\n%s", out.String(), want)
		}
	}

	again, err := server.Load(server.LoadOptions{File: writeFile(t, out.String())})
	if err != nil {
		t.Fatalf("what was printed cannot be loaded: %v\n%s", err, out.String())
	}
	if diff := cmp.Diff(c, again, ignoreUnexported); diff != "" {
		t.Errorf("what was printed is another configuration (-first +again):\n%s", diff)
	}
}

// FuzzFile proves that no file makes the loader crash or hang.
func FuzzFile(f *testing.F) {
	f.Add("server: {port: 9600}\nzeebe.brokers: [http://a]")
	f.Add("a: &a [*a]\n<<: *a")
	f.Add("? [a]\n: b\n---\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content string) {
		path := filepath.Join(dir, "exportgate.yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := server.Load(server.LoadOptions{File: path, Env: []string{brokers, home}})
		if (c == nil) == (err == nil) {
			t.Errorf("got config %v and error %v", c, err)
		}
	})
}
