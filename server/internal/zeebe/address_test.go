package zeebe

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseBroker(t *testing.T) {
	type parsed struct {
		ID, Base string
		From     origin
		DNS      bool
	}
	for _, test := range []struct {
		text string
		want parsed
	}{
		{"http://host:9600/actuator", parsed{Base: "http://host:9600/actuator"}},
		{" HTTP://Host/orchestration/actuator/ ", parsed{Base: "http://host:80/orchestration/actuator"}},
		{"https://host", parsed{Base: "https://host:443"}},
		{"http://[fd00::7]:9600/actuator", parsed{Base: "http://[fd00::7]:9600/actuator"}},
		{"7=http://10.0.0.7:9600/actuator", parsed{ID: "7", From: fromOperator, Base: "http://10.0.0.7:9600/actuator"}},
		{"us-east1_0=http://zeebe-4:9600", parsed{ID: "us-east1_0", From: fromOperator, Base: "http://zeebe-4:9600"}},
		{"http://camunda-zeebe-2.camunda-zeebe.ns.svc:9600", parsed{
			ID: "2", From: fromName, Base: "http://camunda-zeebe-2.camunda-zeebe.ns.svc:9600",
		}},
		{"dns+HTTPS://headless", parsed{DNS: true, Base: "https://headless:443"}},
		{"dns+http://zeebe-0.headless:9600/actuator", parsed{DNS: true, Base: "http://zeebe-0.headless:9600/actuator"}},
	} {
		e, err := parseBroker(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if diff := cmp.Diff(test.want, parsed{string(e.id), e.base.String(), e.from, e.dns}); diff != "" {
			t.Errorf("%q differs (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestOrdinalOf(t *testing.T) {
	for host, want := range map[string]string{
		"zeebe-0": "0", "my-zeebe-12.svc": "12", "3zeebe-1": "1", "ip-10-0-0-1": "1",
		"zeebe": "", "zeebe-": "", "zeebe-01": "", "node-1a": "", "10-0-0-1.pod": "", "10.0.0.1": "", "zeebe.ns-1": "",
		"zeebe-123456": "",
	} {
		if id, ok := ordinalOf(host); string(id) != want || ok != (want != "") {
			t.Errorf("ordinalOf(%q) = %q, %t, want %q", host, id, ok, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, test := range []struct {
		name    string
		options Options
		says    []string
	}{
		{"nothing", Options{}, []string{"zeebe.brokers", "zeebe.gateway"}},
		{"both", Options{Brokers: []string{"http://a"}, Gateway: "g:26500"}, []string{"exclude one another"}},
		{"a template for a list", Options{Brokers: []string{"http://a"}, ManagementURL: "http://{host}"}, []string{
			"zeebe.management-url", "zeebe.gateway",
		}},
		{"no URL", Options{Brokers: []string{"http://a", "zeebe-0:9600"}}, []string{
			"zeebe.brokers", `"zeebe-0:9600"`, "scheme",
		}},
		{"nothing listed", Options{Brokers: []string{""}}, []string{"zeebe.brokers", "scheme"}},
		{"another scheme", Options{Brokers: []string{"ftp://a"}}, []string{`"ftp://a"`, "scheme"}},
		{"no host", Options{Brokers: []string{"http://:9600/actuator"}}, []string{"host"}},
		{"a query", Options{Brokers: []string{"http://a?b=c"}}, []string{"query"}},
		{"a fragment", Options{Brokers: []string{"http://a#b"}}, []string{"fragment"}},
		{"a bad escape", Options{Brokers: []string{"http://a/%zz"}}, []string{`"http://a/%zz"`, "not a URL"}},
		{"a bad id", Options{Brokers: []string{"a b=http://a"}}, []string{`"a b" is not a broker id`}},
		{"no id", Options{Brokers: []string{"=http://a"}}, []string{"not a broker id"}},
		{"an address twice", Options{Brokers: []string{"http://a:80/x", "0=http://A/x/"}}, []string{
			`"http://a:80/x"`, `"0=http://A/x/"`, "same address",
		}},
		{"an id twice", Options{Brokers: []string{"0=http://a", "0=http://b"}}, []string{`"0=http://b"`, "both broker 0"}},
		{"an id of many", Options{Brokers: []string{"0=dns+http://a"}}, []string{"many brokers"}},
		{"names of addresses", Options{Brokers: []string{"dns+https://10.0.0.7"}}, []string{"dns+https need a host name"}},
		{"OAuth without a gateway", Options{Brokers: []string{"http://a"}, OAuth: OAuth{TokenURL: "https://a"}}, []string{
			"zeebe.oauth.token-url", "zeebe.gateway",
		}},
		{"OAuth in the clear", Options{Gateway: "g:1", OAuth: OAuth{TokenURL: "https://a", ClientID: "b", ClientSecret: "c"}}, []string{
			"zeebe.gateway", "in the clear", "https://g:1",
		}},
		{"OAuth without a secret", Options{Gateway: "https://g:1", OAuth: OAuth{TokenURL: "https://a", ClientID: "b"}}, []string{
			"zeebe.oauth.client-secret",
		}},
		{"OAuth from nowhere", Options{
			Gateway: "https://g:1", OAuth: OAuth{TokenURL: "https://a:b@c", ClientID: "b", ClientSecret: "c"},
		}, []string{"zeebe.oauth.token-url"}},
		{"a gateway of the web", Options{Gateway: "http://g:1"}, []string{`"http://g:1"`, "https://"}},
		{"a gateway with a path", Options{Gateway: "https://a/b:1"}, []string{"https://a/b:1"}},
		{"an address as a name", Options{Brokers: []string{"dns+http://10.0.0.1:9600"}}, []string{"host name"}},
		{"no port of the gateway", Options{Gateway: "gateway"}, []string{"zeebe.gateway", `"gateway"`, "host:port"}},
		{"a URL as the gateway", Options{Gateway: "http://gateway:26500"}, []string{"zeebe.gateway", "host:port"}},
		{"a service as the gateway's port", Options{Gateway: "gateway:http"}, []string{"host:port"}},
		{"a template without a host", Options{Gateway: "g:1", ManagementURL: "http://zeebe:9600"}, []string{
			"zeebe.management-url", "{host}",
		}},
		{"a template with the host elsewhere", Options{Gateway: "g:1", ManagementURL: "http://a/{host}"}, []string{
			"zeebe.management-url", "in its host",
		}},
		{"a template of another scheme", Options{Gateway: "g:1", ManagementURL: "{host}:9600"}, []string{
			"zeebe.management-url", "scheme",
		}},
		{"a version that is none", Options{Brokers: []string{"http://a"}, Version: "latest"}, []string{
			"zeebe.version", `"latest"`,
		}},
		{"a negative timeout", Options{Brokers: []string{"http://a"}, RequestTimeout: -1}, []string{"zeebe.request-timeout"}},
		{"negative counts", Options{Brokers: []string{"http://a"}, Partitions: -1}, []string{"zeebe.partitions", "-1"}},
		{"impossible counts", Options{Brokers: []string{"http://a"}, ClusterSize: 1 << 30}, []string{"zeebe.cluster-size"}},
		{"half the counts", Options{Brokers: []string{"http://a"}, Partitions: 3}, []string{
			"zeebe.partitions", "zeebe.replication-factor",
		}},
		{"more replicas than brokers", Options{
			Brokers: []string{"http://a"}, ClusterSize: 2, Partitions: 3, ReplicationFactor: 3,
		}, []string{"zeebe.replication-factor", "zeebe.cluster-size is 2"}},
		{"more brokers than the cluster", Options{Brokers: []string{"http://a", "http://b"}, ClusterSize: 1}, []string{
			"zeebe.brokers lists 2", "zeebe.cluster-size is 1", "http://b",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(test.options)
			wantError(t, err, test.says...)
		})
	}
}

func TestNewHidesCredentials(t *testing.T) {
	for _, o := range []Options{
		{Brokers: []string{"http://user:s3cret@a:9600/actuator"}},
		{Brokers: []string{"0=http://user:s3cret@a:9600/%zz"}},
		{Brokers: []string{"ftp://user:s3cret@a"}},
		{Gateway: "http://user:s3cret@a"},
		{Gateway: "g:1", ManagementURL: "http://user:s3cret@{host}"},
		{Gateway: "g:1", ManagementURL: "http://user:s3cret@host"},
	} {
		_, err := New(o)
		wantError(t, err)
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error %q shows the password", err)
		}
	}
}

func TestTemplate(t *testing.T) {
	for _, test := range []struct{ template, host, want string }{
		{defaultManagementURL, "zeebe-0.zeebe", "http://zeebe-0.zeebe:9600/actuator"},
		{"http://{host}.ns:9600/base/actuator/", "a", "http://a.ns:9600/base/actuator"},
		{defaultManagementURL, "fd00::1", "http://[fd00::1]:9600/actuator"},
	} {
		address, err := parseTemplate(test.template)
		if err != nil {
			t.Errorf("%q: %v", test.template, err)
			continue
		}
		if got := address(test.host); got != test.want {
			t.Errorf("%q of %q is %q, want %q", test.template, test.host, got, test.want)
		}
	}
}
