package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// complete fills in what follows from other keys, and refuses values that contradict one another.
func (c *Config) complete(opts LoadOptions) error {
	c.completeAddress()
	if c.Zeebe.Gateway == "" && !c.isWritten("zeebe.management-url") {
		c.Zeebe.ManagementURL = ""
		delete(c.settings, "zeebe.management-url")
	}
	return errors.Join(c.completeName(), c.checkDoors(), c.checkAccess(), c.checkCluster(opts.EmbeddedCluster), c.checkTimes(), c.checkGuard(),
		c.completeStore(opts))
}

func (c *Config) completeName() error {
	if c.Name != "" {
		return nil
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		return errors.New("this host has no name that could be found out: set server.name")
	}
	c.Name = host
	c.settings["server.name"] = setting{host, "name of this host"}
	return nil
}

func (c *Config) checkDoors() error {
	switch {
	case c.HTTP.Off() && c.GRPC.Off():
		return fmt.Errorf("%s and %s are both off: open one", c.tell("server.port"), c.tell("grpc.port"))
	case c.HTTP.Off() || c.HTTP.Port == 0 || c.HTTP.Port != c.GRPC.Port:
		return nil
	case c.HTTP.Address == c.GRPC.Address || isEverywhere(c.HTTP.Address) || isEverywhere(c.GRPC.Address):
		return fmt.Errorf("%s and %s collide: HTTP and gRPC need a port each", c.tell("server.port"), c.tell("grpc.port"))
	}
	return nil
}

func (c *Config) checkCluster(embedded bool) error {
	if embedded {
		return c.checkEmbedded()
	}
	var mistakes []error
	z := c.Zeebe
	switch {
	case len(z.Brokers) == 0 && z.Gateway == "":
		mistakes = append(mistakes, errors.New("neither zeebe.brokers nor zeebe.gateway says where the brokers are: set one"))
	case len(z.Brokers) > 0 && z.Gateway != "":
		mistakes = append(mistakes, fmt.Errorf("%s and %s contradict each other: keep one",
			c.tell("zeebe.brokers"), c.tell("zeebe.gateway")))
	case z.Gateway == "" && c.isWritten("zeebe.management-url"):
		mistakes = append(mistakes, fmt.Errorf("%s is for zeebe.gateway, which is not set", c.tell("zeebe.management-url")))
	}
	if (z.Partitions > 0) != (z.ReplicationFactor > 0) {
		mistakes = append(mistakes, errors.New(
			"zeebe.partitions and zeebe.replication-factor tell what to expect only together: set both or neither",
		))
	}
	if z.ClusterSize > 0 && z.ReplicationFactor > z.ClusterSize {
		mistakes = append(mistakes, fmt.Errorf("%s is more than %s: each replica has a broker of its own",
			c.tell("zeebe.replication-factor"), c.tell("zeebe.cluster-size")))
	}
	return errors.Join(append(mistakes, c.checkZeebeTLS(), c.checkOAuth())...)
}

func (c *Config) checkZeebeTLS() error {
	secure := strings.HasPrefix(c.Zeebe.ManagementURL, "https:") || isSecureGateway(c.Zeebe.Gateway) ||
		slices.ContainsFunc(c.Zeebe.Brokers, func(broker string) bool { return strings.Contains(broker, "https://") })
	if secure {
		return c.checkClientTLS("zeebe.tls.", c.Zeebe.TLS, "")
	}
	return c.checkClientTLS("zeebe.tls.", c.Zeebe.TLS, "no broker and no gateway has any")
}

// checkOAuth lets no token travel in the clear, but for one on this machine.
func (c *Config) checkOAuth() error {
	o := c.Zeebe.OAuth
	host, _, _ := net.SplitHostPort(c.Zeebe.Gateway)
	err := c.onlyWith("zeebe.oauth.token-url", o.TokenURL != "", "zeebe.oauth.")
	switch {
	case err != nil || o.TokenURL == "":
		return err
	case c.Zeebe.Gateway == "":
		return fmt.Errorf("%s is for zeebe.gateway, which is not set", c.tell("zeebe.oauth.token-url"))
	case o.ClientID == "" || o.ClientSecret == "":
		return fmt.Errorf("%s needs zeebe.oauth.client-id and zeebe.oauth.client-secret or zeebe.oauth.client-secret-file",
			c.tell("zeebe.oauth.token-url"))
	case c.isWritten("zeebe.oauth.client-secret") && c.isWritten("zeebe.oauth.client-secret-file"):
		return errors.New("zeebe.oauth.client-secret and zeebe.oauth.client-secret-file contradict each other: keep one")
	case !isSecureGateway(c.Zeebe.Gateway) && !isLoopback(host):
		return fmt.Errorf("%s has no TLS, and tokens must not travel in the clear: write https:// before it", c.tell("zeebe.gateway"))
	}
	return c.checkFiles(TLSFiles{CA: o.CA}, "zeebe.oauth.ca")
}

