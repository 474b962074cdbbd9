package server_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/exportgate/exportgate/server"
)

func TestAccessRefuses(t *testing.T) {
	files := newPair(t)
	certificate, key, ca := "SERVER_SSL_CERTIFICATE="+files.Certificate, "SERVER_SSL_CERTIFICATE_PRIVATE_KEY="+files.Key,
		"SERVER_SSL_TRUST_CERTIFICATE="+files.CA
	jwt, roles := []string{"AUTH_JWT_ISSUER=https://a.example", "AUTH_JWT_AUDIENCE=b"}, "AUTH_ROLES_OPERATOR=*"
	oauth := []string{"ZEEBE_OAUTH_TOKEN_URL=https://a.example/t", "ZEEBE_OAUTH_CLIENT_ID=b", "ZEEBE_OAUTH_CLIENT_SECRET=c"}
	tests := []struct {
		name string
		env  []string
		want string
	}{
		{"a certificate without its key", []string{certificate}, "server.ssl.certificate-private-key are of use only together"},
		{"a key without its certificate", []string{key}, "server.ssl.certificate-private-key"},
		{"a certificate that is not there", []string{"SERVER_SSL_CERTIFICATE=/none", key}, `server.ssl.certificate "/none"`},
		{"a key of something else", []string{certificate, "SERVER_SSL_CERTIFICATE_PRIVATE_KEY=" + files.CA}, "server.ssl.certificate-private-key"},
		{"no TLS to be authenticated by", []string{"SERVER_SSL_CLIENT_AUTH=need"}, "of use only with server.ssl.certificate"},
		{"clients that nothing checks", []string{certificate, key, "SERVER_SSL_CLIENT_AUTH=want", roles}, "server.ssl.trust-certificate"},
		{"a check that nobody passes", []string{certificate, key, ca}, `server.ssl.client-auth "none"`},
		{"another client-auth", []string{certificate, key, ca, "SERVER_SSL_CLIENT_AUTH=yes"}, `"yes" is not one of`},
		{"an old TLS", []string{certificate, key, "SERVER_SSL_ENABLED_PROTOCOLS=TLSv1.1,TLSv1.3"}, `"TLSv1.1" is neither`},
		{"no new TLS", []string{certificate, key, "SERVER_SSL_ENABLED_PROTOCOLS=TLSv1.2"}, "TLSv1.3 cannot be left out"},
		{"nobody may do anything", []string{"AUTH_TOKENS_FILE=/x"}, "nobody may do anything"},
		{"nobody is known", []string{roles}, "nothing tells who calls"},
		{"a JWT for anybody", []string{"AUTH_JWT_ISSUER=https://a.example", roles}, "needs auth.jwt.audience"},
		{"an audience alone", []string{"AUTH_JWT_AUDIENCE=x"}, "of use only with auth.jwt.issuer"},
		{"an issuer in the clear", append(jwt[1:], "AUTH_JWT_ISSUER=http://a.example", roles), "is not https"},
		{"an issuer with a password", append(jwt[1:], "AUTH_JWT_ISSUER=https://me:hunter2@a.example", roles), "must not carry a user"},
		{"a gateway with a password", []string{"ZEEBE_BROKERS=", "ZEEBE_GATEWAY=https://me:hunter2@gw:26500"}, "must not carry a user"},
		{"a host with a password", []string{"SERVER_ALLOWED_HOSTS=https://me:hunter2@a.example"}, "must not carry a user"},
		{"a shared secret", append(jwt, "AUTH_JWT_ALGORITHMS=RS256,HS256", roles), `"HS256" is not one of`},
		{"no signature", append(jwt, "AUTH_JWT_ALGORITHMS=none", roles), `"none" is not one of`},
		{"a clock that nobody winds", append(jwt, "AUTH_JWT_CLOCK_SKEW=1h", roles), "is not between"},
		{"a matcher of nothing", append(jwt, "AUTH_ROLES_VIEWER=bob"), `"bob": it does not say who is meant`},
		{"an empty matcher", append(jwt, "AUTH_ROLES_VIEWER=token:a,"), `"": it does not say who is meant`},
		{"a matcher of many", append(jwt, "AUTH_ROLES_VIEWER=dns:*.example.org"), "AUTH_ROLES_VIEWER): \"dns:*.example.org\": not a whole host name"},
		{"holders' time without holders", append(jwt, roles, "AUTH_HOLDER_MAX_TTL=1h"), "of use only with auth.roles.holder"},
		{"an audit log of nothing", []string{"AUDIT_KEEP=3"}, "of use only with audit.path"},
		{"a small audit log", []string{"AUDIT_PATH=/x", "AUDIT_MAX_SIZE=1KB"}, "is not between"},
		{"half a limit", []string{"LIMITS_BURST=0.5"}, "is not a whole number"},
		{"no such endpoint", []string{"MANAGEMENT_ENDPOINTS_WEB_EXPOSURE_INCLUDE=env"}, `"env" is not one of`},
		{"a guard without a disk", []string{"EXPORTING_GUARD_MIN_FREE_DISK=10%"}, "needs exporting.guard.disk-path"},
		{"a disk without a guard", []string{"EXPORTING_GUARD_DISK_PATH=/x"}, "of use only with exporting.guard.min-free-disk"},
		{"all of a disk", []string{"EXPORTING_GUARD_MIN_FREE_DISK=100%", "EXPORTING_GUARD_DISK_PATH=/x"}, `"100%" is not a part of a disk`},
		{"no disk", []string{"EXPORTING_GUARD_MIN_FREE_DISK=0GB", "EXPORTING_GUARD_DISK_PATH=/x"}, "guards nothing"},
		{"a disk without a unit", []string{"EXPORTING_GUARD_MIN_FREE_DISK=5", "EXPORTING_GUARD_DISK_PATH=/x"}, "not a number of bytes"},
		{"TLS to brokers that have none", []string{"ZEEBE_TLS_CA=" + files.CA}, "no broker and no gateway has any: write https://"},
		{"OAuth without a gateway", oauth, "is for zeebe.gateway"},
		{"OAuth in the clear", append(oauth, "ZEEBE_GATEWAY=a:1", "ZEEBE_BROKERS="), "must not travel in the clear"},
		{"OAuth without a secret", append(oauth[:2:2], "ZEEBE_GATEWAY=https://a:1", "ZEEBE_BROKERS="), "needs zeebe.oauth.client-id and"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := server.Load(server.LoadOptions{Env: append([]string{brokers, home}, test.env...)})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v without %s", err, test.want)
			}
		})
	}
}

