package embedded_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/exportgate/exportgate/server/internal/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a quick cluster that ends with the test.
func start(t *testing.T, options embedded.Options) *embedded.Cluster {
	t.Helper()
	if options.Dir == "" {
		options.Dir = t.TempDir()
	}
	if options.WriteInterval == 0 {
		options.WriteInterval = time.Millisecond
	}
	if options.DistributionInterval == 0 {
		options.DistributionInterval = 5 * time.Millisecond
	}
	if options.EmptyDelay == 0 {
		options.EmptyDelay = 5 * time.Millisecond
	}
	c, err := embedded.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestSmoke(t *testing.T) {
	c := start(t, embedded.Options{})
	t.Log(c.Addresses(), c.Gateway(), c.Replicas())
}
