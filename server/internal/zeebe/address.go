package zeebe

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// dnsPrefix marks an entry that stands for every address of its host name.
const dnsPrefix = "dns+"

// hostPlaceholder is what a broker's host replaces in zeebe.management-url.
const hostPlaceholder = "{host}"

var (
	brokerID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	// ordinal matches what a StatefulSet calls its pods: letters come in front and the number has no leading zero, which
	// keeps out addresses ("10-0-0-7") and the numbering of machines ("node-01").
	ordinal = regexp.MustCompile(`^[0-9-]*[A-Za-z].*-(0|[1-9][0-9]{0,4})$`)
)

// entry is one line of zeebe.brokers.
type entry struct {
	id   exporting.BrokerID // empty where the line does not tell
	from origin
	base *url.URL // of the management API, without a slash at the end
	dns  bool     // base stands for one broker at each address of its host name
}

// name is what the entry stands for: an address, or a name whose addresses may change.
func (e entry) name() string {
	if e.dns {
		return dnsPrefix + e.base.String()
	}
	return e.base.String()
}

// origin is how a broker's id is known, and so how far it is trusted.
type origin uint8

const (
	fromNobody   origin = iota
	fromName            // guessed from the StatefulSet ordinal in the host name
	fromGateway         // told by the gateway's Topology
	fromOperator        // configured
)

// parseBrokers parses zeebe.brokers. No two entries may be the same broker: it would be counted twice.
func parseBrokers(list []string) ([]entry, error) {
	entries := make([]entry, 0, len(list))
	urls := make(map[string]string, len(list))
	ids := make(map[exporting.BrokerID]string, len(list))
	for _, text := range list {
		e, err := parseBroker(text)
		if err != nil {
			return nil, fmt.Errorf("zeebe.brokers: entry %q: %w", withoutCredentials(text), err)
		}
		if other, ok := urls[e.base.String()]; ok {
			return nil, fmt.Errorf("zeebe.brokers: entries %q and %q are the same address", other, text)
		}
		urls[e.base.String()] = text
		if e.from == fromOperator {
			if other, ok := ids[e.id]; ok {
				return nil, fmt.Errorf("zeebe.brokers: entries %q and %q are both broker %s", other, text, e.id)
			}
			ids[e.id] = text
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// parseBroker parses one entry of zeebe.brokers: [id=]URL or dns+URL.
func parseBroker(text string) (entry, error) {
	text = strings.TrimSpace(text)
	var e entry
	if id, rest, ok := strings.Cut(text, "="); ok && !strings.Contains(id, "://") {
		if !brokerID.MatchString(id) {
			return entry{}, fmt.Errorf("%q is not a broker id: write it as 0=http://host:9600/actuator", id)
		}
		e.id, e.from, text = exporting.BrokerID(id), fromOperator, rest
	}
	if rest, ok := strings.CutPrefix(text, dnsPrefix); ok {
		e.dns, text = true, rest
		if e.id != "" {
			return entry{}, errors.New("a dns+http entry stands for many brokers and cannot have an id")
		}
	}
	base, err := parseBase(text)
	if err != nil {
		return entry{}, err
	}
	e.base = base
	if e.dns && net.ParseIP(base.Hostname()) != nil {
		return entry{}, errors.New("dns+http and dns+https need a host name, not an address")
	}
	if e.from == fromNobody && !e.dns {
		if id, ok := ordinalOf(base.Hostname()); ok {
			e.id, e.from = id, fromName
		}
	}
	return e, nil
}

// parseBase parses a management base URL and brings it to one spelling, so that equal ones compare equal.
func parseBase(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		// The parser's own message repeats the text, credentials included.
		return nil, errors.New("it is not a URL: write it as http://host:9600/actuator")
	}
	u.Scheme = strings.ToLower(u.Scheme)
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("the scheme must be http, https, dns+http or dns+https: write it as http://host:9600/actuator")
	case u.Hostname() == "":
		return nil, errors.New("the host is missing: write it as http://host:9600/actuator")
	case u.User != nil:
		return nil, errors.New("credentials in a URL end up in logs: remove them")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("a base URL ends with its path: remove the query and the fragment")
	}
	u.Host = strings.TrimSuffix(strings.ToLower(u.Host), ":")
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	return u, nil
}

// parseTemplate checks zeebe.management-url and returns what makes a base URL of a host.
func parseTemplate(template string) (func(host string) string, error) {
	if strings.Count(template, hostPlaceholder) != 1 {
		return nil, fmt.Errorf("zeebe.management-url: %q must name %s once: write it as %s",
			withoutCredentials(template), hostPlaceholder, defaultManagementURL)
	}
	sample, err := parseBase(strings.Replace(template, hostPlaceholder, "a", 1))
	if err != nil {
		return nil, fmt.Errorf("zeebe.management-url: %q: %w", withoutCredentials(template), err)
	}
	other, err := parseBase(strings.Replace(template, hostPlaceholder, "b", 1))
	if err != nil || sample.Host == other.Host {
		return nil, fmt.Errorf("zeebe.management-url: %q must have %s in its host", template, hostPlaceholder)
	}
	template = strings.TrimRight(template, "/")
	return func(host string) string {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return strings.Replace(template, hostPlaceholder, host, 1)
	}, nil
}

// ordinalOf is the StatefulSet ordinal in a host name ("zeebe-2.zeebe" is broker "2"): the charts give a broker its
// pod's ordinal for an id (zeebe-facts.md 6.3).
func ordinalOf(host string) (exporting.BrokerID, bool) {
	pod, _, _ := strings.Cut(host, ".")
	m := ordinal.FindStringSubmatch(pod)
	if m == nil {
		return "", false
	}
	return exporting.BrokerID(m[1]), true
}

// withoutCredentials is a URL as it may be shown, even one that does not parse.
func withoutCredentials(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return text
	}
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		rest = "***" + rest[i:]
	}
	return scheme + "://" + rest
}
