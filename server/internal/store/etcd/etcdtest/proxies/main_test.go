// Package proxies tests several whole servers over one etcd: each is a process of its own, which can be killed, frozen and
// cut off, and all drive the same embedded brokers.
package proxies

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/servertest"
	"go.uber.org/goleak"
)

var (
	soak = flag.Bool("soak", false, "run the random test whole: for a minute, instead of some seconds")
	seed = flag.Uint64("seed", 0, "of the random test; 0 takes one at random, and prints it")
)

func TestMain(m *testing.M) {
	if status, child := servertest.RunChild(); child {
		os.Exit(status)
	}
	flag.Parse()
	status := m.Run()
	if leak := leaks(); status == 0 && leak != nil {
		fmt.Fprintln(os.Stderr, leak)
		status = 1
	}
	os.Exit(status)
}

// leaks waits until nothing is left of what the tests began. A member of etcd that stops may leave a connection to another
// member for the five seconds that its read lasts, because its own deadline replaces the one by which net/http ends that.
func leaks() error {
	late := time.After(10 * time.Second)
	for {
		err := goleak.Find()
		if err == nil {
			return nil
		}
		select {
		case <-late:
			return err
		default:
		}
	}
}
