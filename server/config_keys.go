package server

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Key is one setting. The table of [Keys] is the only place that knows its names, its default and its type: the loader,
// the flags and docs/configuration.md follow from it.
type Key struct {
	// Name is the key in the file and, after two dashes, the flag.
	Name string
	// Alias is another name of the key in the file and, by the same rule, in the environment; mostly empty.
	Alias string
	// Default is the value as it would be written; empty where there is none.
	Default string
	// Doc says in a sentence or two what it does.
	Doc string
	// Cluster keys say where the brokers are and how many: they make no sense where the cluster is embedded.
	Cluster bool
	// Secret keys have no flag, because everybody on a machine can read the flags of its processes. Their values are shown
	// nowhere.
	Secret bool

	set func(c *Config, text string) error
}

// Keys is every setting, in the order of the documentation.
func Keys() []Key {
	return []Key{
		{
			Name: "server.port", Alias: "management.server.port", Default: "9600",
			Doc: "Port of the actuator endpoints (HTTP). `0` takes any free port, `-1` shuts this door.",
			set: into(func(c *Config) *int { return &c.HTTP.Port }, parsePort),
		},
		{
			Name: "server.address", Default: "127.0.0.1",
			Doc: "Address that HTTP listens on: loopback, for as long as there is neither TLS nor authentication.",
			set: into(func(c *Config) *string { return &c.HTTP.Address }, parseAddress),
		},
		{
			Name: "server.name",
			Doc:  "What people know this server by, among several over one ledger. By default the name of its host.",
			set:  into(func(c *Config) *string { return &c.Name }, parseName),
		},
		{
			Name: "server.shutdown-timeout", Default: "30s",
			Doc: "How long calls in flight may take to end when the server is told to stop.",
			set: into(func(c *Config) *time.Duration { return &c.ShutdownTimeout }, parseDuration),
		},
		{
			Name: "management.endpoints.web.base-path", Default: "/actuator",
			Doc: "Path of the actuator endpoints.",
			set: into(func(c *Config) *string { return &c.BasePath }, parseBasePath),
		},
		{
			Name: "management.exporting.response", Default: string(ResponseEnvelope),
			Doc: "Successful answer to `pause` and `resume` over HTTP: `envelope` (200 and a body) or `no-content` (204).",
			set: into(func(c *Config) *ResponseStyle { return &c.Response }, oneOf(ResponseEnvelope, ResponseNoContent)),
		},
		{
			Name: "grpc.port", Default: "9601",
			Doc: "Port of the gRPC service. `0` takes any free port, `-1` shuts this door.",
			set: into(func(c *Config) *int { return &c.GRPC.Port }, parsePort),
		},
		{
			Name: "grpc.address",
			Doc:  "Address that gRPC listens on. By default the same as `server.address`.",
			set:  into(func(c *Config) *string { return &c.GRPC.Address }, parseAddress),
		},
		{
			Name: "zeebe.brokers", Cluster: true,
			Doc: "Management base URLs of all brokers, separated by commas (in the file a list will do): " +
				"`http://zeebe-0.zeebe:9600/actuator`, with the broker's id before it where its host name does not end in it " +
				"(`0=http://...`), or `dns+http://zeebe:9600/actuator` for one broker an address. This or `zeebe.gateway`.",
			set: into(func(c *Config) *[]string { return &c.Zeebe.Brokers }, parseBrokers),
		},
		{
			Name: "zeebe.gateway", Cluster: true,
			Doc: "`host:port` of a Zeebe gateway (gRPC, mostly 26500) that tells which brokers there are. " +
				"This or `zeebe.brokers`.",
			set: into(func(c *Config) *string { return &c.Zeebe.Gateway }, parseHostPort),
		},
		{
			Name: "zeebe.management-url", Default: "http://{host}:9600/actuator", Cluster: true,
			Doc: "Makes a broker's management base URL from the host that the gateway tells.",
			set: into(func(c *Config) *string { return &c.Zeebe.ManagementURL }, parseManagementURL),
		},
		{
			Name: "zeebe.version", Cluster: true,
			Doc: "Version of the brokers, such as `8.8` or `8.9.3`. By default it is detected.",
			set: into(func(c *Config) *string { return &c.Zeebe.Version }, parseVersion),
		},
		{
			Name: "zeebe.cluster-size", Cluster: true,
			Doc: "Number of brokers. Only for brokers that cannot tell.",
			set: into(func(c *Config) *int { return &c.Zeebe.ClusterSize }, parseCount),
		},
		{
			Name: "zeebe.partitions", Cluster: true,
			Doc: "Number of partitions. Only for brokers that cannot tell, and together with `zeebe.replication-factor`.",
			set: into(func(c *Config) *int { return &c.Zeebe.Partitions }, parseCount),
		},
		{
			Name: "zeebe.replication-factor", Cluster: true,
			Doc: "Number of replicas of each partition. Only for brokers that cannot tell, and together with " +
				"`zeebe.partitions`.",
			set: into(func(c *Config) *int { return &c.Zeebe.ReplicationFactor }, parseCount),
		},
		{
			Name: "zeebe.cluster-id", Cluster: true,
			Doc: "The cluster's own id, where no gateway tells it. The ledger of holds belongs to one cluster; without an id it " +
				"knows that by the addresses of the brokers.",
			set: into(func(c *Config) *string { return &c.Zeebe.ClusterID }, parseName),
		},
		{
			Name: "zeebe.request-timeout", Default: "8s",
			Doc: "Bound of one request to one broker. A broker may take 5s to say that it does not know.",
			set: into(func(c *Config) *time.Duration { return &c.Zeebe.RequestTimeout }, parseDuration),
		},
		{
			Name: "zeebe.concurrency", Default: "64",
			Doc: "How many brokers are spoken to at a time.",
			set: into(func(c *Config) *int { return &c.Zeebe.Concurrency }, parseCount),
		},
		{
			Name: "exporting.timeout", Default: "30s",
			Doc: "Bound of one pause or resume. A caller may ask for less, not for more.",
			set: into(func(c *Config) *time.Duration { return &c.Exporting.Timeout }, parseDuration),
		},
		{
			Name: "exporting.on-failure", Default: string(OnFailureRevert),
			Doc: "What becomes of a pause that cannot settle in time, unless the call says so: `revert` or `keep`.",
			set: into(func(c *Config) *OnFailure { return &c.Exporting.OnFailure }, oneOf(OnFailureRevert, OnFailureKeep)),
		},
		{
			Name: "exporting.confirm-interval", Default: "500ms",
			Doc: "Least time between the two reads that every replica must show the phase in.",
			set: into(func(c *Config) *time.Duration { return &c.Exporting.ConfirmInterval }, parseDuration),
		},
		{
			Name: "exporting.drain", Default: "6s",
			Doc: "How long exported positions must stand still after a hard pause before its continuity is judged by them. " +
				"Exporters flush for up to 5s after they were paused.",
			set: into(func(c *Config) *time.Duration { return &c.Exporting.Drain }, parseDuration),
		},
		{
			Name: "exporting.reconcile-interval", Default: "5s",
			Doc: "How often the replicas are compared with what they should show when nothing happens.",
			set: into(func(c *Config) *time.Duration { return &c.Exporting.ReconcileInterval }, parseDuration),
		},
		{
			Name: "exporting.on-foreign-change", Default: string(ForeignEnforce),
			Doc: "What becomes of a resume that was not asked for here while a named hold lives: `enforce` pauses again " +
				"(at most 5 times an hour), `observe` only reports it.",
			set: into(func(c *Config) *ForeignChange { return &c.Exporting.OnForeignChange },
				oneOf(ForeignEnforce, ForeignObserve)),
		},
		{
			Name: "exporting.allow-soft-to-hard", Default: "false",
			Doc: "Lets a hard pause follow a soft one on brokers below 8.10, which can damage their pause files.",
			set: into(func(c *Config) *bool { return &c.Exporting.AllowSoftToHard }, parseBool),
		},
		{
			Name: "holds.default-ttl", Default: "1h",
			Doc: "How long a named hold lives if whoever places it does not say.",
			set: into(func(c *Config) *time.Duration { return &c.Holds.DefaultTTL }, parseTTL),
		},
		{
			Name: "holds.max-ttl", Default: "24h",
			Doc: "How long a named hold may live at most, up to 720h. It can be renewed.",
			set: into(func(c *Config) *time.Duration { return &c.Holds.MaxTTL }, parseTTL),
		},
		{
			Name: "store.type", Default: string(StoreBolt),
			Doc: "Where the ledger of holds is kept: `bolt` is a file, for one server; `etcd` is for several.",
			set: into(func(c *Config) *StoreType { return &c.Store.Type }, oneOf(StoreBolt, StoreEtcd)),
		},
		{
			Name: "store.path",
			Doc: "File of the ledger, with `bolt`. By default `exportgate.db` in the first of these directories that is known: " +
				"`$STATE_DIRECTORY`, `$XDG_STATE_HOME/exportgate`, `$HOME/.local/state/exportgate`.",
			set: into(func(c *Config) *string { return &c.Store.Path }, parsePath),
		},
		{
			Name: "store.etcd.endpoints",
			Doc: "URLs of the members, separated by commas (in the file a list will do): `https://etcd-0:2379`. " +
				"This and all other `store.etcd` keys are for `etcd` alone.",
			set: into(func(c *Config) *[]string { return &c.Store.Etcd.Endpoints }, parseEndpoints),
		},
		{
			Name: "store.etcd.prefix", Default: "/exportgate",
			Doc: "What the names of all keys begin with. The servers of one Zeebe cluster share it, those of another have their own.",
			set: into(func(c *Config) *string { return &c.Store.Etcd.Prefix }, parsePrefix),
		},
		{
			Name: "store.etcd.username",
			Doc:  "User of etcd, where its authentication is on.",
			set:  into(func(c *Config) *string { return &c.Store.Etcd.Username }, parseName),
		},
		{
			Name: "store.etcd.password", Secret: true,
			Doc: "The user's password. It has no flag: flags can be read by everybody on the machine.",
			set: into(func(c *Config) *Secret { return &c.Store.Etcd.Password }, parseSecret),
		},
		{
			Name: "store.etcd.password-file",
			Doc:  "File with the password, instead of `store.etcd.password`. A newline at its end does not count.",
			set:  into(func(c *Config) *Secret { return &c.Store.Etcd.Password }, readSecret),
		},
		{
			Name: "store.etcd.tls.ca",
			Doc: "PEM file of the authorities that the members' certificates are checked with. By default those that the " +
				"system trusts.",
			set: into(func(c *Config) *string { return &c.Store.Etcd.TLS.CA }, parsePath),
		},
		{
			Name: "store.etcd.tls.certificate",
			Doc:  "PEM file of this server's certificate, where the members ask for one. Together with `store.etcd.tls.key`.",
			set:  into(func(c *Config) *string { return &c.Store.Etcd.TLS.Certificate }, parsePath),
		},
		{
			Name: "store.etcd.tls.key",
			Doc:  "PEM file of the certificate's private key. Together with `store.etcd.tls.certificate`.",
			set:  into(func(c *Config) *string { return &c.Store.Etcd.TLS.Key }, parsePath),
		},
		{
			Name: "store.etcd.lease-ttl", Default: "15s",
			Doc: "How long the other servers wait for one that died or is cut off before one of them drives the brokers " +
				"instead: whole seconds, from `5s` to `10m`.",
			set: into(func(c *Config) *time.Duration { return &c.Store.Etcd.LeaseTTL }, parseLease),
		},
		{
			Name: "log.level", Default: string(LogInfo),
			Doc: "Least level that is logged: `debug`, `info`, `warn` or `error`.",
			set: into(func(c *Config) *LogLevel { return &c.Log.Level }, oneOf(LogDebug, LogInfo, LogWarn, LogError)),
		},
		{
			Name: "log.format", Default: string(LogText),
			Doc: "How log lines look: `text` or `json`.",
			set: into(func(c *Config) *LogFormat { return &c.Log.Format }, oneOf(LogText, LogJSON)),
		},
	}
}

// Env is the names of the environment variables that set the key, the preferred one first. Dots become underscores and
// all letters upper case; dashes become underscores or vanish, for Spring makes them vanish and most people do not.
func (k Key) Env() []string {
	var names []string
	for _, name := range []string{k.Name, k.Alias} {
		for _, dash := range []string{"_", ""} {
			env := strings.ToUpper(strings.NewReplacer(".", "_", "-", dash).Replace(name))
			if env != "" && !slices.Contains(names, env) {
				names = append(names, env)
			}
		}
	}
	return names
}

// RegisterFlags gives every key but the secret ones a flag of its own name. [Load] takes those that were set.
func RegisterFlags(flags *pflag.FlagSet) {
	for _, key := range Keys() {
		if key.Secret {
			continue
		}
		flags.String(key.Name, key.Default, strings.ReplaceAll(key.Doc, "`", "")) // pflag gives backquotes a meaning
		if key.Default == "false" {
			flags.Lookup(key.Name).NoOptDefVal = "true"
		}
	}
}
