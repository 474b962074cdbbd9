package embedded

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Options says what the cluster is. Only Dir is required; every other zero value stands for a default.
type Options struct {
	// Dir holds the logs, the brokers' data and the exported records. It is made if it is missing.
	Dir string
	// Brokers, Partitions (of each tenant) and ReplicationFactor are 3 each by default; the replication factor is no
	// higher than the number of brokers.
	Brokers, Partitions, ReplicationFactor int
	// Version of all brokers, "8.9" by default. A version without a patch is a late patch of its line; an alpha of 8.10
	// answers in the envelope that the alphas still had (zeebe-facts.md 1.3).
	Version string
	// Versions by broker, for mixed clusters; an empty or missing one is Version.
	Versions []string
	// BasePath of the management API, "/actuator" by default.
	BasePath string
	// Tenants are physical tenants, from 8.10 on. Two or more nest the answer of GET partitions by tenant.
	Tenants []string
	// DistinctHosts gives broker i the address 127.0.0.(i+1), all on the same port, as in a deployment, so that an
	// address can be told from a host name. Only Linux has all these addresses by default.
	DistinctHosts bool

	// TLS is how the brokers' management ports and the gateway are served; in the clear if it is nil. A client's certificate
	// is asked for as it says.
	TLS *tls.Config
	// GatewayToken, unless nil, says whether the gateway takes a bearer token; it then answers nobody without one. The
	// management ports never ask for any (zeebe-facts.md 1.6).
	GatewayToken func(token string) bool

	// WriteInterval is the time between two records of a partition, 20ms by default. If it is negative, nothing is
	// written and nothing exported.
	WriteInterval time.Duration
	// DistributionInterval is the time between two copies of the leader's exported position to its followers, and
	// between two compactions. 15s by default, as in Zeebe.
	DistributionInterval time.Duration
	// ApplyDelay is the time until a replica follows a change that was asked for; from 8.10 on the time that each
	// operation of a change plan takes. 10ms by default. If it is negative, changes are applied before they are
	// answered.
	ApplyDelay time.Duration
	// FlushInterval is the time between two acknowledgements of the exporter, which may come after a pause, as those of
	// real exporters do. By default it acknowledges records as it writes them.
	FlushInterval time.Duration
	// EmptyDelay is the time after which a broker that cannot speak for all its partitions answers `{}`. 5s by default,
	// as in Zeebe.
	EmptyDelay time.Duration
	// PlanTimeout is how long a change of exporting is waited for from 8.10 on before the request fails. The change goes
	// on. 60s by default, as in Zeebe.
	PlanTimeout time.Duration
	// SegmentRecords is the number of records in a segment of the log, the unit of compaction. 1024 by default.
	SegmentRecords int

	// NoExporters has no exporter configured: phases are CLOSED and positions -1 (design.md 4).
	NoExporters bool
	// NullFollowers shows the positions of followers as null, as brokers before 8.3 did.
	NullFollowers bool
	// PlanSkipsDead makes change plans pass members that are down, whose configuration then stays as it was. Otherwise
	// plans wait for them.
	PlanSkipsDead bool

	// OnRequest, unless nil, is told of each request that a broker gets, before the broker begins to serve it. The request
	// waits until it returns.
	OnRequest func(broker int, r Request)
	// OnPhase, unless nil, is told of each change of a replica's phase, in order: what the replica is from now on, and its
	// phase before, which is empty when it first starts. What lasts for a moment is not missed. The cluster stands still
	// until it returns, and must not be called from it.
	OnPhase func(now Replica, before Phase)

	// Logger of what goes wrong and of what faults do. By default nothing is logged.
	Logger *slog.Logger
}

// complete fills in the defaults, refuses contradictions and reads the brokers' versions.
func (o Options) complete() (Options, []version, error) {
	if o.Dir == "" {
		return o, nil, errors.New("no directory: set Options.Dir")
	}
	setDefault(&o.Brokers, 3)
	setDefault(&o.Partitions, 3)
	setDefault(&o.ReplicationFactor, min(3, o.Brokers))
	setDefault(&o.Version, "8.9")
	setDefault(&o.BasePath, "/actuator")
	setDefault(&o.WriteInterval, 20*time.Millisecond)
	setDefault(&o.DistributionInterval, 15*time.Second)
	setDefault(&o.ApplyDelay, 10*time.Millisecond)
	setDefault(&o.EmptyDelay, 5*time.Second)
	setDefault(&o.PlanTimeout, time.Minute)
	setDefault(&o.SegmentRecords, 1024)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.BasePath = "/" + strings.Trim(o.BasePath, "/")

	switch {
	case o.Brokers < 1 || o.Partitions < 1:
		return o, nil, fmt.Errorf("%d brokers and %d partitions: there must be one of each", o.Brokers, o.Partitions)
	case o.ReplicationFactor < 1 || o.ReplicationFactor > o.Brokers:
		return o, nil, fmt.Errorf("replication factor %d with %d brokers: it must be from 1 to their number",
			o.ReplicationFactor, o.Brokers)
	case len(o.Versions) > o.Brokers:
		return o, nil, fmt.Errorf("%d versions for %d brokers", len(o.Versions), o.Brokers)
	case o.DistinctHosts && o.Brokers > 254:
		return o, nil, fmt.Errorf("%d brokers have no address each in 127.0.0.0/24", o.Brokers)
	case min(o.DistributionInterval, o.FlushInterval, o.EmptyDelay, o.PlanTimeout) < 0 || o.SegmentRecords < 0:
		return o, nil, errors.New("intervals and sizes must not be negative")
	}
	versions := make([]version, o.Brokers)
	for i := range versions {
		text := o.Version
		if i < len(o.Versions) && o.Versions[i] != "" {
			text = o.Versions[i]
		}
		v, err := parseVersion(text)
		if err != nil {
			return o, nil, err
		}
		if len(o.Tenants) > 1 && !v.planned() {
			return o, nil, fmt.Errorf("version %s knows no tenants: it must be 8.10 or later", v)
		}
		versions[i] = v
	}
	return o, versions, nil
}

// tenants are the tenants whose partitions the cluster has: one without a name where none is configured.
func (o Options) tenants() []string {
	if len(o.Tenants) == 0 {
		return []string{""}
	}
	return o.Tenants
}

func setDefault[T comparable](value *T, to T) {
	var zero T
	if *value == zero {
		*value = to
	}
}
