package tracing

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exportgate/exportgate/server/internal/certs"
)

// What an exporter may speak.
const (
	protocolGRPC  = "grpc"
	protocolProto = "http/protobuf" // the standard's default
	protocolJSON  = "http/json"
)

const (
	otlp        = "OTEL_EXPORTER_OTLP_"
	defaultWait = 10 * time.Second // the standard's
)

// settings are those parts of the environment that matter here. The SDK and the exporters read the rest by themselves, and
// what they cannot understand they replace by a default, which they tell the standard error: a header with a token in it,
// too. So everything is checked here before they see it.
type settings struct {
	endpoint *url.URL // nil while tracing is off
	protocol string
	files    certs.Files // of TLS
	timeout  time.Duration
}

// environment looks variables up.
type environment func(name string) string

// read reads and checks. Where tracing is off, nothing else is looked at.
func read(getenv func(string) string) (settings, error) {
	env := environment(func(name string) string { return strings.TrimSpace(getenv(name)) })
	off, err := env.off()
	if off || err != nil {
		return settings{}, err
	}
	s := settings{protocol: protocolProto, timeout: defaultWait}
	return s, errors.Join(s.readEndpoint(env), s.readProtocol(env), s.readTLS(env), s.readTimeout(env), env.checkRest())
}

// off reports whether nobody wants traces. The SDK for Go does not heed OTEL_SDK_DISABLED by itself.
func (env environment) off() (bool, error) {
	name, endpoint := env.signal("ENDPOINT")
	switch disabled := env("OTEL_SDK_DISABLED"); {
	case strings.EqualFold(disabled, "true"):
		return true, nil
	case disabled != "" && !strings.EqualFold(disabled, "false"):
		return false, fmt.Errorf("OTEL_SDK_DISABLED: %q is neither true nor false", disabled)
	}
	switch exporter := env("OTEL_TRACES_EXPORTER"); exporter {
	case "none":
		return true, nil
	case "", "otlp":
		return endpoint == "", nil
	default:
		if endpoint == "" { // It speaks of other programs.
			return true, nil
		}
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER: %q is neither otlp nor none, and %s is set", exporter, name)
	}
}

// signal is a variable of the exporter: what is said of traces comes before what is said of everything.
func (env environment) signal(name string) (variable, value string) {
	if value = env(otlp + "TRACES_" + name); value != "" {
		return otlp + "TRACES_" + name, value
	}
	return otlp + name, env(otlp + name)
}

func (s *settings) readEndpoint(env environment) error {
	name, text := env.signal("ENDPOINT")
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("%s: it is not a URL: write it as http://collector:4318, or https:// where there is TLS", name)
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return fmt.Errorf("%s: a URL with credentials, a query or a fragment is not sent as it is: credentials go into %sHEADERS",
			name, otlp)
	}
	if name, insecure := env.signal("INSECURE"); insecure != "" && strings.EqualFold(insecure, "true") != (u.Scheme == "http") {
		return fmt.Errorf("%s: %s contradicts the endpoint's %s://: leave it out", name, insecure, u.Scheme)
	}
	s.endpoint = u
	return nil
}

func (s *settings) readProtocol(env environment) error {
	name, protocol := env.signal("PROTOCOL")
	switch protocol {
	case "":
		return nil
	case protocolGRPC, protocolProto, protocolJSON:
		s.protocol = protocol
		return nil
	}
	return fmt.Errorf("%s: %q is none of grpc, http/protobuf and http/json", name, protocol)
}

func (s *settings) readTimeout(env environment) error {
	name, text := env.signal("TIMEOUT")
	if text == "" {
		return nil
	}
	ms, err := strconv.Atoi(text)
	if err != nil || ms < 1 || ms > int(time.Hour/time.Millisecond) {
		return fmt.Errorf("%s: %q is not a number of milliseconds from 1 to an hour", name, text)
	}
	s.timeout = time.Duration(ms) * time.Millisecond
	return nil
}

// readTLS checks the files that TLS is made of.
func (s *settings) readTLS(env environment) error {
	trustName, trust := env.signal("CERTIFICATE")
	certName, cert := env.signal("CLIENT_CERTIFICATE")
	keyName, key := env.signal("CLIENT_KEY")
	if s.endpoint != nil && s.endpoint.Scheme == "http" && trust+cert+key != "" {
		return fmt.Errorf("%s, %s and %s are for an endpoint with https://", trustName, certName, keyName)
	}
	if (cert == "") != (key == "") {
		return fmt.Errorf("%s and %s are of use only together", certName, keyName)
	}
	s.files = certs.Files{Certificate: cert, Key: key, Trust: trust}
	if err := s.files.Check(); err != nil {
		return fmt.Errorf("%s, %s and %s: %w", trustName, certName, keyName, err)
	}
	return nil
}

// checkRest checks what only the SDK and the exporters use.
func (env environment) checkRest() error {
	mistakes := []error{env.checkSampler()}
	for _, name := range []string{otlp + "HEADERS", otlp + "TRACES_HEADERS", "OTEL_RESOURCE_ATTRIBUTES"} {
		mistakes = append(mistakes, env.checkPairs(name))
	}
	for _, name := range []string{otlp + "COMPRESSION", otlp + "TRACES_COMPRESSION"} {
		if value := env(name); value != "" && value != "gzip" && value != "none" {
			mistakes = append(mistakes, fmt.Errorf("%s: %q is neither gzip nor none", name, value))
		}
	}
	for _, name := range []string{"SCHEDULE_DELAY", "EXPORT_TIMEOUT", "MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE"} {
		name = "OTEL_BSP_" + name
		if value := env(name); value != "" {
			if n, err := strconv.Atoi(value); err != nil || n < 1 || n > 1<<20 {
				mistakes = append(mistakes, fmt.Errorf("%s: %q is not a number from 1 to %d", name, value, 1<<20))
			}
		}
	}
	return errors.Join(mistakes...)
}

func (env environment) checkSampler() error {
	sampler := strings.ToLower(env("OTEL_TRACES_SAMPLER"))
	ratio := sampler == "traceidratio" || sampler == "parentbased_traceidratio"
	if !ratio && !slices.Contains([]string{
		"", "always_on", "always_off", "parentbased_always_on", "parentbased_always_off",
	}, sampler) {
		return fmt.Errorf("OTEL_TRACES_SAMPLER: %q is not known: use parentbased_traceidratio, always_on or another of the standard's",
			sampler)
	}
	argument := env("OTEL_TRACES_SAMPLER_ARG")
	if !ratio || argument == "" {
		return nil
	}
	if share, err := strconv.ParseFloat(argument, 64); err != nil || !(share >= 0 && share <= 1) { // NaN is neither.
		return fmt.Errorf("OTEL_TRACES_SAMPLER_ARG: %q is not a ratio from 0 to 1", argument)
	}
	return nil
}

// checkPairs checks a list of name=value, and never shows a value: it may be a token.
func (env environment) checkPairs(name string) error {
	list := env(name)
	if list == "" {
		return nil
	}
	for i, pair := range strings.Split(list, ",") {
		key, value, ok := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(value); !ok || err != nil || !isToken(strings.TrimSpace(key)) {
			return fmt.Errorf("%s: entry %d is not name=value, with other characters than letters, digits and .-_ in the value "+
				"written as %%20 and the like", name, i+1)
		}
	}
	return nil
}

// isToken reports whether a text can be the name of a header, or of an attribute.
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
