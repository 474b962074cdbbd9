package server

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// StoreConfig says where the ledger of holds is kept.
type StoreConfig struct {
	Type StoreType
	// Path is the file of [StoreBolt]. Empty with [StoreEtcd], and with [LoadOptions.EmbeddedCluster] unless it was written.
	Path string
	// Etcd is how [StoreEtcd] is reached; zero with [StoreBolt].
	Etcd EtcdConfig
}

// StoreType is the kind of a store.
type StoreType string

// The stores.
const (
	// StoreBolt is a file, for one server.
	StoreBolt StoreType = "bolt"
	// StoreEtcd is a cluster of etcd, for several servers.
	StoreEtcd StoreType = "etcd"
)

// EtcdConfig says how a cluster of etcd is reached.
type EtcdConfig struct {
	// Endpoints are the members' URLs, with a port each, either all https or all http.
	Endpoints []string
	// Prefix is what the names of all keys begin with: it begins with a slash and does not end with one.
	Prefix string
	// Username and Password are given together, or empty.
	Username string
	Password Secret
	// TLS is zero where the endpoints are http.
	TLS TLSFiles
	// LeaseTTL is after how long a server that does not answer drives no more: whole seconds, at least 5.
	LeaseTTL time.Duration
}

// secure reports that the endpoints are spoken to over TLS.
func (e EtcdConfig) secure() bool {
	return len(e.Endpoints) > 0 && strings.HasPrefix(e.Endpoints[0], "https:")
}

// etcdKeys is what the names of the keys that are for etcd alone begin with.
const etcdKeys = "store.etcd."

// completeStore fills in what follows from the type of the store, and refuses what is for another. Several servers that
// only seem to share a ledger would resume one another's pauses.
func (c *Config) completeStore(opts LoadOptions) error {
	if c.Store.Type == StoreEtcd {
		return c.checkEtcd()
	}
	err := c.forget(func(key Key) bool { return strings.HasPrefix(key.Name, etcdKeys) },
		"is for etcd, and "+c.tell("store.type")+" is not: set store.type to etcd, or remove it")
	c.Store.Etcd = EtcdConfig{}
	if c.Store.Path == "" && !opts.EmbeddedCluster {
		err = errors.Join(err, c.completePath(opts.Env))
	}
	return err
}

// completePath puts the file where the system wants what a program must not lose.
func (c *Config) completePath(env []string) error {
	state, _, _ := strings.Cut(variable(env, "STATE_DIRECTORY"), ":") // systemd may give several.
	for _, place := range []struct{ base, below, source string }{
		{state, "", "$STATE_DIRECTORY"},
		{variable(env, "XDG_STATE_HOME"), "exportgate", "$XDG_STATE_HOME"},
		{variable(env, "HOME"), ".local/state/exportgate", "$HOME"},
	} {
		if filepath.IsAbs(place.base) { // As the XDG specification has it, other ones are passed over.
			c.Store.Path = filepath.Join(place.base, place.below, "exportgate.db")
			c.settings["store.path"] = setting{c.Store.Path, "in " + place.source}
			return nil
		}
	}
	return errors.New("none of $STATE_DIRECTORY, $XDG_STATE_HOME and $HOME tells where the ledger of holds can be kept: " +
		"set store.path to a file, or one of them to a directory")
}

// variable is the value of an environment variable; empty where it is not set.
func variable(env []string, name string) string {
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

func (c *Config) checkEtcd() error {
	var mistakes []error
	refuse := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	if c.isWritten("store.path") {
		refuse("%s is for bolt, and %s is not: remove one", c.tell("store.path"), c.tell("store.type"))
	}
	if len(c.Store.Etcd.Endpoints) == 0 {
		refuse("%s needs store.etcd.endpoints: set it to the URLs of the members", c.tell("store.type"))
	}
	if c.isWritten("store.etcd.password") && c.isWritten("store.etcd.password-file") {
		refuse("%s and %s contradict each other: keep one", c.tell("store.etcd.password"), c.tell("store.etcd.password-file"))
	}
	if (c.Store.Etcd.Username == "") != (c.Store.Etcd.Password == "") {
		refuse("store.etcd.username and the password, store.etcd.password or store.etcd.password-file, are of use only " +
			"together: set both or neither")
	}
	return errors.Join(append(mistakes, c.checkEtcdTLS())...)
}

func (c *Config) checkEtcdTLS() error {
	plain := ""
	if len(c.Store.Etcd.Endpoints) > 0 && !c.Store.Etcd.secure() {
		plain = c.tell("store.etcd.endpoints") + " has none"
	}
	return c.checkClientTLS("store.etcd.tls.", c.Store.Etcd.TLS, plain)
}

// storeExposures warns of what is allowed but dangerous about a store.
func (c *Config) storeExposures() []string {
	if c.Store.Type != StoreEtcd {
		return nil
	}
	var warnings []string
	if !c.Store.Etcd.secure() && slices.ContainsFunc(c.Store.Etcd.Endpoints, isElsewhere) {
		warnings = append(warnings, c.tell("store.etcd.endpoints")+" has no TLS: whoever is on the way can read and change "+
			"the ledger of holds, and reads the password if there is one")
	}
	// How long a pause may take is no matter: it is many requests, and the lease is renewed between them.
	if c.Zeebe.RequestTimeout >= c.Store.Etcd.LeaseTTL {
		warnings = append(warnings, fmt.Sprintf("%s is not shorter than %s: a broker that is slow to take a change does not get "+
			"that long, because what a server asks of the brokers ends before its lease does",
			c.tell("zeebe.request-timeout"), c.tell("store.etcd.lease-ttl")))
	}
	return warnings
}

// isElsewhere reports that an endpoint is not on this machine.
func isElsewhere(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err != nil || !isLoopback(u.Hostname())
}
