package main

import (
	"context"

	"github.com/spf13/cobra"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

func newPauseCommand(con console) *cobra.Command {
	request := &exportgatev1.PauseRequest{}
	onFailure := choice{words: []string{"revert", "keep"}}
	c := newClient(con)
	cmd := &cobra.Command{
		Use:   "pause",
		Short: "Pause exporting on every partition",
		Long: `Pause exporting on every partition, and wait until every replica shows it. Nothing more reaches the exporters.

With --soft records still reach the exporters, but their stored positions stand still and nothing is deleted from
the log: this is what a backup needs. Disks fill while exporting is paused: resume in the end.` + clientHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch onFailure.value {
			case "revert":
				request.OnFailure = exportgatev1.OnFailure_ON_FAILURE_REVERT
			case "keep":
				request.OnFailure = exportgatev1.OnFailure_ON_FAILURE_KEEP
			}
			return c.run(cmd.Context(), operation{
				verb:    "pause",
				waits:   !request.GetValidateOnly(),
				reached: pausedAtLeast(request.GetSoft()),
				call: func(ctx context.Context, service exportgatev1.ExportingServiceClient) (answer, error) {
					response, err := service.Pause(ctx, request)
					return answer{response, pauseHeadline(request, response), response.GetStatus()}, err
				},
			})
		},
	}
	cmd.Flags().BoolVar(&request.Soft, "soft", false, "pause softly: go on exporting, but store no positions")
	cmd.Flags().Var(&onFailure, "on-failure", "what becomes of a pause that cannot settle (default: what the server is "+
		"configured to do)")
	cmd.Flags().BoolVar(&request.ValidateOnly, "validate-only", false, "check and report, change nothing")
	c.register(cmd.Flags())
	return cmd
}

// pausedAtLeast tells which replicas a pause need not wait for any more. A hard pause gives what a soft one asks for.
func pausedAtLeast(soft bool) func(exportgatev1.Phase) bool {
	return func(phase exportgatev1.Phase) bool {
		return phase == exportgatev1.Phase_PHASE_PAUSED || soft && phase == exportgatev1.Phase_PHASE_SOFT_PAUSED
	}
}

func pauseHeadline(request *exportgatev1.PauseRequest, response *exportgatev1.PauseResponse) string {
	switch {
	case request.GetValidateOnly():
		return "Nothing stands against this pause. Nothing was changed."
	case len(response.GetChanges()) == 0:
		return "Exporting was paused already, on every replica."
	}
	return "Exporting is paused on every replica: " + count(len(response.GetChanges()), "replica") + " changed."
}
