package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// fail shows a failed call to programs, where they want it, and returns an error that explains it to people and has the
// exit code.
func (c *client) fail(verb string, err error) error {
	st := status.Convert(err)
	explained := errors.New(c.explain(verb, st))
	if c.output.value == "json" {
		explained = errors.Join(explained, c.writeJSON(c.con.stdout, knownDetails(st.Proto())))
	}
	return &exitError{exitCode(st), explained}
}

// explain tells what happened, why, which replicas are concerned, and what to do next.
func (c *client) explain(verb string, st *status.Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s failed: %s", verb, printable(st.Message()))
	var info *errdetails.ErrorInfo
	var retry *errdetails.RetryInfo
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			info = printableCopy(detail)
			fmt.Fprintf(&b, "\n  reason   %s", describeReason(info))
		case *errdetails.RetryInfo:
			retry = detail
		case *exportgatev1.ReplicaFailure:
			fmt.Fprintf(&b, "\n  replica  %s", describeFailure(printableCopy(detail)))
		}
	}
	next := c.nextWithoutReason(st.Code())
	if info != nil {
		next = nextAfter(info)
	}
	if after := retry.GetRetryDelay().AsDuration(); after > 0 {
		next += fmt.Sprintf(" (not before %s have passed)", after)
	}
	fmt.Fprintf(&b, "\n  next     %s", next)
	return b.String()
}

// describeReason is the reason with its particulars, in a stable order.
func describeReason(info *errdetails.ErrorInfo) string {
	var particulars []string
	for _, key := range slices.Sorted(maps.Keys(info.GetMetadata())) {
		particulars = append(particulars, printable(key)+": "+info.GetMetadata()[key])
	}
	if len(particulars) == 0 {
		return info.GetReason()
	}
	return fmt.Sprintf("%s (%s)", info.GetReason(), strings.Join(particulars, ", "))
}

func describeFailure(f *exportgatev1.ReplicaFailure) string {
	partition := "every partition"
	if f.GetPartition() != 0 {
		partition = "partition " + partitionName(f.GetTenant(), f.GetPartition())
	}
	return fmt.Sprintf("%s on broker %s (%s, last read %s, wanted %s): %s", partition, cmp.Or(f.GetBroker(), "?"),
		strings.ToLower(roleName(f.GetRole())), phaseName(f.GetPhase()), phaseName(f.GetWanted()),
		cmp.Or(f.GetError(), "no reason given"))
}

