package zeebe

import (
	"context"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// names is a resolver that knows some names.
type names map[string][]string

func (n names) LookupHost(_ context.Context, host string) ([]string, error) {
	hosts, ok := n[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return hosts, nil
}

func TestListFinder(t *testing.T) {
	for _, test := range []struct {
		name     string
		brokers  []string
		resolver names
		want     []string
		trouble  string
	}{
		{"as listed", []string{"http://a:9600/actuator", "1=http://b:9600"}, nil, []string{
			"http://a:9600/actuator", "http://b:9600",
		}, ""},
		{"one broker an address", []string{"dns+http://zeebe:9600/x"}, names{"zeebe": {"10.0.0.2", "10.0.0.1"}}, []string{
			"http://10.0.0.1:9600/x", "http://10.0.0.2:9600/x",
		}, ""},
		{"IPv6", []string{"dns+http://zeebe:9600/actuator"}, names{"zeebe": {"fd00::2", "fd00::1"}}, []string{
			"http://[fd00::1]:9600/actuator", "http://[fd00::2]:9600/actuator",
		}, ""},
		{"both families", []string{"dns+http://zeebe:9600"}, names{
			"zeebe": {"fd00::1", "10.0.0.1", "fe80::1%eth0"},
		}, []string{"http://10.0.0.1:9600"}, ""},
		{"the same address twice", []string{"dns+http://a:9600", "dns+http://b:9600", "http://10.0.0.1:9600"}, names{
			"a": {"10.0.0.1", "10.0.0.1"}, "b": {"10.0.0.1", "10.0.0.2"},
		}, []string{"http://10.0.0.1:9600", "http://10.0.0.2:9600"}, ""},
		{"one name fails", []string{"dns+http://a:9600/x", "dns+http://b:9600"}, names{"b": {"10.0.0.2"}}, []string{
			"http://10.0.0.2:9600",
		}, "dns+http://a:9600/x: no such host"},
		{"two names fail", []string{"dns+http://a", "dns+http://c", "dns+http://b"}, names{"b": {"10.0.0.2"}}, []string{
			"http://10.0.0.2:80",
		}, "dns+http://a:80: no such host; dns+http://c:80: no such host"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newClient(t, func(o *Options) { o.Brokers, o.Resolver = test.brokers, test.resolver })
			found, err := c.finder.find(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range found.endpoints {
				got = append(got, e.address)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("addresses differ (-want +got):\n%s", diff)
			}
			switch {
			case test.trouble != "":
				wantError(t, found.trouble, test.trouble)
			case found.trouble != nil:
				t.Error(found.trouble)
			}
		})
	}
}

func TestListFinderFindsNobody(t *testing.T) {
	for name, resolver := range map[string]names{
		"no such host":   {},
		"has no address": {"zeebe": {}},
		"more than any":  {"zeebe": manyAddresses()},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, func(o *Options) { o.Brokers, o.Resolver = []string{"dns+http://zeebe:9600"}, resolver })
			_, err := c.Topology(t.Context())
			wantError(t, err, "brokers cannot be found", "dns+http://zeebe:9600", name)
		})
	}
}

func manyAddresses() []string {
	ip := net.IPv4(10, 0, 0, 0).To4()
	var all []string
	for i := range maxCount + 1 {
		ip[2], ip[3] = byte(i>>8), byte(i)
		all = append(all, ip.String())
	}
	return all
}

// TestTopologyByName proves that brokers behind one name go by their addresses, and are only counted.
func TestTopologyByName(t *testing.T) {
	b := newFakeBroker(t).old("EXPORTING")
	_, port, err := net.SplitHostPort(b.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, func(o *Options) {
		o.Brokers, o.Resolver = []string{"dns+http://zeebe:" + port + "/actuator"}, names{"zeebe": {"127.0.0.1"}}
	})
	topology := topologyOf(t, c)
	if len(topology.Brokers) != 1 || topology.Brokers[0].ID != exporting.BrokerID(b.address()) {
		t.Errorf("brokers are %v, want one by the name of its address", topology.Brokers)
	}
	if topology.Expected[0].Members != nil || topology.Expected[0].Replicas != 1 {
		t.Errorf("expected partitions are %v, want a count only", topology.Expected)
	}
}
