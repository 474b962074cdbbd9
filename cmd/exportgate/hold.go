package main

import (
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/spf13/cobra"
)

func newHoldCommand(con console) *cobra.Command {
	g := &guarded{client: newClient(con), grace: patience(10 * time.Second)}
	cmd := &cobra.Command{
		Use:   "hold NAME [flags] -- COMMAND [ARGUMENT...]",
		Short: "Run a command, such as a backup, while exporting is paused",
		Long: `Pause exporting under a hold of this name, wait until every replica shows it, run the command, and release the
hold. Nothing is printed where all goes well, and standard input, output and error are the command's.

While the command runs the hold is renewed, at a third of its time to live. Should this program die with the
machine, the hold ends by itself after that time. A hold of that name that lives already is refused: it would be
somebody else's to release.

If the hold is lost meanwhile (expired, broken, or ended by somebody else) the command is terminated, and killed
if it is not gone within the time of grace: what it makes is worth nothing any more. Interrupts and terminations
of this program are passed on to the command, and the hold is released when it has ended. On Windows a command is
killed at once, and gets interrupts from the console alone.

The command finds EXPORTGATE_HOLD and EXPORTGATE_HOLD_UID in its environment.

Exit codes: the command's own, 128 and the signal's number where it was killed by one; but 124 where the command
succeeded, or had to be terminated, and exporting did not stand still under the hold all the time, or that is not
known: whatever the command made, throw it away; 125 where the hold could not be placed, 126 where the command
could not be started, and 127 where there is no such command: nothing was run then; 2 where the command line is
wrong.`,
		Example: `  exportgate hold backup-42 --soft --ttl 10m --reason nightly -- ./backup.sh --all`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() != 1 || len(args) < 2 {
				return errors.New("hold takes a name, then --, then a command\nUsage: " + cmd.UseLine())
			}
			if err := g.name.Set(args[0]); err != nil {
				return fmt.Errorf("name of the hold %q %w", args[0], err)
			}
			if g.name == anonymous {
				return fmt.Errorf("the hold %s is anybody's plain pause, which anybody's plain resume ends: take another name",
					anonymous)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return g.run(cmd.Context(), args[1:]) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&g.soft, "soft", false, "pause softly: go on exporting, but store no positions")
	flags.Var(&g.ttl, "ttl", "after what time without a renewal the hold ends by itself (default: the server's)")
	flags.StringVar(&g.reason, "reason", "", "why, for other people: one line")
	flags.Var(&g.grace, "grace", "how long the command may take to end after it was terminated")
	g.client.registerServer(flags)
	g.client.registerProgress(flags)
	return cmd
}

// anonymous is the hold of a plain pause.
const anonymous = "operator"

// cannotRun is the error of a command that cannot be started.
func cannotRun(err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return &exitError{exitNoCommand, err}
	}
	return &exitError{exitCannotStart, err}
}
