package server

import (
	"net"
	"strconv"
	"time"
)

// Config is a configuration that is complete and holds together. [Load] is the way to one; what was written, which may
// be neither, never leaves this package. Whoever changes a field afterwards answers for the whole.
type Config struct {
	// Name is what people know this server by, among several over one ledger.
	Name string
	// HTTP is the door with the actuator endpoints.
	HTTP Listener
	// GRPC is the door with the service itself.
	GRPC Listener
	// BasePath is the path of the actuator endpoints, and ContextPath what goes before it: each begins with a slash and does
	// not end with one. ContextPath may be empty.
	BasePath, ContextPath string
	// AllowedHosts are names that requests may give this server although HTTP listens on loopback.
	AllowedHosts []string
	// Exposure says which endpoints there are.
	Exposure ExposureConfig
	// HealthDetails is who sees the health of each component.
	HealthDetails HealthDetails
	// Response is the form of a successful answer to the two POSTs over HTTP.
	Response ResponseStyle
	// ShutdownTimeout bounds how long calls in flight may take to end once the server was told to stop.
	ShutdownTimeout time.Duration

	SSL       SSLConfig
	Auth      AuthConfig
	Audit     AuditConfig
	Limits    LimitsConfig
	Zeebe     ZeebeConfig
	Exporting ExportingConfig
	Holds     HoldsConfig
	Store     StoreConfig
	Log       LogConfig

	// Build is what the info endpoint tells of this program. It is no setting: the program that loads the configuration
	// says it.
	Build Build

	settings layer // as they were written, but for secrets
	warnings []string
}

// Build is what this program was built from; what is not known is empty.
type Build struct {
	// Version is "1.2.3", Commit a revision.
	Version, Commit string
}

// Listener is where a door listens.
type Listener struct {
	// Port is 0 for any free port, and PortOff where the door stays shut.
	Port int
	// Address is an IP address, a host name or [Everywhere], never empty.
	Address string
}

// Everywhere is the address of a door that listens on every interface, of either kind of IP that the machine has.
const Everywhere = "*"

// PortOff is the port of a door that stays shut, as in Spring.
const PortOff = -1

// Off reports that the door stays shut.
func (l Listener) Off() bool { return l.Port == PortOff }

// HostPort is the address to listen on. It means nothing where the door is off.
func (l Listener) HostPort() string {
	if l.Address == Everywhere {
		return net.JoinHostPort("", strconv.Itoa(l.Port))
	}
	return net.JoinHostPort(l.Address, strconv.Itoa(l.Port))
}

// ResponseStyle is the form of a successful answer over HTTP (design.md 3).
type ResponseStyle string

// The styles.
const (
	// ResponseEnvelope answers 200 with a body that holds status 204, as Zeebe 8.5 to 8.9 do, and the report.
	ResponseEnvelope ResponseStyle = "envelope"
	// ResponseNoContent answers 204 without a body, as Zeebe up to 8.4 and from 8.10 on does.
	ResponseNoContent ResponseStyle = "no-content"
)

// ZeebeConfig says where the brokers are and how they are spoken to.
type ZeebeConfig struct {
	// Brokers are the management base URLs as they were written, each with "id=" before it where its broker's id is
	// given. Empty where Gateway is set, and with [LoadOptions.EmbeddedCluster].
	Brokers []string
	// Gateway is the host:port of a Zeebe gateway that tells the topology over gRPC, with https:// before it where it speaks
	// TLS. Empty where Brokers is set.
	Gateway string
	// ManagementURL makes a broker's management base URL from its host in the gateway's topology: it contains "{host}".
	// Empty where Gateway is.
	ManagementURL string
	// Version is what the brokers run; empty where it is to be detected.
	Version string
	// ClusterSize, Partitions and ReplicationFactor are for clusters that cannot tell; 0 where they are not given.
	// Partitions and ReplicationFactor are given together.
	ClusterSize, Partitions, ReplicationFactor int
	// ClusterID is the cluster's own id, where the brokers' gateway does not tell it: the ledger is bound to it. Empty where
	// it is not given, and with [LoadOptions.EmbeddedCluster].
	ClusterID string
	// RequestTimeout bounds one request to one broker.
	RequestTimeout time.Duration
	// Concurrency is how many brokers are spoken to at a time.
	Concurrency int
	// TLS is how brokers and gateway are spoken to where their URLs say https; zero otherwise.
	TLS TLSFiles
	// OAuth is how this server proves to the gateway who it is; zero where it does not.
	OAuth OAuthConfig
}

