package servertest_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

func TestMain(m *testing.M) {
	if status, ok := servertest.RunChild(); ok {
		os.Exit(status)
	}
	if status, ok := servertest.RunFlood(); ok {
		os.Exit(status)
	}
	flag.Parse()
	// These tests wait for brokers that do not answer; the processors are idle meanwhile.
	setUnlessGiven("test.parallel", "16")
	goleak.VerifyTestMain(m,
		// net/http waits for half a second before it hangs up on a client that still sends, and then ends by itself.
		goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// setUnlessGiven sets a flag of the test binary, unless the command line did.
func setUnlessGiven(name, value string) {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return
	}
	if err := flag.Set(name, value); err != nil {
		fmt.Fprintf(os.Stderr, "setting -%s: %v\n", name, err)
		os.Exit(2)
	}
}

// versions are those that every promise is tried on: the lines whose brokers differ.
func versions() []string { return []string{"8.5", "8.8", "8.9", "8.10"} }

// unplanned are those of them whose brokers change their phase each for itself.
func unplanned() []string { return []string{"8.5", "8.8", "8.9"} }

// try is a test with brokers of one version, through one door.
type try struct {
	*testing.T

	version string
	door    servertest.Door
}

// everywhere tries something on every version through both doors.
func everywhere(t *testing.T, run func(try)) {
	t.Helper()
	on(t, versions(), run)
}

// on tries something on some versions through both doors.
func on(t *testing.T, versions []string, run func(try)) {
	t.Helper()
	for _, version := range versions {
		for _, door := range servertest.Doors() {
			t.Run(version+"/"+string(door), func(t *testing.T) {
				t.Parallel()
				run(try{t, version, door})
			})
		}
	}
}

// planned reports whether the brokers change their phase together, by a plan.
func (t try) planned() bool { return strings.HasPrefix(t.version, "8.10") }

// start starts a server over a cluster of the version, and opens the door. Settings are as in [servertest.Options]. Records
// are few where a test does not say how many: most tests look at phases alone.
func (t try) start(cluster embedded.Options, settings ...map[string]string) (*servertest.Harness, servertest.Route) {
	t.Helper()
	if cluster.Versions == nil {
		cluster.Version = t.version
	}
	if cluster.WriteInterval == 0 {
		cluster.WriteInterval = 100 * time.Millisecond
	}
	o := servertest.Options{Cluster: cluster, Settings: map[string]string{}}
	for _, s := range settings {
		maps.Copy(o.Settings, s)
	}
	h := servertest.Start(t, o)
	return h, h.Route(t, t.door)
}

// within bounds every call. Where a call is to fail, the test waits for nothing else than this.
func within(timeout string) map[string]string { return map[string]string{"exporting.timeout": timeout} }
