package main

import (
	"context"

	"github.com/spf13/cobra"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

func newResumeCommand(con console) *cobra.Command {
	request := &exportgatev1.ResumeRequest{}
	c := newClient(con)
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "Resume exporting on every partition",
		Long: `Resume exporting on every partition, and wait until every replica shows it. Replicas that cannot be reached do
not keep the others from being resumed: they are named, and the server keeps at them until they follow.` + clientHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.run(cmd.Context(), operation{
				verb:    "resume",
				waits:   !request.GetValidateOnly(),
				reached: func(phase exportgatev1.Phase) bool { return phase == exportgatev1.Phase_PHASE_EXPORTING },
				call: func(ctx context.Context, service exportgatev1.ExportingServiceClient) (answer, error) {
					response, err := service.Resume(ctx, request)
					return answer{response, resumeHeadline(request, response), response.GetStatus()}, err
				},
			})
		},
	}
	cmd.Flags().BoolVar(&request.ValidateOnly, "validate-only", false, "read and report, change nothing")
	c.register(cmd.Flags())
	return cmd
}

func resumeHeadline(request *exportgatev1.ResumeRequest, response *exportgatev1.ResumeResponse) string {
	switch {
	case request.GetValidateOnly():
		return "Nothing was changed."
	case response.GetStatus().GetTarget() != exportgatev1.Phase_PHASE_EXPORTING:
		return "The hold is released; others keep exporting paused."
	case len(response.GetChanges()) == 0:
		return "Every replica was exporting already."
	}
	return "Every replica exports: " + count(len(response.GetChanges()), "replica") + " changed."
}
