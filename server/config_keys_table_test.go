package server_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server"
)

// keyTest is a value of a key that is not the default, and where it arrives.
type keyTest struct {
	text string
	get  func(*server.Config) any
	want any
}

// keyTests has one row a key. Those of the files that are read at once are in [fileTests].
var keyTests = map[string]keyTest{
	"server.name":             {"proxy a", func(c *server.Config) any { return c.Name }, "proxy a"},
	"server.port":             {"9700", func(c *server.Config) any { return c.HTTP.Port }, 9700},
	"server.address":          {"::1", func(c *server.Config) any { return c.HTTP.Address }, "::1"},
	"server.shutdown-timeout": {"1m", func(c *server.Config) any { return c.ShutdownTimeout }, time.Minute},
	"management.endpoints.web.base-path": {
		"/orchestration/actuator", func(c *server.Config) any { return c.BasePath }, "/orchestration/actuator",
	},
	"management.exporting.response": {
		"no-content", func(c *server.Config) any { return c.Response }, server.ResponseNoContent,
	},
	"grpc.port":    {"-1", func(c *server.Config) any { return c.GRPC.Port }, server.PortOff},
	"grpc.address": {"0.0.0.0", func(c *server.Config) any { return c.GRPC.Address }, "0.0.0.0"},
	"zeebe.brokers": {
		"0=http://a:9600/actuator,dns+http://b:9600", func(c *server.Config) any { return c.Zeebe.Brokers },
		[]string{"0=http://a:9600/actuator", "dns+http://b:9600"},
	},
	"zeebe.gateway": {"gw:26500", func(c *server.Config) any { return c.Zeebe.Gateway }, "gw:26500"},
	"zeebe.management-url": {
		"http://{host}:9600/x/actuator", func(c *server.Config) any { return c.Zeebe.ManagementURL },
		"http://{host}:9600/x/actuator",
	},
	"zeebe.version":            {"8.10", func(c *server.Config) any { return c.Zeebe.Version }, "8.10"},
	"zeebe.cluster-size":       {"4", func(c *server.Config) any { return c.Zeebe.ClusterSize }, 4},
	"zeebe.partitions":         {"9", func(c *server.Config) any { return c.Zeebe.Partitions }, 9},
	"zeebe.replication-factor": {"2", func(c *server.Config) any { return c.Zeebe.ReplicationFactor }, 2},
	"zeebe.cluster-id":         {"c-1", func(c *server.Config) any { return c.Zeebe.ClusterID }, "c-1"},
	"zeebe.request-timeout":    {"9s", func(c *server.Config) any { return c.Zeebe.RequestTimeout }, 9 * time.Second},
	"zeebe.concurrency":        {"7", func(c *server.Config) any { return c.Zeebe.Concurrency }, 7},
	"exporting.timeout":        {"45s", func(c *server.Config) any { return c.Exporting.Timeout }, 45 * time.Second},
	"exporting.on-failure": {
		"keep", func(c *server.Config) any { return c.Exporting.OnFailure }, server.OnFailureKeep,
	},
	"exporting.confirm-interval": {
		"1s", func(c *server.Config) any { return c.Exporting.ConfirmInterval }, time.Second,
	},
	"exporting.drain": {"7s", func(c *server.Config) any { return c.Exporting.Drain }, 7 * time.Second},
	"exporting.reconcile-interval": {
		"1m30s", func(c *server.Config) any { return c.Exporting.ReconcileInterval }, 90 * time.Second,
	},
	"exporting.on-foreign-change": {
		"observe", func(c *server.Config) any { return c.Exporting.OnForeignChange }, server.ForeignObserve,
	},
	"exporting.allow-soft-to-hard": {"true", func(c *server.Config) any { return c.Exporting.AllowSoftToHard }, true},
	"holds.default-ttl":            {"30m", func(c *server.Config) any { return c.Holds.DefaultTTL }, 30 * time.Minute},
	"holds.max-ttl":                {"720h", func(c *server.Config) any { return c.Holds.MaxTTL }, 720 * time.Hour},
	"store.type":                   {"etcd", func(c *server.Config) any { return c.Store.Type }, server.StoreEtcd},
	"store.path":                   {"/var/lib/a.db", func(c *server.Config) any { return c.Store.Path }, "/var/lib/a.db"},
	"store.etcd.endpoints": {
		"https://a:2379,https://[::1]:2379", func(c *server.Config) any { return c.Store.Etcd.Endpoints },
		[]string{"https://a:2379", "https://[::1]:2379"},
	},
	"store.etcd.prefix":    {"/a/b", func(c *server.Config) any { return c.Store.Etcd.Prefix }, "/a/b"},
	"store.etcd.username":  {"me", func(c *server.Config) any { return c.Store.Etcd.Username }, "me"},
	"store.etcd.password":  {"*x #y", func(c *server.Config) any { return string(c.Store.Etcd.Password) }, "*x #y"},
	"store.etcd.lease-ttl": {"20s", func(c *server.Config) any { return c.Store.Etcd.LeaseTTL }, 20 * time.Second},
	"server.allowed-hosts": {"a.example,b.example", func(c *server.Config) any { return c.AllowedHosts }, []string{"a.example", "b.example"}},
	"server.ssl.enabled-protocols": {
		"TLSv1.2,TLSv1.3", func(c *server.Config) any { return c.SSL.MinVersion }, uint16(tls.VersionTLS12),
	},
	"server.servlet.context-path": {"/orchestration", func(c *server.Config) any { return c.ActuatorPath() }, "/orchestration/actuator"},
	"management.endpoints.web.exposure.include": {
		"exporting,health", func(c *server.Config) any { return c.Exposure.Include }, []string{"exporting", "health"},
	},
	"management.endpoints.web.exposure.exclude": {"loggers", func(c *server.Config) any { return c.Exposure.Exclude }, []string{"loggers"}},
	"management.endpoint.health.show-details": {
		"always", func(c *server.Config) any { return c.HealthDetails }, server.DetailsAlways,
	},
	"auth.tokens-file": {"/etc/tokens", func(c *server.Config) any { return c.Auth.TokensFile }, "/etc/tokens"},
	"auth.jwt.issuer":  {"https://a.example/b", func(c *server.Config) any { return c.Auth.JWT.Issuer }, "https://a.example/b"},
	"auth.jwt.audience": {
		"exportgate,https://c", func(c *server.Config) any { return c.Auth.JWT.Audience }, []string{"exportgate", "https://c"},
	},
	"auth.jwt.algorithms": {"ES256,EdDSA", func(c *server.Config) any { return c.Auth.JWT.Algorithms }, []string{"ES256", "EdDSA"}},
	"auth.jwt.clock-skew": {"0s", func(c *server.Config) any { return c.Auth.JWT.ClockSkew }, time.Duration(0)},
	"auth.roles.viewer":   {"*", func(c *server.Config) any { return c.Auth.Viewers }, []string{"*"}},
	"auth.roles.holder": {
		"token:a, spiffe://b/ns/*", func(c *server.Config) any { return c.Auth.Holders }, []string{"token:a", "spiffe://b/ns/*"},
	},
	"auth.roles.operator": {
		"subject:CN=ops, O=Acme,claim:a.b=c", func(c *server.Config) any { return c.Auth.Operators },
		[]string{"subject:CN=ops, O=Acme", "claim:a.b=c"},
	},
	"auth.holder-max-ttl":       {"4h", func(c *server.Config) any { return c.Auth.HolderMaxTTL }, 4 * time.Hour},
	"audit.path":                {"-", func(c *server.Config) any { return c.Audit.Path }, "-"},
	"audit.max-size":            {"1MiB", func(c *server.Config) any { return c.Audit.MaxSize }, int64(1 << 20)},
	"audit.keep":                {"3", func(c *server.Config) any { return c.Audit.Keep }, 3},
	"audit.on-failure":          {"allow", func(c *server.Config) any { return c.Audit.OnFailure }, server.AuditAllow},
	"limits.calls-per-second":   {"5", func(c *server.Config) any { return c.Limits.CallsPerSecond }, 5},
	"limits.burst":              {"6", func(c *server.Config) any { return c.Limits.Burst }, 6},
	"limits.concurrent-calls":   {"0", func(c *server.Config) any { return c.Limits.ConcurrentCalls }, 0},
	"limits.watchers":           {"7", func(c *server.Config) any { return c.Limits.Watchers }, 7},
	"limits.connections":        {"8", func(c *server.Config) any { return c.Limits.Connections }, 8},
	"zeebe.oauth.token-url":     {"https://a.example/t", func(c *server.Config) any { return c.Zeebe.OAuth.TokenURL }, "https://a.example/t"},
	"zeebe.oauth.client-id":     {"me", func(c *server.Config) any { return c.Zeebe.OAuth.ClientID }, "me"},
	"zeebe.oauth.client-secret": {"*x #y", func(c *server.Config) any { return string(c.Zeebe.OAuth.ClientSecret) }, "*x #y"},
	"zeebe.oauth.audience":      {"zeebe-api", func(c *server.Config) any { return c.Zeebe.OAuth.Audience }, "zeebe-api"},
	"zeebe.oauth.scope":         {"all", func(c *server.Config) any { return c.Zeebe.OAuth.Scope }, "all"},
	"exporting.guard.min-free-disk": {
		"10%", func(c *server.Config) any { return c.Exporting.Guard.MinFree }, server.MinFree{Percent: 10},
	},
	"exporting.guard.policy":    {"release", func(c *server.Config) any { return c.Exporting.Guard.Policy }, server.GuardRelease},
	"exporting.guard.disk-path": {"/data", func(c *server.Config) any { return c.Exporting.Guard.DiskPath }, "/data"},
	"log.level":                 {"debug", func(c *server.Config) any { return c.Log.Level }, server.LogDebug},
	"log.format":                {"json", func(c *server.Config) any { return c.Log.Format }, server.LogJSON},
}

