package etcd

import (
	"strings"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/certs"
)

func TestOptions(t *testing.T) {
	good := func() Options {
		return Options{Endpoints: []string{"https://a:2379", "https://b:2379"}, Prefix: "/exportgate/", Name: "gate-0"}
	}
	tests := []struct {
		name   string
		change func(*Options)
		want   string // in the error; none if empty
	}{
		{"good", func(*Options) {}, ""},
		{"without TLS", func(o *Options) { o.Endpoints = []string{"http://127.0.0.1:2379"} }, ""},
		{"with a password", func(o *Options) { o.Username, o.Password = "gate", "secret" }, ""},
		{"no endpoint", func(o *Options) { o.Endpoints = nil }, "at least one endpoint"},
		{"an address", func(o *Options) { o.Endpoints = []string{"etcd:2379"} }, `"etcd:2379" is not a URL`},
		{"a path", func(o *Options) { o.Endpoints = []string{"https://etcd:2379/v3"} }, "is not a URL"},
		{"no host", func(o *Options) { o.Endpoints = []string{"https://"} }, "is not a URL"},
		{"a user", func(o *Options) { o.Endpoints = []string{"https://me:secret@etcd"} }, "is not a URL"},
		{"two schemes", func(o *Options) { o.Endpoints[1] = "http://b:2379" }, "one scheme"},
		{"TLS for nothing", func(o *Options) { o.Endpoints, o.TLS = []string{"http://b:2379"}, new(certs.Source) }, "TLS is configured"},
		{"no prefix", func(o *Options) { o.Prefix = "/" }, "prefix"},
		{"no name", func(o *Options) { o.Name = "" }, "name"},
		{"long name", func(o *Options) { o.Name = strings.Repeat("x", maxName+1) }, "name"},
		{"user only", func(o *Options) { o.Username = "gate" }, "password"},
		{"password only", func(o *Options) { o.Password = "secret" }, "username"},
		{"short lease", func(o *Options) { o.LeaseTTL = time.Second }, "make no sense"},
		{"negative", func(o *Options) { o.RequestTimeout = -1 }, "make no sense"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := good()
			test.change(&o)
			s, err := Open(o)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if where := s.Where(); where != "etcd under the key /exportgate/ledger" {
					t.Errorf("it is in %q", where)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") && test.name != "a user" {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