// nextAfter is the next step after a failure for which the server gave its reason.
func nextAfter(info *errdetails.ErrorInfo) string {
	switch reasonNamed(info.GetReason()) {
	case exportgatev1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT:
		return "mend what the message names; if it names nothing that you gave, use a client and a server of one version"
	case exportgatev1.ErrorReason_ERROR_REASON_UNSAFE_TRANSITION:
		return "run 'exportgate resume' first, then pause again"
	case exportgatev1.ErrorReason_ERROR_REASON_SOFT_PAUSE_UNSUPPORTED:
		return "upgrade these brokers, or pause without --soft"
	case exportgatev1.ErrorReason_ERROR_REASON_SUPERSEDED:
		return "a later call decided otherwise: see 'exportgate status'"
	case exportgatev1.ErrorReason_ERROR_REASON_INCOMPLETE_TOPOLOGY:
		return "nothing was touched: bring back what is missing, or wait until it is, and try again"
	case exportgatev1.ErrorReason_ERROR_REASON_MIXED_VERSIONS:
		return "nothing was touched: finish the upgrade of the brokers, then try again"
	case exportgatev1.ErrorReason_ERROR_REASON_REPLICAS_NOT_SETTLED:
		return nextAfterOutcome(info.GetMetadata()["outcome"])
	case exportgatev1.ErrorReason_ERROR_REASON_SHUTTING_DOWN:
		return "nothing was touched: try again when the server is back"
	case exportgatev1.ErrorReason_ERROR_REASON_HOLD_NOT_FOUND:
		return "check the name: 'exportgate status --history' lists the holds that live and those that have ended"
	case exportgatev1.ErrorReason_ERROR_REASON_HOLD_EXPIRED:
		return "what was done under it after that time is worth nothing: do it again under a new hold with a longer --ttl, " +
			"or let 'exportgate hold' renew it"
	case exportgatev1.ErrorReason_ERROR_REASON_HOLD_BROKEN:
		return "what was done under it, such as a backup, is worth nothing: do it again under a new hold; " +
			"'exportgate status --history' has the evidence"
	case exportgatev1.ErrorReason_ERROR_REASON_HELD_BY_OTHERS:
		return releases(info.GetMetadata()["holds"]) + "; or end all, whoever needs them: 'exportgate resume --force'"
	case exportgatev1.ErrorReason_ERROR_REASON_STORE_UNAVAILABLE:
		return nextAfterStore(info.GetMetadata()["written"])
	case exportgatev1.ErrorReason_ERROR_REASON_TOO_MANY_HOLDS:
		return "nothing was touched: release holds that nobody needs; 'exportgate status' lists them"
	case exportgatev1.ErrorReason_ERROR_REASON_UNAUTHENTICATED:
		return "nothing was touched: give a credential that is valid, with --token-file or --certificate"
	case exportgatev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED:
		return "nothing was touched: ask an operator, or whoever maps roles in the server's configuration"
	case exportgatev1.ErrorReason_ERROR_REASON_TOO_MANY_CALLS:
		return "nothing was touched: wait a little and try again"
	case exportgatev1.ErrorReason_ERROR_REASON_AUDIT_UNAVAILABLE:
		return "nothing was touched: make room for the server's audit log; 'exportgate resume' works all the same"
	case exportgatev1.ErrorReason_ERROR_REASON_IDENTITY_UNAVAILABLE:
		return "nothing was touched: try again, or use a credential that needs no identity provider, such as a certificate"
	case exportgatev1.ErrorReason_ERROR_REASON_DISK_LOW:
		return "nothing was touched: let exporters catch up, or make room on these brokers' disks, and pause then"
	case exportgatev1.ErrorReason_ERROR_REASON_UNSPECIFIED:
	}
	return "see 'exportgate status'"
}

// releases are the commands that release holds, of which the service lists the names with commas between.
func releases(holds string) string {
	if holds == "" {
		return "release what is yours by its name, which 'exportgate status' shows"
	}
	return "release what is yours: 'exportgate resume --hold " +
		strings.ReplaceAll(holds, ",", "' or 'exportgate resume --hold ") + "'"
}

// nextAfterStore is the next step after the ledger could not be written, or perhaps not.
func nextAfterStore(written string) string {
	const force = "; to resume exporting all the same: 'exportgate resume --force'"
	if written == "unknown" {
		return "it is not known whether this was recorded: see 'exportgate status', then the server's log on its store" + force
	}
	return "nothing was touched: mend the server's store, of which its log has more, and try again" + force
}

// nextAfterOutcome is the next step after replicas did not follow.
func nextAfterOutcome(outcome string) string {
	switch outcome {
	case "reverted":
		return "every replica is back where it was: cure the replicas named above, then try again"
	case "reverting":
		return "the server goes on until every replica is back where it was: see 'exportgate status'"
	case "kept":
		return "the hold stays, and the server goes on pausing: see 'exportgate status', or end it with 'exportgate resume'"
	case "unenforced":
		return "find who resumes at the brokers; 'exportgate pause' under the hold's name pauses again, 'exportgate resume' gives it up"
	case "resuming":
		return "the server goes on resuming until every replica has followed: see 'exportgate status'"
	}
	return "see 'exportgate status'"
}

// nextWithoutReason is the next step after a failure that does not come from the service itself.
func (c *client) nextWithoutReason(code codes.Code) string {
	server := c.server.String()
	next := map[codes.Code]string{
		codes.Unavailable: "check that the server runs, that " + server + " is its gRPC port (9601, not the HTTP port " +
			"9600), that both speak TLS or neither does (--tls, --ca), and that nothing between blocks it",
		codes.DeadlineExceeded: server + " gave no answer within " + c.timeout.String() + ", and what was asked goes on: " +
			"see 'exportgate status', or wait longer with --timeout",
		codes.Canceled: "what was asked goes on in the server: see 'exportgate status'",
		codes.Unimplemented: "check that " + server + " is the gRPC port of an Exportgate server (9601), and not another " +
			"service's",
	}
	return cmp.Or(next[code], "see the server's log")
}
