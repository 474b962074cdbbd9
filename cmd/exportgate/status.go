package main

import (
	"context"

	"github.com/spf13/cobra"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

func newStatusCommand(con console) *cobra.Command {
	c := newClient(con)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what every replica does, what it should do, and why",
		Long: `Show every replica's role (L is the leader, f a follower), exporter phase and lag, which is how many records
wait to be exported; below that the holds, the target that they add up to, and what was observed. An exclamation
mark is a replica that is not as it should be; it is explained below the table.` + clientHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.run(cmd.Context(), operation{
				verb: "status",
				call: func(ctx context.Context, service exportgatev1.ExportingServiceClient) (answer, error) {
					response, err := service.GetStatus(ctx, &exportgatev1.GetStatusRequest{})
					return answer{message: response, status: response.GetStatus()}, err
				},
			})
		},
	}
	c.register(cmd.Flags())
	return cmd
}