// isSecureGateway reports that a gateway is spoken to over TLS.
func isSecureGateway(gateway string) bool { return strings.Contains(gateway, "://") }

// checkGuard asks for the volume: the one that brokers tell of by default may be another than that of their logs.
func (c *Config) checkGuard() error {
	const least, volume = "exporting.guard.min-free-disk", "exporting.guard.disk-path"
	on := c.Exporting.Guard.MinFree != MinFree{}
	if on && c.Exporting.Guard.DiskPath == "" {
		return fmt.Errorf("%s needs %s: the path of the brokers' data, as their metric disk_free_bytes has it", c.tell(least), volume)
	}
	return c.onlyWith(least, on, "exporting.guard.")
}

func (c *Config) checkEmbedded() error {
	return c.forget(func(key Key) bool { return key.Cluster }, "has no meaning here: the cluster is embedded")
}

func (c *Config) checkTimes() error {
	var mistakes []error
	if c.Exporting.ConfirmInterval >= c.Exporting.Timeout {
		mistakes = append(mistakes, fmt.Errorf("%s is not shorter than %s: no pause could ever be confirmed",
			c.tell("exporting.confirm-interval"), c.tell("exporting.timeout")))
	}
	if c.Holds.DefaultTTL > c.Holds.MaxTTL {
		mistakes = append(mistakes, fmt.Errorf("%s is longer than %s: no hold may live for that long",
			c.tell("holds.default-ttl"), c.tell("holds.max-ttl")))
	}
	return errors.Join(mistakes...)
}

// emptyAnswer is how long a broker may take to say that it does not know its partitions (zeebe-facts.md 4.1).
const emptyAnswer = 5 * time.Second

// flushInterval is how often exporters flush what they have, by default: what they held when they were paused still counts
// (zeebe-facts.md 3.2).
const flushInterval = 5 * time.Second

const unprotected = ", and there is neither TLS nor authentication: whoever reaches it can pause and resume exporting"

// exposures warns of what is allowed but dangerous.
func (c *Config) exposures() []string {
	warnings := c.accessExposures()
	if c.Zeebe.RequestTimeout <= emptyAnswer {
		warnings = append(warnings, fmt.Sprintf("%s is too short for a broker that takes %s to say that it does not know",
			c.tell("zeebe.request-timeout"), emptyAnswer))
	}
	if c.Exporting.Drain <= flushInterval {
		warnings = append(warnings, fmt.Sprintf("%s is too short for exporters that flush every %s: a hold may be called broken "+
			"that is not", c.tell("exporting.drain"), flushInterval))
	}
	if c.Exporting.AllowSoftToHard {
		warnings = append(warnings, c.tell("exporting.allow-soft-to-hard")+
			" lets a hard pause follow a soft one, which can damage the pause files of brokers below 8.10")
	}
	return append(warnings, c.storeExposures()...)
}

// tell names a key with its value and where that was written.
func (c *Config) tell(key string) string {
	s := c.settings[key]
	return fmt.Sprintf("%s %q (%s)", key, s.text, s.source)
}

// isWritten reports that a key has a value that is not its default.
func (c *Config) isWritten(key string) bool {
	s := c.settings[key]
	return s.text != "" && s.source != byDefault
}

// forget refuses keys that were written and are of no use here, and forgets the defaults of the others.
func (c *Config) forget(useless func(Key) bool, why string) error {
	var mistakes []error
	for _, key := range Keys() {
		if !useless(key) {
			continue
		}
		if c.isWritten(key.Name) {
			mistakes = append(mistakes, fmt.Errorf("%s %s", c.tell(key.Name), why))
		}
		delete(c.settings, key.Name)
	}
	return errors.Join(mistakes...)
}

func isEverywhere(address string) bool {
	if address == Everywhere {
		return true
	}
	ip := net.ParseIP(address)
	return ip != nil && ip.IsUnspecified()
}

func isLoopback(address string) bool {
	ip := net.ParseIP(address)
	return strings.EqualFold(address, "localhost") || ip != nil && ip.IsLoopback()
}
