package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/exportgate/exportgate/server"
)

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
	if says := err.Error(); says != "" {
		root.PrintErrln("exportgate:", says)
	}
	if !started {
		root.PrintErrf("See '%s --help'.\n", verb.CommandPath())
		return exitUsage
	}
	if mistake := (usageError{}); errors.As(err, &mistake) {
		return exitUsage
	}
	if end := (*exitError)(nil); errors.As(err, &end) {
		return end.code
	}
	return exitFailed
}

func newRootCommand(con console) *cobra.Command {
	root := &cobra.Command{
		Use:   "exportgate",
		Short: "Pause and resume exporting on every partition of a Zeebe cluster",
		Long: `Exportgate pauses and resumes exporting on every partition of a Zeebe cluster, and says success only
when every replica of every partition was read in the asked phase.

` + exitHelp,
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
		newWatchCommand(con),
		newHoldCommand(con),
		newTokenCommand(con),
		newVersionCommand(con),
	)
	return root
}

// noArgs refuses arguments: most verbs take none.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, but got %q", cmd.Name(), args)
	}
	return nil
}

// notTogether refuses flags that contradict one another, while the command line is read: it is a mistake of usage.
func notTogether(cmd *cobra.Command, one string, others ...string) error {
	for _, other := range others {
		if cmd.Flags().Changed(one) && cmd.Flags().Changed(other) {
			return fmt.Errorf("--%s and --%s contradict each other: give one of them", one, other)
		}
	}
	return nil
}
