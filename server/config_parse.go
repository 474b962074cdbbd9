package server

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// into makes the setter of a key from the field that it sets and the parser of what was written.
func into[T any](field func(*Config) *T, parse func(string) (T, error)) func(*Config, string) error {
	return func(c *Config, text string) error {
		value, err := parse(text)
		if err != nil {
			return err
		}
		*field(c) = value
		return nil
	}
}

func parsePort(text string) (int, error) {
	port, err := strconv.Atoi(text)
	if err != nil || port < PortOff || port > 65535 {
		hint := ""
		if strings.HasPrefix(text, "tcp://") {
			hint = " (Kubernetes sets such variables for Services: use enableServiceLinks: false)"
		}
		return 0, fmt.Errorf("%q is not a port: write one up to 65535, 0 for any free port, or -1 for none%s", text, hint)
	}
	return port, nil
}

// most is more brokers, partitions or replicas than any cluster has.
const most = 10_000

func parseCount(text string) (int, error) {
	count, err := strconv.Atoi(text)
	if err != nil || count < 1 || count > most {
		return 0, fmt.Errorf("%q is not a whole number from 1 to %d", text, most)
	}
	return count, nil
}

// The bounds of durations: outside of them a unit was probably mistaken.
const (
	shortest = time.Millisecond
	longest  = 24 * time.Hour
)

func parseDuration(text string) (time.Duration, error) { return parseBetween(text, shortest, longest) }

// longestTTL is more than any backup takes.
const longestTTL = 30 * 24 * time.Hour

func parseTTL(text string) (time.Duration, error) { return parseBetween(text, shortest, longestTTL) }

// The bounds of leases. A shorter one would end at every hiccup of etcd, and with a longer one nobody would drive the
// brokers for too long after a server died.
const (
	shortestLease = 5 * time.Second
	longestLease  = 10 * time.Minute
)

func parseLease(text string) (time.Duration, error) {
	lease, err := parseBetween(text, shortestLease, longestLease)
	if err == nil && lease%time.Second != 0 {
		return 0, fmt.Errorf("%q is not a whole number of seconds, which is what etcd counts in", text)
	}
	return lease, err
}

func parseBetween(text string, least, most time.Duration) (time.Duration, error) {
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return 0, fmt.Errorf("%q has no unit: write %ss or %sms", text, text, text)
	}
	duration, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration: write one such as 500ms, 30s or 1m30s", text)
	}
	if duration < least || duration > most {
		return 0, fmt.Errorf("%q is not between %s and %s", text, least, most)
	}
	return duration, nil
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", text)
}

func oneOf[T ~string](words ...T) func(string) (T, error) {
	return func(text string) (T, error) {
		if word := T(strings.ToLower(text)); slices.Contains(words, word) {
			return word, nil
		}
		return "", fmt.Errorf("%q is not one of %q", text, words)
	}
}

// hostName is a DNS name, or what passes for one in a compose file.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?$`)

func parseAddress(text string) (string, error) {
	if net.ParseIP(text) == nil && !hostName.MatchString(text) {
		return "", fmt.Errorf("%q is not an address: write an IP address or a host name, without a port", text)
	}
	return text, nil
}

// parseListen is an address to listen on, which may be every one.
func parseListen(text string) (string, error) {
	if text == Everywhere {
		return text, nil
	}
	return parseAddress(text)
}

// parsePrefix takes what is easy to write in a rule of etcd's, too.
func parsePrefix(text string) (string, error) {
	if !basePath.MatchString(text) || path.Clean(text) != text {
		return "", fmt.Errorf("%q is not a prefix: write one such as /exportgate, beginning with a slash and not ending with "+
			"one", text)
	}
	return text, nil
}

// basePath allows what needs no escaping in a path.
var basePath = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

func parseBasePath(text string) (string, error) {
	if !basePath.MatchString(text) || path.Clean(text) != text {
		return "", fmt.Errorf("%q is not a base path: write one such as /actuator, beginning with a slash and not ending "+
			"with one", text)
	}
	return text, nil
}

var version = regexp.MustCompile(`^\d{1,3}\.\d{1,3}(\.\d{1,4}(-[A-Za-z0-9.-]+)?)?$`)

// maxName in bytes is more than any host is called.
const maxName = 253

func parseName(text string) (string, error) {
	unfit := func(r rune) bool { return !unicode.IsGraphic(r) }
	if len(text) > maxName || !utf8.ValidString(text) || strings.ContainsFunc(text, unfit) || strings.TrimSpace(text) != text {
		return "", fmt.Errorf("%q is not a name: write one line of at most %d bytes, without spaces around it", text, maxName)
	}
	return text, nil
}

