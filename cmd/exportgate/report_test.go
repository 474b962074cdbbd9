package main

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

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

func TestStatusTables(t *testing.T) {
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
	}{
		{name: "settled", status: statusOf(3, exportgatev1.Phase_PHASE_EXPORTING)},
		{name: "mixed", status: mixed()},
		{name: "mixed-colours", status: mixed(), columns: 120},
		{name: "mixed-narrow", status: mixed(), columns: 60, env: []string{"NO_COLOR=1"}},
		{name: "foreign", status: foreign},
		{name: "tenants", status: tenants},
		{name: "missing", status: missing},
		{name: "hostile", status: hostile},
		{name: "empty", status: &exportgatev1.Status{
			Target: exportgatev1.Phase_PHASE_EXPORTING, Observed: exportgatev1.Phase_PHASE_UNKNOWN,
			UnsettledReason: "no broker answers",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			args := []string{"status", "--server", serve(t, showing(test.status))}
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
	tests := []struct {
		args    []string
		changes []*exportgatev1.Change
		status  *exportgatev1.Status
		want    string
	}{
		{[]string{"pause"}, changes, paused, "Exporting is paused on every replica: 9 replicas changed."},
		{[]string{"pause"}, changes[:1], paused, "Exporting is paused on every replica: 1 replica changed."},
		{[]string{"pause"}, nil, paused, "Exporting was paused already, on every replica."},
		{[]string{"pause", "--validate-only"}, nil, exports, "Nothing stands against this pause. Nothing was changed."},
		{[]string{"resume"}, changes, exports, "Every replica exports: 9 replicas changed."},
		{[]string{"resume"}, nil, exports, "Every replica was exporting already."},
		{[]string{"resume"}, nil, paused, "The hold is released; others keep exporting paused."},
		{[]string{"resume", "--validate-only"}, nil, paused, "Nothing was changed."},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			address := serve(t, &fake{
				pause: func(context.Context, *exportgatev1.PauseRequest) (*exportgatev1.PauseResponse, error) {
					return &exportgatev1.PauseResponse{Changes: test.changes, Status: test.status}, nil
				},
				resume: func(context.Context, *exportgatev1.ResumeRequest) (*exportgatev1.ResumeResponse, error) {
					return &exportgatev1.ResumeResponse{Changes: test.changes, Status: test.status}, nil
				},
			})
			got := run(t, nil, append(test.args, "--server", address)...)
			if got.code != exitOK || !strings.HasPrefix(got.stdout, test.want+"\n\nPARTITION") {
				t.Errorf("got exit code %d and\n%s%s", got.code, got.stdout, got.stderr)
			}
		})
	}
}
