// Package proxies tests several whole servers over one etcd: each is a process of its own, which can be killed, frozen and
// cut off, and all drive the same embedded brokers.
package proxies

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server"
	"github.com/spf13/pflag"
	"go.uber.org/goleak"
)

// childVariable makes a process of this test be a server. Its arguments are the server's flags.
const childVariable = "EXPORTGATE_TEST_PROXY"

var (
	soak = flag.Bool("soak", false, "run the random test whole: for a minute, instead of some seconds")
	seed = flag.Uint64("seed", 0, "of the random test; 0 takes one at random, and prints it")
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		if err := serve(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
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

// serve serves as the program does. It prints where its doors are, and ends well when its standard input does, which is when
// its parent has died at the latest.
func serve(args []string) error {
	flags := pflag.NewFlagSet("server", pflag.ContinueOnError)
	server.RegisterFlags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	config, err := server.Load(server.LoadOptions{Flags: flags})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin) // However it ends, it ends.
	}()
	s, err := server.New(ctx, config, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	if _, err := fmt.Println(s.HTTPAddr(), s.GRPCAddr()); err != nil {
		return err
	}
	return s.Run(ctx)
}
