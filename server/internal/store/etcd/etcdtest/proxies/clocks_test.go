package proxies

import (
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Holds expire by the servers' clocks: every server warns of another one whose clock is far from its own.
func TestClocks(t *testing.T) {
	t.Parallel()
	f := assemble(t, options{})
	etcd, err := clientv3.New(clientv3.Config{Endpoints: f.etcd.Endpoints(), Logger: zap.NewNop()})
	must(t, err)
	defer etcd.Close() //nolint:errcheck // It returns that it was closed.
	stamp := func(ahead time.Duration) {
		_, err := etcd.Put(t.Context(), prefix+"/election/servers/far-1",
			fmt.Sprintf(`{"name":"far","time":%d}`, time.Now().Add(ahead).UnixNano()))
		must(t, err)
	}
	warned := func(ahead time.Duration, want bool) {
		t.Helper()
		for _, p := range f.proxies {
			f.eventually(fmt.Sprintf("%s warns: %t", p.name, want), func() error {
				stamp(ahead)
				warnings := strings.Join(p.status().GetWarnings(), "\n")
				if strings.Contains(warnings, "the clock of far is ") != want {
					return fmt.Errorf("its warnings are %q", warnings)
				}
				return nil
			})
		}
	}
	warned(-time.Minute, true)
	warned(0, false) // What came slowly is no other clock.
}