// fileTests has the rows of the keys of files that are read at once.
func fileTests(t *testing.T) map[string]keyTest {
	t.Helper()
	files := newPair(t)
	password := writeFile(t, "secret\n")
	rows := map[string]keyTest{
		"server.ssl.client-auth": {
			"want", func(c *server.Config) any { return c.SSL.ClientAuth }, server.ClientAuthWant,
		},
		"auth.jwt.ca": {
			files.CA, func(c *server.Config) any { return c.Auth.JWT.CA }, files.CA,
		},
		"zeebe.oauth.ca": {
			files.CA, func(c *server.Config) any { return c.Zeebe.OAuth.CA }, files.CA,
		},
		"zeebe.oauth.client-secret-file": {
			password, func(c *server.Config) any { return string(c.Zeebe.OAuth.ClientSecret) }, "secret",
		},
		"store.etcd.password-file": {
			password, func(c *server.Config) any { return string(c.Store.Etcd.Password) }, "secret",
		},
	}
	for prefix, get := range map[string]func(*server.Config) server.TLSFiles{
		"store.etcd.tls.": func(c *server.Config) server.TLSFiles { return c.Store.Etcd.TLS },
		"zeebe.tls.":      func(c *server.Config) server.TLSFiles { return c.Zeebe.TLS },
	} {
		rows[prefix+"ca"] = keyTest{files.CA, func(c *server.Config) any { return get(c).CA }, files.CA}
		rows[prefix+"certificate"] = keyTest{files.Certificate, func(c *server.Config) any { return get(c).Certificate }, files.Certificate}
		rows[prefix+"key"] = keyTest{files.Key, func(c *server.Config) any { return get(c).Key }, files.Key}
	}
	ssl := "server.ssl."
	rows[ssl+"trust-certificate"] = keyTest{files.CA, func(c *server.Config) any { return c.SSL.Files.CA }, files.CA}
	rows[ssl+"certificate"] = keyTest{files.Certificate, func(c *server.Config) any { return c.SSL.Files.Certificate }, files.Certificate}
	rows[ssl+"certificate-private-key"] = keyTest{files.Key, func(c *server.Config) any { return c.SSL.Files.Key }, files.Key}
	return rows
}

