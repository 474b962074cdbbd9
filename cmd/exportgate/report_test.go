package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// mixed is a cluster after a pause that did not settle, with everything that a status can show.
func mixed() *exportgatev1.Status {
	s := statusOf(3, exportgatev1.Phase_PHASE_PAUSED)
	s.Observed = exportgatev1.Phase_PHASE_MIXED
	s.Settled = false
	s.UnsettledReason = "4 of 9 replicas do not show PAUSED"
	s.Holds[0].SettleTime = nil
	s.Warnings = []string{"the hold operator never expires"}
	s.Cluster.PendingChange = "a scaling of the cluster"
	s.Cluster.Brokers[2].Error = "connection refused"
	for _, partition := range s.GetPartitions() {
		for _, replica := range partition.GetReplicas() {
			if replica.GetBroker() == "2" {
				replica.Role, replica.Phase = exportgatev1.Role_ROLE_UNKNOWN, exportgatev1.Phase_PHASE_UNKNOWN
				replica.Error, replica.ObservedTime = "connection refused", noon
			}
		}
	}
	first := s.GetPartitions()[0].GetReplicas()
	first[0].Lag = proto.Int64(1240)
	first[1].Role, first[1].Error = exportgatev1.Role_ROLE_INACTIVE, "the replica takes no part"
	stalled := s.GetPartitions()[1].GetReplicas()[0]
	stalled.Stalled, stalled.Error = true, "records wait, but the stored position has not moved for a minute"
	return s
}

// held is a cluster with holds of every kind, some that have ended, and events.
func held() *exportgatev1.Status {
	s := statusOf(1, exportgatev1.Phase_PHASE_SOFT_PAUSED)
	s.Holds = []*exportgatev1.Hold{
		{
			Id: "backup-42", Uid: "A", Phase: exportgatev1.Phase_PHASE_SOFT_PAUSED, Owner: "10.0.0.7 exportgate/1.0",
			Reason: "nightly backup", CreateTime: noon, SettleTime: noon, ExpireTime: after(123 * time.Minute),
			Continuity: exportgatev1.Continuity_CONTINUITY_INTACT,
		},
		{
			Id: "debug", Uid: "B", Phase: exportgatev1.Phase_PHASE_PAUSED, Owner: "10.0.0.8 curl/8", CreateTime: after(time.Minute),
			SettleTime: after(time.Minute), ExpireTime: after(61 * time.Minute),
			Continuity: exportgatev1.Continuity_CONTINUITY_BROKEN,
			Evidence: []string{
				"partition 1 on broker 0: the stored position 12 passed the baseline 10",
				"partition 1 on broker 0: a leader exports",
			},
		},
		{
			Id: "late", Uid: "C", Phase: exportgatev1.Phase_PHASE_PAUSED, Owner: "10.0.0.9", CreateTime: after(59 * time.Minute),
			ExpireTime: after(59*time.Minute + 30*time.Second), Continuity: exportgatev1.Continuity_CONTINUITY_PENDING,
		},
		{
			Id: "operator", Uid: "D", Phase: exportgatev1.Phase_PHASE_PAUSED, Owner: "foreign", CreateTime: after(-50 * time.Hour),
			SettleTime: noon, Continuity: exportgatev1.Continuity_CONTINUITY_PENDING,
		},
	}
	for i := range 7 {
		end := after(time.Duration(i-7) * time.Hour)
		s.History = append(s.History, &exportgatev1.EndedHold{
			Hold: &exportgatev1.Hold{
				Id: fmt.Sprintf("backup-%d", 35+i), Phase: exportgatev1.Phase_PHASE_SOFT_PAUSED, Owner: "10.0.0.7", Reason: "nightly",
				CreateTime: timestamppb.New(end.AsTime().Add(-time.Hour)), SettleTime: noon,
				Continuity: exportgatev1.Continuity_CONTINUITY_INTACT,
			},
			EndTime: end, End: exportgatev1.HoldEnd_HOLD_END_RELEASED, EndedBy: "10.0.0.7",
		})
		s.Events = append(s.Events, &exportgatev1.Event{
			Time: end, Hold: fmt.Sprintf("backup-%d", 35+i), Kind: exportgatev1.EventKind_EVENT_KIND_HOLD_ENDED,
			Message: "it was released by 10.0.0.7",
		})
	}
	last := s.GetHistory()[6]
	last.End, last.EndedBy = exportgatev1.HoldEnd_HOLD_END_EXPIRED, ""
	last.Hold.Continuity = exportgatev1.Continuity_CONTINUITY_BROKEN
	last.Hold.Evidence = []string{"partition 1 on broker 0: a leader exports", "more", "and more"}
	s.Events = append(s.Events, &exportgatev1.Event{
		Time: noon, Kind: exportgatev1.EventKind_EVENT_KIND_BROKER, Message: "broker 2 does not answer: connection refused",
	})
	return s
}

