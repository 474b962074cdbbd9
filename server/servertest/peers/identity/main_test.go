// Package identity_test proves who is let in, by a whole server and an OpenID provider that is not ours: every operation for
// every kind of caller through both doors, and everything that pretends to be somebody.
package identity_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given { // Callers wait for brokers most of the time.
		if err := flag.Set("test.parallel", "16"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	goleak.VerifyTestMain(m,
		// net/http waits for half a second before it hangs up on a client that still sends, and then ends by itself.
		goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}