// OAuthConfig is a client of an identity provider (client credentials). TokenURL, ClientID and ClientSecret are set
// together.
type OAuthConfig struct {
	TokenURL, ClientID string
	ClientSecret       Secret
	Audience, Scope    string // empty where they are not asked for
	CA                 string // a PEM file of authorities; empty for those that the system trusts
}

// ExportingConfig says how exporting is paused and resumed.
type ExportingConfig struct {
	// Timeout bounds a Pause or Resume, also where the caller would wait longer.
	Timeout time.Duration
	// OnFailure is for calls that do not say what becomes of a pause that cannot settle.
	OnFailure OnFailure
	// ConfirmInterval is the least time between the two reads that settle a replica. It is shorter than Timeout.
	ConfirmInterval time.Duration
	// Drain is how long a leader's exported position must stand still before a hard hold is judged by it.
	Drain time.Duration
	// ReconcileInterval is how often target and observed are compared when nothing happens.
	ReconcileInterval time.Duration
	// OnForeignChange is what becomes of a resume that nobody asked for here while a named hold lives.
	OnForeignChange ForeignChange
	// AllowSoftToHard lets PAUSED be written over SOFT_PAUSED below 8.10 (zeebe-facts.md 3.5 f).
	AllowSoftToHard bool
	// Guard watches over the brokers' disks while exporting is paused.
	Guard GuardConfig
}

// GuardConfig says when a pause has lasted too long for a broker's disk.
type GuardConfig struct {
	// MinFree is the least that must be free; zero where nothing is guarded.
	MinFree MinFree
	// Policy is what becomes of a pause when less is.
	Policy GuardPolicy
	// DiskPath is the label of the volume that counts. It is set if MinFree is.
	DiskPath string
}

// MinFree is an amount of free disk, one way or the other.
type MinFree struct {
	Percent float64 // of the whole volume
	Bytes   int64
}

// GuardPolicy is what becomes of pauses when a broker runs out of disk.
type GuardPolicy string

// The answers.
const (
	// GuardWarn tells.
	GuardWarn GuardPolicy = "warn"
	// GuardRelease ends every hold.
	GuardRelease GuardPolicy = "release"
)

// OnFailure is what becomes of a pause that cannot settle in time.
type OnFailure string

// The two answers.
const (
	// OnFailureRevert returns every replica to the phase that it was read in before.
	OnFailureRevert OnFailure = "revert"
	// OnFailureKeep leaves the hold and goes on pausing.
	OnFailureKeep OnFailure = "keep"
)

// ForeignChange is what becomes of a resume by somebody else while a named hold lives.
type ForeignChange string

// The two answers.
const (
	// ForeignEnforce pauses again.
	ForeignEnforce ForeignChange = "enforce"
	// ForeignObserve reports it.
	ForeignObserve ForeignChange = "observe"
)

// HoldsConfig says how long named holds live. DefaultTTL is at most MaxTTL.
type HoldsConfig struct {
	// DefaultTTL is for those who do not say.
	DefaultTTL time.Duration
	// MaxTTL is the most that anybody gets.
	MaxTTL time.Duration
}

// LogConfig says what is logged, and how.
type LogConfig struct {
	// Level is debug, info, warn or error.
	Level LogLevel
	// Format is text or json.
	Format LogFormat
}

// LogLevel is the least level that is logged.
type LogLevel string

// The levels.
const (
	LogDebug LogLevel = "debug"
	LogInfo  LogLevel = "info"
	LogWarn  LogLevel = "warn"
	LogError LogLevel = "error"
)

// LogFormat is how log lines look.
type LogFormat string

// The formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// ActuatorPath is the whole path of the actuator endpoints.
func (c *Config) ActuatorPath() string { return c.ContextPath + c.BasePath }

// Warnings are what the configuration allows but an operator should know, each a sentence. They belong in the log at
// start-up.
func (c *Config) Warnings() []string { return c.warnings }
