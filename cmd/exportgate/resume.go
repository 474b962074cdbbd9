package main

import (
	"cmp"
	"context"
	"strings"

	"github.com/spf13/cobra"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

func newResumeCommand(con console) *cobra.Command {
	request := &exportgatev1.ResumeRequest{}
	var hold name
	c := newClient(con)
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "Resume exporting on every partition",
		Long: `Release a hold, resume exporting on every partition when none is left, and wait until every replica shows it.
Replicas that cannot be reached do not keep the others from being resumed: they are named, and the server keeps at
them until they follow.

Without --hold it is the anonymous hold, Zeebe's plain pause; while named holds keep exporting paused it then ends
with code 5 and names them. With --hold it tells whether exporting stood still under the hold all the time: if it
did not, or that is not known, the hold is released all the same and the code is 3; if it had expired, 4. Releasing
it again repeats the answer. With --force every hold ends, whoever placed it.` + clientHelp,
		Example: `  exportgate resume
  exportgate resume --hold backup-42
  exportgate resume --force`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := noArgs(cmd, args); err != nil {
				return err
			}
			return notTogether(cmd, "force", "hold")
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			request.Hold = hold.String()
			return c.run(cmd.Context(), operation{
				verb:    "resume",
				waits:   !request.GetValidateOnly(),
				reached: func(phase exportgatev1.Phase) bool { return phase == exportgatev1.Phase_PHASE_EXPORTING },
				call: func(ctx context.Context, service exportgatev1.ExportingServiceClient) (answer, error) {
					response, err := service.Resume(ctx, request)
					return answer{
						message: response, headline: resumeHeadline(request, response), status: response.GetStatus(),
					}, err
				},
			})
		},
	}
	flags := cmd.Flags()
	flags.Var(&hold, "hold", "release the hold of this name (default: the anonymous one)")
	flags.BoolVar(&request.Force, "force", false, "end every hold, whoever placed it, and resume")
	flags.BoolVar(&request.ValidateOnly, "validate-only", false, "read and report, change nothing")
	c.register(flags)
	return cmd
}

func resumeHeadline(request *exportgatev1.ResumeRequest, response *exportgatev1.ResumeResponse) string {
	if request.GetValidateOnly() {
		return "Nothing was changed."
	}
	var says string
	if request.GetForce() {
		says = endedByForce(printableCopy(response))
	} else if hold := printableCopy(response.GetReleased()); request.GetHold() != "" && hold != nil {
		says = "Hold " + hold.GetId() + " is released; its continuity is " + continuityName(hold.GetContinuity()) + ".\n"
	}
	switch {
	case response.GetStatus().GetTarget() != exportgatev1.Phase_PHASE_EXPORTING && says == "":
		return "The hold is released; others keep exporting paused."
	case response.GetStatus().GetTarget() != exportgatev1.Phase_PHASE_EXPORTING:
		return says + "Other holds keep exporting paused."
	case len(response.GetChanges()) == 0:
		return says + "Every replica was exporting already."
	}
	return says + "Every replica exports: " + count(len(response.GetChanges()), "replica") + " changed."
}

// endedByForce tells whose holds were ended: somebody will ask.
func endedByForce(response *exportgatev1.ResumeResponse) string {
	var b strings.Builder
	if len(response.GetForced()) == 0 {
		b.WriteString("There was no hold to end.\n")
	} else {
		b.WriteString("Ended by force: " + count(len(response.GetForced()), "hold") + ".\n")
		holdTable(response.GetForced()).write(&b, "  ", false)
	}
	if len(response.GetUnrecorded()) > 0 {
		b.WriteString("NOT RECORDED, since the ledger cannot be written. A server that can read it would pause exporting again " +
			"for these, until this one could record their end:\n")
		holdTable(response.GetUnrecorded()).write(&b, "  ", false)
	}
	return b.String()
}

func holdTable(holds []*exportgatev1.Hold) table {
	var t table
	for _, hold := range holds {
		t = append(t, []cell{
			{text: hold.GetId()},
			{text: phaseName(hold.GetPhase())},
			{text: cmp.Or(hold.GetOwner(), "-")},
			{text: cmp.Or(hold.GetReason(), "-")},
		})
	}
	return t
}
