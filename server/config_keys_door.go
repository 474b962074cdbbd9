package server

import "time"

// doorKeys are where the doors are, and what is behind them.
func doorKeys() []Key {
	return []Key{
		{
			Name: "server.port", Alias: "management.server.port", Default: "9600",
			Doc: "Port of the actuator endpoints (HTTP). `0` takes any free port, `-1` shuts this door.",
			set: into(func(c *Config) *int { return &c.HTTP.Port }, parsePort),
		},
		{
			Name: "server.address",
			Doc: "Address that HTTP listens on. By default loopback, while there is neither TLS nor authentication, else `*`, which is every " +
				"interface.",
			set: into(func(c *Config) *string { return &c.HTTP.Address }, parseListen),
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
			Name: "server.allowed-hosts",
			Doc: "Host names, separated by commas, that requests may name although HTTP listens on loopback, as behind a proxy on this machine. " +
				"Loopback's own names are always allowed; others are refused there, since a web page may have made its name point here.",
			set: into(func(c *Config) *[]string { return &c.AllowedHosts }, parseHosts),
		},
		{
			Name: "server.ssl.certificate", Alias: "management.server.ssl.certificate",
			Doc: "PEM file of the certificate that both doors show, with its chain. Together with the private key it turns TLS on.",
			set: into(func(c *Config) *string { return &c.SSL.Files.Certificate }, parsePath),
		},
		{
			Name: "server.ssl.certificate-private-key", Alias: "management.server.ssl.certificate-private-key",
			Doc: "PEM file of the certificate's private key.",
			set: into(func(c *Config) *string { return &c.SSL.Files.Key }, parsePath),
		},
		{
			Name: "server.ssl.trust-certificate", Alias: "management.server.ssl.trust-certificate",
			Doc: "PEM file of the authorities that clients' certificates are checked with.",
			set: into(func(c *Config) *string { return &c.SSL.Files.CA }, parsePath),
		},
		{
			Name: "server.ssl.client-auth", Alias: "management.server.ssl.client-auth", Default: string(ClientAuthNone),
			Doc: "Whether clients show a certificate: `none`, `want` (they may) or `need`. One that is shown must be valid, and tells who calls.",
			set: into(func(c *Config) *ClientAuth { return &c.SSL.ClientAuth }, oneOf(ClientAuthNone, ClientAuthWant, ClientAuthNeed)),
		},
		{
			Name: "server.ssl.enabled-protocols", Alias: "management.server.ssl.enabled-protocols", Default: "TLSv1.3",
			Doc: "`TLSv1.3`, or `TLSv1.2,TLSv1.3` for clients that cannot speak it.",
			set: into(func(c *Config) *uint16 { return &c.SSL.MinVersion }, parseProtocols),
		},
		{
			Name: "management.endpoints.web.base-path", Default: "/actuator",
			Doc: "Path of the actuator endpoints.",
			set: into(func(c *Config) *string { return &c.BasePath }, parseBasePath),
		},
		{
			Name: "server.servlet.context-path", Alias: "management.server.base-path",
			Doc: "Goes before the path of the actuator endpoints, as `/orchestration` does in some of Camunda's charts.",
			set: into(func(c *Config) *string { return &c.ContextPath }, parseBasePath),
		},
		{
			Name: "management.endpoints.web.exposure.include", Default: "*",
			Doc: "Endpoints that there are, separated by commas: `exporting`, `health`, `info`, `loggers`, `openapi`, `prometheus`, or `*` for " +
				"all of them.",
			set: into(func(c *Config) *[]string { return &c.Exposure.Include }, parseEndpointIDs),
		},
		{
			Name: "management.endpoints.web.exposure.exclude",
			Doc:  "Endpoints that there are not, although they are included.",
			set:  into(func(c *Config) *[]string { return &c.Exposure.Exclude }, parseEndpointIDs),
		},
		{
			Name: "management.endpoint.health.show-details", Default: string(DetailsWhenAuthorized),
			Doc: "Who sees the health of each component: `always`, `when-authorized` (whoever may see the status) or `never`.",
			set: into(func(c *Config) *HealthDetails { return &c.HealthDetails }, oneOf(DetailsNever, DetailsWhenAuthorized, DetailsAlways)),
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
			set:  into(func(c *Config) *string { return &c.GRPC.Address }, parseListen),
		},
	}
}

// logKeys are how the program logs.
func logKeys() []Key {
	return []Key{
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
