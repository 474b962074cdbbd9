package zeebe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// maxCount is more brokers, partitions or replicas than any cluster has: what exceeds it is a mistake, and must not
// cost memory.
const maxCount = 10_000

// endpoint is a broker that was found.
type endpoint struct {
	id      exporting.BrokerID // empty where it is not known
	from    origin
	address string // its management base URL
	version string // as the gateway tells it, else empty
}

// discovery is what a look for the brokers found.
type discovery struct {
	endpoints []endpoint // each with its own address
	cluster   string     // the cluster's id as the gateway tells it, else empty
	names     []string   // what the brokers are found by: addresses, or names that stand for several
	gateway   string     // the gateway that answered just now, or empty
	counts    counts     // as that gateway tells them
	// trouble is why some brokers may be missing here, or out of date; nil if there was none.
	trouble error
}

// finder finds the brokers' management addresses.
type finder interface {
	// find fails only where it found nobody.
	find(ctx context.Context) (discovery, error)
}

// listFinder finds the brokers of zeebe.brokers.
type listFinder struct {
	entries  []entry
	resolver Resolver
	timeout  time.Duration
	names    *serverNames
}

func (f *listFinder) find(ctx context.Context) (discovery, error) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	var d discovery
	// Two names may lead to one broker; counted twice, it would prove a replica that is not there.
	known := make(map[string]bool)
	add := func(e endpoint) bool {
		if known[e.address] {
			return false
		}
		known[e.address] = true
		d.endpoints = append(d.endpoints, e)
		return true
	}
	names, unresolved := make(map[string]string), make(map[string]bool)
	for _, e := range f.entries {
		d.names = append(d.names, e.name())
		if !e.dns {
			add(endpoint{id: e.id, from: e.from, address: e.base.String()})
			continue
		}
		hosts, err := f.lookup(ctx, e.base.Hostname())
		if err != nil {
			unresolved[e.base.Hostname()] = true
			d.trouble = both(d.trouble, fmt.Errorf("%s%s: %w", dnsPrefix, e.base, err))
			continue
		}
		for _, host := range hosts {
			if add(endpoint{address: withHost(e.base, host)}) && e.base.Scheme == "https" {
				names[net.JoinHostPort(host, e.base.Port())] = e.base.Hostname()
			}
		}
	}
	f.names.learn(names, unresolved)
	if len(d.endpoints) == 0 {
		return discovery{}, d.trouble
	}
	return d, nil
}

// lookup resolves a name to one address a broker. In a network of both families a broker has one address of each and
// must not be counted twice, so the IPv4 ones are taken where there are any.
func (f *listFinder) lookup(ctx context.Context, name string) ([]string, error) {
	hosts, err := f.resolver.LookupHost(ctx, name)
	if err != nil {
		return nil, &silentError{words: dialWords(err, f.timeout), err: err, unsent: true}
	}
	var v4, v6 []string
	for _, host := range hosts {
		switch ip := net.ParseIP(host); {
		case ip == nil:
			// Zoned link-local addresses and the like are nobody's management address.
		case ip.To4() != nil:
			v4 = append(v4, ip.String())
		default:
			v6 = append(v6, ip.String())
		}
	}
	found := v4
	if len(v4) == 0 {
		found = v6
	}
	slices.Sort(found)
	found = slices.Compact(found)
	switch {
	case len(found) == 0:
		return nil, errors.New("the name has no address")
	case len(found) > maxCount:
		return nil, fmt.Errorf("the name has %d addresses, more than any cluster", len(found))
	}
	return found, nil
}

// withHost is a base URL with another host.
func withHost(base *url.URL, host string) string {
	u := *base
	u.Host = net.JoinHostPort(host, base.Port())
	return u.String()
}

// both joins two errors, either of which may be nil, on one line.
func both(a, b error) error {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	return fmt.Errorf("%w; %w", a, b)
}