// besides is what a key needs to make sense, where that is not a broker and a home alone.
func besides(key string, files map[string]keyTest) []string {
	sizes := []string{"ZEEBE_CLUSTER_SIZE=5", "ZEEBE_PARTITIONS=5", "ZEEBE_REPLICATION_FACTOR=5"}
	etcd := []string{brokers, "STORE_TYPE=etcd", "STORE_ETCD_ENDPOINTS=https://a:2379"}
	pair := func(prefix, key string) []string {
		return []string{
			prefix + "_CERTIFICATE=" + files["zeebe.tls.certificate"].text, prefix + key + "=" + files["zeebe.tls.key"].text, home,
		}
	}
	ssl := append(pair("SERVER_SSL", "_CERTIFICATE_PRIVATE_KEY"), brokers, "AUTH_ROLES_OPERATOR=*")
	oauth := []string{
		"ZEEBE_GATEWAY=https://a:1", "ZEEBE_OAUTH_TOKEN_URL=https://b.example/t", "ZEEBE_OAUTH_CLIENT_ID=x", home,
	}
	switch key {
	case "zeebe.brokers":
		return []string{home}
	case "server.ssl.certificate", "server.ssl.certificate-private-key", "server.ssl.enabled-protocols":
		return ssl[:4]
	case "server.ssl.client-auth":
		return append(ssl, "SERVER_SSL_TRUST_CERTIFICATE="+files["auth.jwt.ca"].text)
	case "server.ssl.trust-certificate":
		return append(ssl, "SERVER_SSL_CLIENT_AUTH=need")
	case "auth.tokens-file":
		return []string{brokers, home, "AUTH_ROLES_OPERATOR=*"}
	case "auth.roles.viewer", "auth.roles.holder", "auth.roles.operator":
		return []string{brokers, home, "AUTH_TOKENS_FILE=/etc/x", "AUTH_ROLES_VIEWER=*"}
	case "auth.holder-max-ttl":
		return []string{brokers, home, "AUTH_TOKENS_FILE=/etc/x", "AUTH_ROLES_HOLDER=*"}
	case "auth.jwt.issuer", "auth.jwt.audience", "auth.jwt.algorithms", "auth.jwt.clock-skew", "auth.jwt.ca":
		return []string{brokers, home, "AUTH_JWT_ISSUER=https://x.example", "AUTH_JWT_AUDIENCE=x", "AUTH_ROLES_VIEWER=*"}
	case "audit.max-size", "audit.keep", "audit.on-failure":
		return []string{brokers, home, "AUDIT_PATH=/var/log/a"}
	case "exporting.guard.min-free-disk", "exporting.guard.policy", "exporting.guard.disk-path":
		return []string{brokers, home, "EXPORTING_GUARD_MIN_FREE_DISK=5GB", "EXPORTING_GUARD_DISK_PATH=/x"}
	case "zeebe.tls.ca":
		return []string{home, "ZEEBE_BROKERS=https://a:9600"}
	case "zeebe.tls.certificate", "zeebe.tls.key":
		return append(pair("ZEEBE_TLS", "_KEY"), "ZEEBE_BROKERS=https://a:9600")
	case "zeebe.oauth.client-secret", "zeebe.oauth.client-secret-file":
		return oauth
	case "zeebe.oauth.token-url", "zeebe.oauth.ca", "zeebe.oauth.client-id", "zeebe.oauth.audience", "zeebe.oauth.scope":
		return append(oauth, "ZEEBE_OAUTH_CLIENT_SECRET=x")
	case "zeebe.gateway", "zeebe.management-url":
		return []string{home, "ZEEBE_GATEWAY=other:26500"}
	case "zeebe.cluster-size":
		sizes[2] = "ZEEBE_REPLICATION_FACTOR=1"
		fallthrough
	case "zeebe.partitions", "zeebe.replication-factor":
		return append(sizes, brokers, home)
	case "store.type", "store.etcd.endpoints", "store.etcd.prefix", "store.etcd.tls.ca", "store.etcd.lease-ttl":
		return etcd
	case "store.etcd.username":
		return append(etcd, "STORE_ETCD_PASSWORD=x")
	case "store.etcd.password", "store.etcd.password-file":
		return append(etcd, "STORE_ETCD_USERNAME=x")
	case "store.etcd.tls.certificate", "store.etcd.tls.key":
		return append(etcd, "STORE_ETCD_TLS_CERTIFICATE="+files["store.etcd.tls.certificate"].text,
			"STORE_ETCD_TLS_KEY="+files["store.etcd.tls.key"].text)
	}
	return []string{brokers, home}
}
