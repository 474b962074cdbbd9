package servertest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/pflag"

	"github.com/exportgate/exportgate/server"
)

// ChildVariable is the environment variable, of any value, with which a test starts its own program again as a server that
// may be killed, frozen, or made to run out of disk. Its arguments are the server's flags.
const ChildVariable = "EXPORTGATE_TEST_SERVER"

// RunChild is what TestMain calls before anything else. In a process that was started with [ChildVariable] it serves as the
// program does, and returns the status to exit with, and true; it prints where its doors are, HTTP first, and ends with its
// standard input, which is when its parent has died at the latest.
func RunChild() (status int, ok bool) {
	if os.Getenv(ChildVariable) == "" {
		return 0, false
	}
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

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
	if _, err := fmt.Fprintln(os.Stdout, s.HTTPAddr(), s.GRPCAddr()); err != nil {
		return err
	}
	return s.Run(ctx)
}