func TestStatusTables(t *testing.T) {
	lost := held()
	lost.Stale, lost.Driver = "no space left on device", "proxy-b"

	foreign := statusOf(1, exportgatev1.Phase_PHASE_SOFT_PAUSED)
	foreign.Foreign, foreign.Target, foreign.Holds = true, exportgatev1.Phase_PHASE_EXPORTING, nil

	tenants := statusOf(2, exportgatev1.Phase_PHASE_EXPORTING)
	tenants.Partitions[0].Tenant, tenants.Partitions[1].Tenant = "default", "other"
	tenants.Partitions[1].Id = 1

	missing := statusOf(1, exportgatev1.Phase_PHASE_EXPORTING)
	missing.Settled, missing.UnsettledReason = false, "2 replicas are missing"
	for _, replica := range missing.GetPartitions()[0].GetReplicas()[1:] {
		replica.Broker, replica.Error = "", "no broker answers for this replica"
		replica.Role, replica.Phase = exportgatev1.Role_ROLE_UNKNOWN, exportgatev1.Phase_PHASE_UNKNOWN
	}

	hostile := mixed()
	hostile.Holds[0].Owner = "\x1b]0;owned\a\x1b[31mme\u202egnp.exe\nHOLD  fake"
	hostile.Cluster.Brokers[2].Error = "\x1b[2J\u009b1A<html>"
	hostile.UnsettledReason = "line\r\nline\x00"

	tests := []struct {
		name    string
		status  *exportgatev1.Status
		columns int // 0 is piped
		env     []string
		args    []string
	}{
		{name: "settled", status: statusOf(3, exportgatev1.Phase_PHASE_EXPORTING)},
		{name: "mixed", status: mixed()},
		{name: "mixed-colours", status: mixed(), columns: 120},
		{name: "mixed-narrow", status: mixed(), columns: 60, env: []string{"NO_COLOR=1"}},
		{name: "foreign", status: foreign},
		{name: "tenants", status: tenants},
		{name: "missing", status: missing},
		{name: "hostile", status: hostile},
		{name: "held", status: held()},
		{name: "held-history", status: held(), args: []string{"--history"}},
		{name: "held-colours", status: held(), columns: 200},
		{name: "held-narrow", status: held(), columns: 60, env: []string{"NO_COLOR=1"}},
		{name: "lost", status: lost},
		{name: "lost-colours", status: lost, columns: 200},
		{name: "empty", status: &exportgatev1.Status{
			Target: exportgatev1.Phase_PHASE_EXPORTING, Observed: exportgatev1.Phase_PHASE_UNKNOWN,
			UnsettledReason: "no broker answers",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"status", "--server", serve(t, showing(test.status))}, test.args...)
			var got result
			if test.columns == 0 {
				got = run(t, test.env, args...)
			} else {
				got = runOnTerminal(t, test.columns, test.env, args...)
			}
			if got.code != exitOK || got.stderr != "" {
				t.Fatalf("got exit code %d and standard error %q", got.code, got.stderr)
			}
			golden(t, "status-"+test.name, got.stdout)
		})
	}
}

func TestColours(t *testing.T) {
	tests := []struct {
		name    string
		columns int
		env     []string
		want    bool
	}{
		{"terminal", 120, nil, true},
		{"NO_COLOR", 120, []string{"NO_COLOR=1"}, false},
		{"empty NO_COLOR", 120, []string{"NO_COLOR="}, true},
		{"dumb terminal", 120, []string{"TERM=dumb"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := runOnTerminal(t, test.columns, test.env, "status", "--server", serve(t, showing(mixed())))
			if strings.Contains(got.stdout, "\x1b[") != test.want {
				t.Errorf("got\n%q\nwant colours: %v", got.stdout, test.want)
			}
		})
	}
}

