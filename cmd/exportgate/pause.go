package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

func newPauseCommand(con console) *cobra.Command {
	request := &exportgatev1.PauseRequest{}
	var hold, renew name
	var ttl patience
	onFailure := choice{words: []string{"revert", "keep"}}
	c := newClient(con)
	cmd := &cobra.Command{
		Use:   "pause",
		Short: "Pause exporting on every partition",
		Long: `Pause exporting on every partition, and wait until every replica shows it. Nothing more reaches the exporters.

With --soft records still reach the exporters, but their stored positions stand still and nothing is deleted from
the log: this is what a backup needs. Disks fill while exporting is paused: resume in the end.

With --hold the pause has a name and a time to live. It keeps exporting paused whatever others do, until it is
released under its name ('exportgate resume --hold NAME'), ended by force, or expires. To pause again under the
name renews it; so does --renew, which never places a new one. 'exportgate hold' runs a command under a hold,
and renews and releases it by itself.` + clientHelp,
		Example: `  exportgate pause --soft --hold backup-42 --ttl 2h --reason "nightly backup"
  exportgate pause --renew 4FQ2TZ7YHWKXJ3N5MDA6BRCPLE --ttl 2h
  exportgate pause --validate-only`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := noArgs(cmd, args); err != nil {
				return err
			}
			return notTogether(cmd, "renew", "hold", "soft", "reason", "on-failure", "validate-only")
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			request.Hold, request.Renew, request.Ttl = hold.String(), renew.String(), ttl.proto()
			switch onFailure.value {
			case "revert":
				request.OnFailure = exportgatev1.OnFailure_ON_FAILURE_REVERT
			case "keep":
				request.OnFailure = exportgatev1.OnFailure_ON_FAILURE_KEEP
			}
			return c.run(cmd.Context(), operation{
				verb:    "pause",
				waits:   !request.GetValidateOnly() && request.GetRenew() == "",
				reached: pausedAtLeast(request.GetSoft()),
				call: func(ctx context.Context, service exportgatev1.ExportingServiceClient) (answer, error) {
					response, err := service.Pause(ctx, request)
					return answer{
						message: response, headline: pauseHeadline(request, response, con.now()), status: response.GetStatus(),
					}, err
				},
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&request.Soft, "soft", false, "pause softly: go on exporting, but store no positions")
	flags.Var(&hold, "hold", "place, or renew, the hold of this name (default: the anonymous one, Zeebe's plain pause)")
	flags.Var(&ttl, "ttl", "after what time the hold ends by itself (default: the server's for a named hold, never for the "+
		"anonymous one)")
	flags.StringVar(&request.Reason, "reason", "", "why, for other people: one line")
	flags.Var(&renew, "renew", "only prolong the live hold of this `uid`; fail if it does not live any more")
	flags.Var(&onFailure, "on-failure", "what becomes of a pause that cannot settle (default: what the server is "+
		"configured to do)")
	flags.BoolVar(&request.ValidateOnly, "validate-only", false, "check and report, change nothing")
	c.register(flags)
	return cmd
}

// pausedAtLeast tells which replicas a pause need not wait for any more. A hard pause gives what a soft one asks for.
func pausedAtLeast(soft bool) func(exportgatev1.Phase) bool {
	return func(phase exportgatev1.Phase) bool {
		return phase == exportgatev1.Phase_PHASE_PAUSED || soft && phase == exportgatev1.Phase_PHASE_SOFT_PAUSED
	}
}

func pauseHeadline(request *exportgatev1.PauseRequest, response *exportgatev1.PauseResponse, now time.Time) string {
	if request.GetValidateOnly() {
		return "Nothing stands against this pause. Nothing was changed."
	}
	says := "Exporting is paused on every replica: " + count(len(response.GetChanges()), "replica") + " changed."
	if len(response.GetChanges()) == 0 {
		says = "Exporting was paused already, on every replica."
	}
	if hold := printableCopy(response.GetHold()); hold.GetId() != "" {
		says += "\nHold " + hold.GetId() + " (uid " + hold.GetUid() + ") " + lasts(hold, now)
	}
	return says
}

// lasts says when a hold ends by itself.
func lasts(hold *exportgatev1.Hold, now time.Time) string {
	if hold.GetExpireTime() == nil {
		return "never ends by itself."
	}
	return "ends by itself " + countdown(hold.GetExpireTime(), now).text + ", unless it is renewed."
}
