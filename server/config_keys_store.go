package server

import "time"

// storeKeys are where the ledger is kept.
func storeKeys() []Key {
	return []Key{
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
	}
}