func parsePath(text string) (string, error) {
	if strings.ContainsRune(text, 0) {
		return "", fmt.Errorf("%q is not the path of a file", text)
	}
	return filepath.Clean(text), nil
}

func parseVersion(text string) (string, error) {
	if !version.MatchString(text) {
		return "", fmt.Errorf("%q is not a version: write one such as 8.8 or 8.9.3", text)
	}
	return text, nil
}

// isHostPort reports whether a text is a host and a port.
func isHostPort(text string) bool {
	host, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = parseAddress(host)
	}
	number, portErr := strconv.Atoi(port)
	return err == nil && portErr == nil && number >= 1 && number <= 65535
}

// parseGateway takes host:port, or a URL that says that it speaks TLS.
func parseGateway(text string) (string, error) {
	address := text
	for _, scheme := range []string{"https://", "grpcs://"} {
		address = strings.TrimPrefix(address, scheme)
	}
	if strings.Contains(text, "@") {
		return "", errNoPassword
	}
	if !isHostPort(address) {
		return "", fmt.Errorf("%q is not the address of a gateway: write one such as zeebe-gateway:26500, or https://zeebe-gateway:26500 "+
			"where it speaks TLS", text)
	}
	return text, nil
}

// parseMinFree takes a part of a disk, or a number of bytes.
func parseMinFree(text string) (MinFree, error) {
	if number, ok := strings.CutSuffix(text, "%"); ok {
		percent, err := strconv.ParseFloat(number, 64)
		if err != nil || !(percent > 0 && percent < 100) {
			return MinFree{}, fmt.Errorf("%q is not a part of a disk: write one such as 10%%", text)
		}
		return MinFree{Percent: percent}, nil
	}
	bytes, err := parseBytes(text)
	if err == nil && bytes == 0 {
		err = fmt.Errorf("%q guards nothing", text)
	}
	if err != nil {
		return MinFree{}, fmt.Errorf("%w, or a part of the disk such as 10%%", err)
	}
	return MinFree{Bytes: bytes}, nil
}

// errNoPassword refuses what would be shown wherever the configuration is.
var errNoPassword = errors.New("an address must not carry a user or a password")

// parseList takes items that are separated by commas. None may be there twice.
func parseList(text string, check func(item string) error) ([]string, error) {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if err := check(item); err != nil {
			return nil, err
		}
		if slices.Contains(items, item) {
			return nil, fmt.Errorf("%q is there twice", item)
		}
		items = append(items, item)
	}
	return items, nil
}

func parseBrokers(text string) ([]string, error) {
	return parseList(text, func(broker string) error {
		if id, address, ok := strings.Cut(broker, "="); ok && !strings.Contains(id, ":") {
			broker = address
		}
		return checkURL(broker, "http", "https", "dns+http", "dns+https")
	})
}

func parseManagementURL(text string) (string, error) {
	if !strings.Contains(text, "{host}") {
		return "", fmt.Errorf("%q has no {host}, which stands for the broker's host", text)
	}
	return text, checkURL(strings.ReplaceAll(text, "{host}", "host"), "http", "https")
}

// checkURL checks a management base URL. It never repeats one that may hold a password.
func checkURL(text string, schemes ...string) error {
	if strings.Contains(text, "@") {
		return errNoPassword
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme):
		return fmt.Errorf("%q is not a management URL: write one such as http://zeebe-0.zeebe:9600/actuator", text)
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q must end with its path", text)
	}
	return nil
}

// parseEndpoints takes URLs that have a scheme and a port, and nothing else: etcd's client has a default for each that is
// not what one would think. It never repeats one that may hold a password.
func parseEndpoints(text string) ([]string, error) {
	first := ""
	return parseList(text, func(endpoint string) error {
		if strings.Contains(endpoint, "@") {
			return errors.New("a URL must not carry a user or a password: set store.etcd.username and store.etcd.password-file")
		}
		scheme, address, _ := strings.Cut(endpoint, "://")
		switch {
		case !isHostPort(address) || scheme != "http" && scheme != "https":
			return fmt.Errorf("%q is not an endpoint of etcd: write one such as https://etcd-0:2379", endpoint)
		case first != "" && scheme != first:
			return fmt.Errorf("%q is not %s as the others are: speak to all members alike", endpoint, first)
		}
		first = scheme
		return nil
	})
}
