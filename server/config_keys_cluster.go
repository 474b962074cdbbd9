package server

import "time"

// zeebeKeys are where the brokers are and how they are spoken to.
func zeebeKeys() []Key {
	return []Key{
		{
			Name: "zeebe.brokers", Cluster: true,
			Doc: "Management base URLs of all brokers, separated by commas (in the file a list will do): " +
				"`http://zeebe-0.zeebe:9600/actuator`, with the broker's id before it where its host name does not end in it " +
				"(`0=http://...`), or `dns+http://zeebe:9600/actuator` for one broker an address. This or `zeebe.gateway`.",
			set: into(func(c *Config) *[]string { return &c.Zeebe.Brokers }, parseBrokers),
		},
		{
			Name: "zeebe.gateway", Cluster: true,
			Doc: "`host:port` of a Zeebe gateway (gRPC, mostly 26500) that tells which brokers there are; `https://host:port` where it speaks TLS. " +
				"This or `zeebe.brokers`.",
			set: into(func(c *Config) *string { return &c.Zeebe.Gateway }, parseGateway),
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
			Name: "zeebe.tls.ca", Cluster: true,
			Doc: "PEM file of the authorities that the brokers' and the gateway's certificates are checked with, where they speak TLS. By default those that " +
				"the system trusts.",
			set: into(func(c *Config) *string { return &c.Zeebe.TLS.CA }, parsePath),
		},
		{
			Name: "zeebe.tls.certificate", Cluster: true,
			Doc: "PEM file of this server's certificate, where brokers ask for one. Together with `zeebe.tls.key`.",
			set: into(func(c *Config) *string { return &c.Zeebe.TLS.Certificate }, parsePath),
		},
		{
			Name: "zeebe.tls.key", Cluster: true,
			Doc: "PEM file of the certificate's private key. Together with `zeebe.tls.certificate`.",
			set: into(func(c *Config) *string { return &c.Zeebe.TLS.Key }, parsePath),
		},
		{
			Name: "zeebe.oauth.token-url", Cluster: true,
			Doc: "Where the gateway's tokens are fetched (OAuth client credentials), such as " +
				"`https://keycloak/realms/camunda/protocol/openid-connect/token`. This and the other `zeebe.oauth` keys are for `zeebe.gateway`.",
			set: into(func(c *Config) *string { return &c.Zeebe.OAuth.TokenURL }, parseTokenURL),
		},
		{
			Name: "zeebe.oauth.client-id", Cluster: true,
			Doc: "Who this server is to the identity provider.",
			set: into(func(c *Config) *string { return &c.Zeebe.OAuth.ClientID }, parseName),
		},
		{
			Name: "zeebe.oauth.client-secret", Cluster: true, Secret: true,
			Doc: "The client's secret. It has no flag.",
			set: into(func(c *Config) *Secret { return &c.Zeebe.OAuth.ClientSecret }, parseSecret),
		},
		{
			Name: "zeebe.oauth.client-secret-file", Cluster: true,
			Doc: "File with the secret, instead of `zeebe.oauth.client-secret`.",
			set: into(func(c *Config) *Secret { return &c.Zeebe.OAuth.ClientSecret }, readSecret),
		},
		{
			Name: "zeebe.oauth.ca", Cluster: true,
			Doc: "PEM file of the authorities that the identity provider's certificate is checked with. By default those that the system " +
				"trusts.",
			set: into(func(c *Config) *string { return &c.Zeebe.OAuth.CA }, parsePath),
		},
		{
			Name: "zeebe.oauth.audience", Cluster: true,
			Doc: "Audience that the token is asked for, such as `zeebe-api`.",
			set: into(func(c *Config) *string { return &c.Zeebe.OAuth.Audience }, parseName),
		},
		{
			Name: "zeebe.oauth.scope", Cluster: true,
			Doc: "Scope that the token is asked for.",
			set: into(func(c *Config) *string { return &c.Zeebe.OAuth.Scope }, parseName),
		},
	}
}

// exportingKeys are how exporting is paused, and for how long.
func exportingKeys() []Key {
	return []Key{
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
			Name: "exporting.guard.min-free-disk",
			Doc:  "Least free disk of a broker while exporting is paused, in percent (`10%`) or bytes (`5GB`, `5GiB`). By default nothing is guarded.",
			set:  into(func(c *Config) *MinFree { return &c.Exporting.Guard.MinFree }, parseMinFree),
		},
		{
			Name: "exporting.guard.policy", Default: string(GuardWarn),
			Doc: "What becomes of pauses when a broker has less: `warn`, or `release`, which ends every hold, so that the cluster lives.",
			set: into(func(c *Config) *GuardPolicy { return &c.Exporting.Guard.Policy }, oneOf(GuardWarn, GuardRelease)),
		},
		{
			Name: "exporting.guard.disk-path",
			Doc: "Path of the volume that counts, as the brokers' metric `disk_free_bytes` has it in its label. Needed with " +
				"`exporting.guard.min-free-disk`: the one that is there by default may be another volume.",
			set: into(func(c *Config) *string { return &c.Exporting.Guard.DiskPath }, parseName),
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
	}
}