// TestAddresses proves that doors open to others only where something guards them, or somebody says so.
func TestAddresses(t *testing.T) {
	files := newPair(t)
	tls := []string{"SERVER_SSL_CERTIFICATE=" + files.Certificate, "SERVER_SSL_CERTIFICATE_PRIVATE_KEY=" + files.Key}
	tokens := []string{"AUTH_TOKENS_FILE=/x", "AUTH_ROLES_OPERATOR=*"}
	audit := "AUDIT_PATH=-"
	tests := []struct {
		name     string
		env      []string
		http     string
		grpc     string
		warnings []string
	}{
		{"nothing", nil, "127.0.0.1:9600", "127.0.0.1:9601", nil},
		{"TLS", tls, ":9600", ":9601", []string{"server.address", "grpc.address"}},
		{"tokens", append(tokens, audit), ":9600", ":9601", []string{"tokens can be read", "tokens can be read"}},
		{"tokens over TLS", append(append(tls, tokens...), audit), ":9600", ":9601", nil},
		{"tokens that nobody accounts for", append(tls, tokens...), ":9600", ":9601", []string{"audit.path is not set"}},
		{"tokens on loopback", append(tokens, audit, "SERVER_ADDRESS=::1"), "[::1]:9600", "[::1]:9601", nil},
		{"everywhere", []string{"SERVER_ADDRESS=*", "GRPC_PORT=-1"}, ":9600", ":-1", []string{"neither TLS nor authentication"}},
		{"an old TLS", append(tls, "SERVER_SSL_ENABLED_PROTOCOLS=TLSv1.3,TLSv1.2", "SERVER_ADDRESS=localhost"), "localhost:9600", "localhost:9601", []string{"older TLS"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := server.Load(server.LoadOptions{Env: append(test.env, brokers, home)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{test.http, test.grpc}, []string{c.HTTP.HostPort(), c.GRPC.HostPort()}); diff != "" {
				t.Error(diff)
			}
			got := c.Warnings()
			if len(got) != len(test.warnings) {
				t.Fatalf("got %q, want %d warnings", got, len(test.warnings))
			}
			for i, want := range test.warnings {
				if !strings.Contains(got[i], want) {
					t.Errorf("got %q without %q", got[i], want)
				}
			}
		})
	}
}

func TestAmounts(t *testing.T) {
	for text, want := range map[string]server.MinFree{
		"10%": {Percent: 10}, "0.5%": {Percent: 0.5}, "7B": {Bytes: 7}, "5KB": {Bytes: 5e3}, "5MB": {Bytes: 5e6}, "5GB": {Bytes: 5e9},
		"5TB": {Bytes: 5e12}, "5KiB": {Bytes: 5 << 10}, "5GiB": {Bytes: 5 << 30}, "5TiB": {Bytes: 5 << 40},
	} {
		c, err := server.Load(server.LoadOptions{Env: []string{
			brokers, home, "EXPORTING_GUARD_MIN_FREE_DISK=" + text, "EXPORTING_GUARD_DISK_PATH=/x",
		}})
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if c.Exporting.Guard.MinFree != want {
			t.Errorf("%s: got %+v, want %+v", text, c.Exporting.Guard.MinFree, want)
		}
	}
}
