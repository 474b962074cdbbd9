package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/exportgate/exportgate/server"
)

func newTokenCommand(con console) *cobra.Command {
	return &cobra.Command{
		Use:   "token NAME",
		Short: "Make a static token, and the line that lets it in",
		Long: `Make a static token for a caller. The token is printed once, on standard output, and kept nowhere: give it to
the caller. On standard error is the line for the server's auth.tokens-file, which holds only the token's hash, and
the entry for one of auth.roles that says what the caller may do.`,
		Example: "  exportgate token backup > backup.token",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			token, line, err := server.NewToken(args[0])
			if err != nil {
				return usageError{fmt.Errorf("%q: %w", args[0], err)}
			}
			con.stderr.say(fmt.Sprintf("Add this line to the server's auth.tokens-file:\n\n%s\n\nand token:%s to auth.roles.viewer, .holder or .operator.\n",
				line, args[0]))
			_, err = fmt.Fprintln(con.stdout, token)
			return err
		},
	}
}
