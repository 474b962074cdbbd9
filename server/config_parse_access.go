package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exportgate/exportgate/server/internal/auth"
	"github.com/exportgate/exportgate/server/internal/gateway"
)

// mostLimit is more than anybody needs who wants a limit at all.
const mostLimit = 1_000_000

func parseLimit(text string) (int, error) {
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 0 || limit > mostLimit {
		return 0, fmt.Errorf("%q is not a whole number up to %d, or 0 for no limit", text, mostLimit)
	}
	return limit, nil
}

func parseHosts(text string) ([]string, error) {
	return parseList(text, func(host string) error {
		if strings.Contains(host, "@") {
			return errNoPassword
		}
		_, err := parseAddress(host)
		return err
	})
}

// parseProtocols returns the least of the versions. They have to be next to each other, as crypto/tls has them.
func parseProtocols(text string) (uint16, error) {
	versions, err := parseList(text, func(version string) error {
		if version != "TLSv1.2" && version != "TLSv1.3" {
			return fmt.Errorf("%q is neither TLSv1.2 nor TLSv1.3", version)
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, err
	case !slices.Contains(versions, "TLSv1.3"):
		return 0, errors.New("TLSv1.3 cannot be left out")
	case len(versions) == 2:
		return tls.VersionTLS12, nil
	}
	return tls.VersionTLS13, nil
}

func parseEndpointIDs(text string) ([]string, error) {
	known := append([]string{"*"}, gateway.EndpointIDs()...)
	return parseList(text, func(id string) error {
		if !slices.Contains(known, id) {
			return fmt.Errorf("%q is not one of %q", id, known)
		}
		return nil
	})
}

// parseIssuer takes what discovery appends its path to. It never repeats one that may hold a password.
func parseIssuer(text string) (string, error) {
	return text, checkSecureURL(text, "an issuer", "https://login.example.org/realms/camunda")
}

func parseTokenURL(text string) (string, error) {
	return text, checkSecureURL(text, "a token URL", "https://login.example.org/oauth/token")
}

// checkSecureURL lets a URL be http only on this machine: keys and secrets travel there.
func checkSecureURL(text, what, example string) error {
	if strings.Contains(text, "@") {
		return errNoPassword
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q is not %s: write one such as %s", text, what, example)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fmt.Errorf("%q is not https: whoever is on the way could forge what comes from it", text)
	}
	return nil
}

func parseWords(text string) ([]string, error) {
	return parseList(text, func(word string) error {
		if word == "" {
			return errors.New("an item of the list is empty")
		}
		_, err := parseName(word)
		return err
	})
}

func parseAlgorithms(text string) ([]string, error) {
	known := auth.Algorithms()
	return parseList(text, func(algorithm string) error {
		if !slices.Contains(known, algorithm) {
			return fmt.Errorf("%q is not one of %q", algorithm, known)
		}
		return nil
	})
}

// longestSkew is more than clocks are off that anybody looks after.
const longestSkew = 10 * time.Minute

func parseSkew(text string) (time.Duration, error) {
	if text == "0" || text == "0s" {
		return 0, nil
	}
	return parseBetween(text, shortest, longestSkew)
}

func parseAuditPath(text string) (string, error) {
	if text == "-" {
		return text, nil
	}
	return parsePath(text)
}

// The bounds of a file of the audit log: a few lines, and what an editor can open.
const (
	leastAuditSize = 64 << 10
	mostAuditSize  = 100 << 30
)

func parseAuditSize(text string) (int64, error) {
	size, err := parseBytes(text)
	if err == nil && (size < leastAuditSize || size > mostAuditSize) {
		err = fmt.Errorf("%q is not between 64KiB and 100GiB", text)
	}
	return size, err
}

var amount = regexp.MustCompile(`^(\d{1,12})([KMGT]i?)?B$`)

// parseBytes takes a whole number with a unit: 500MB, 5GiB.
func parseBytes(text string) (int64, error) {
	parts := amount.FindStringSubmatch(text)
	if parts == nil {
		return 0, fmt.Errorf("%q is not a number of bytes: write one such as 500MB or 5GiB", text)
	}
	number, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return 0, err
	}
	unit, base := parts[2], int64(1000)
	if strings.HasSuffix(unit, "i") {
		base = 1024
	}
	for range strings.Index("KMGT", strings.TrimSuffix(unit, "i")) + min(len(unit), 1) {
		if number > (1<<62)/base {
			return 0, fmt.Errorf("%q is more than any disk has", text)
		}
		number *= base
	}
	return number, nil
}
