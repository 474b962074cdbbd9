package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/exportgate/exportgate/server"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // the command line or the configuration is wrong: to try again changes nothing
)

// usageError is a mistake in the command line or the configuration.
type usageError struct{ error }

// Unwrap returns the mistake.
func (e usageError) Unwrap() error { return e.error }

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, root *cobra.Command, args []string) int {
	started := false
	// Runs once verb, flags and arguments are accepted: an error from before that is one of usage.
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	root.SetArgs(append([]string{}, args...)) // cobra takes nil for the arguments of the process
	verb, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	root.PrintErrln("exportgate:", err)
	if !started {
		root.PrintErrf("See '%s --help'.\n", verb.CommandPath())
		return exitUsage
	}
	if mistake := (usageError{}); errors.As(err, &mistake) {
		return exitUsage
	}
	return exitFailed
}

func newRootCommand(con console) *cobra.Command {
	root := &cobra.Command{
		Use:   "exportgate",
		Short: "Pause and resume exporting on every partition of a Zeebe cluster",
		Long: `Exportgate pauses and resumes exporting on every partition of a Zeebe cluster, and says success only
when every replica of every partition was read in the asked phase.

Exit codes: 0 success; 1 it failed, and standard error says why and what to do next; 2 the command line or
the configuration is wrong.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(con.stdout)
	root.SetErr(con.stderr)
	root.AddCommand(
		newServeCommand(con, server.Run),
		newDevCommand(con, server.RunDev),
		newPauseCommand(con),
		newResumeCommand(con),
		newStatusCommand(con),
		newVersionCommand(con),
	)
	return root
}

// noArgs refuses arguments: no verb takes any.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, but got %q", cmd.Name(), args)
	}
	return nil
}
