package main

import (
	"context"
	"math"

	"github.com/spf13/cobra"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// fewPast is how many ended holds, and events, are shown unless all are asked for.
const fewPast = 5

func newStatusCommand(con console) *cobra.Command {
	c := newClient(con)
	history := false
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what every replica does, what it should do, and why",
		Long: `Show every replica's role (L is the leader, f a follower), exporter phase and lag, which is how many records
wait to be exported; below that the holds, the last ones that have ended, the last events, the target that the
holds add up to, and what was observed. An exclamation mark is a replica or a hold that is not as it should be; it
is explained below the table.

The continuity of a hold is INTACT while exporting stood still under it, BROKEN once it did not, UNKNOWN where a
leader cannot be read, and PENDING until it can be judged.` + clientHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			past := fewPast
			if history {
				past = math.MaxInt
			}
			return c.run(cmd.Context(), operation{
				verb: "status",
				call: func(ctx context.Context, service exportgatev1.ExportingServiceClient) (answer, error) {
					response, err := service.GetStatus(ctx, &exportgatev1.GetStatusRequest{})
					return answer{message: response, status: response.GetStatus(), past: past}, err
				},
			})
		},
	}
	cmd.Flags().BoolVar(&history, "history", false, "show every hold that has ended, and every event, that the server keeps")
	c.register(cmd.Flags())
	return cmd
}