func TestHeadlines(t *testing.T) {
	changes := make([]*exportgatev1.Change, 9)
	for i := range changes {
		changes[i] = &exportgatev1.Change{Partition: int32(i)}
	}
	paused := statusOf(3, exportgatev1.Phase_PHASE_PAUSED)
	exports := statusOf(3, exportgatev1.Phase_PHASE_EXPORTING)
	backup := &exportgatev1.Hold{
		Id: "backup-42", Uid: "U", ExpireTime: after(3 * time.Hour), Continuity: exportgatev1.Continuity_CONTINUITY_INTACT,
		Phase: exportgatev1.Phase_PHASE_SOFT_PAUSED, Owner: "\x1b[2Jme", Reason: "nightly",
	}
	operator := &exportgatev1.Hold{Id: "operator", Uid: "V", Phase: exportgatev1.Phase_PHASE_PAUSED}
	pauses := []struct {
		args     string
		response *exportgatev1.PauseResponse
		want     string
	}{
		{
			"pause", &exportgatev1.PauseResponse{Changes: changes, Status: paused, Hold: operator},
			"Exporting is paused on every replica: 9 replicas changed.\nHold operator (uid V) never ends by itself.",
		},
		{
			"pause --hold=backup-42", &exportgatev1.PauseResponse{Changes: changes[:1], Status: paused, Hold: backup},
			"Exporting is paused on every replica: 1 replica changed.\n" +
				"Hold backup-42 (uid U) ends by itself in 2h 0m, unless it is renewed.",
		},
		{
			"pause --renew=U", &exportgatev1.PauseResponse{Status: paused},
			"Exporting was paused already, on every replica.",
		},
		{
			"pause --validate-only", &exportgatev1.PauseResponse{Status: exports},
			"Nothing stands against this pause. Nothing was changed.",
		},
	}
	for _, test := range pauses {
		t.Run(test.args, func(t *testing.T) {
			headline(t, test.args, test.want, &fake{
				pause: func(context.Context, *exportgatev1.PauseRequest) (*exportgatev1.PauseResponse, error) {
					return test.response, nil
				},
			})
		})
	}
	forced := []*exportgatev1.Hold{backup, operator}
	resumes := []struct {
		args     string
		response *exportgatev1.ResumeResponse
		want     string
	}{
		{
			"resume", &exportgatev1.ResumeResponse{Changes: changes, Status: exports, Released: operator},
			"Every replica exports: 9 replicas changed.",
		},
		{"resume", &exportgatev1.ResumeResponse{Status: exports}, "Every replica was exporting already."},
		{
			"resume", &exportgatev1.ResumeResponse{Status: paused, Released: operator},
			"The hold is released; others keep exporting paused.",
		},
		{"resume --validate-only", &exportgatev1.ResumeResponse{Status: paused}, "Nothing was changed."},
		{
			"resume --hold=backup-42", &exportgatev1.ResumeResponse{Changes: changes, Status: exports, Released: backup},
			"Hold backup-42 is released; its continuity is INTACT.\nEvery replica exports: 9 replicas changed.",
		},
		{
			"resume --hold=backup-42", &exportgatev1.ResumeResponse{Status: paused, Released: backup},
			"Hold backup-42 is released; its continuity is INTACT.\nOther holds keep exporting paused.",
		},
		{
			"resume --force", &exportgatev1.ResumeResponse{Changes: changes, Status: exports, Forced: forced},
			`Ended by force: 2 holds.
  backup-42  SOFT_PAUSED  \x1b[2Jme  nightly
  operator   PAUSED       -          -
Every replica exports: 9 replicas changed.`,
		},
		{
			"resume --force", &exportgatev1.ResumeResponse{Status: exports},
			"There was no hold to end.\nEvery replica was exporting already.",
		},
		{
			"resume --force",
			&exportgatev1.ResumeResponse{Changes: changes, Status: exports, Forced: forced, Unrecorded: forced[:1]},
			`Ended by force: 2 holds.
  backup-42  SOFT_PAUSED  \x1b[2Jme  nightly
  operator   PAUSED       -          -
NOT RECORDED, since the ledger cannot be written. A server that can read it would pause exporting again for these, ` +
				`until this one could record their end:
  backup-42  SOFT_PAUSED  \x1b[2Jme  nightly
Every replica exports: 9 replicas changed.`,
		},
	}
	for _, test := range resumes {
		t.Run(test.args, func(t *testing.T) {
			headline(t, test.args, test.want, &fake{
				resume: func(context.Context, *exportgatev1.ResumeRequest) (*exportgatev1.ResumeResponse, error) {
					return test.response, nil
				},
			})
		})
	}
}

// headline proves that a command line succeeds and prints this before the status.
func headline(t *testing.T, args, want string, f *fake) {
	t.Helper()
	got := run(t, nil, append(strings.Fields(args), "--server", serve(t, f))...)
	if got.code != exitOK {
		t.Errorf("got exit code %d and\n%s", got.code, got.stderr)
	}
	says, _, _ := strings.Cut(got.stdout, "\n\nPARTITION")
	if diff := cmp.Diff(want, says); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
