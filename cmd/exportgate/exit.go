package main

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// The exit codes.
const (
	exitOK           = 0
	exitFailed       = 1
	exitUsage        = 2 // the command line or the configuration is wrong: to try again changes nothing
	exitBroken       = 3
	exitExpired      = 4
	exitHeldByOthers = 5
	exitNotFound     = 6
)

// The exit codes of the verb hold besides those of its command. They are timeout(1)'s and the shells', so that they can be
// told from those of most commands.
const (
	exitHoldLost    = 124
	exitNotHeld     = 125
	exitCannotStart = 126
	exitNoCommand   = 127
	exitSignalled   = 128 // and the signal's number
)

const exitHelp = `Exit codes: 0 success; 1 it failed, and standard error says why and what to do next; 2 the command line or
the configuration is wrong; 3 the hold was broken, or that is not known (HOLD_BROKEN); 4 the hold had expired
(HOLD_EXPIRED); 5 named holds keep exporting paused (HELD_BY_OTHERS); 6 there is no such hold (HOLD_NOT_FOUND).
'exportgate hold' ends with the code of its command, or with one that its own help lists.`

// usageError is a mistake in the command line or the configuration.
type usageError struct{ error }

// Unwrap returns the mistake.
func (e usageError) Unwrap() error { return e.error }

// exitError ends the program with a code of its own. Without a cause it says nothing: others have said it.
type exitError struct {
	code  int
	cause error
}

// Error says why; it is empty where there is nothing left to say.
func (e *exitError) Error() string {
	if e.cause == nil {
		return ""
	}
	return e.cause.Error()
}

// Unwrap returns the cause.
func (e *exitError) Unwrap() error { return e.cause }

// reasonOf is why a call failed, as far as the service itself said so, with the particulars.
func reasonOf(st *status.Status) (exportgatev1.ErrorReason, map[string]string) {
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return reasonNamed(info.GetReason()), info.GetMetadata()
		}
	}
	return exportgatev1.ErrorReason_ERROR_REASON_UNSPECIFIED, nil
}

// reasonNamed is UNSPECIFIED for what a later release may say.
func reasonNamed(name string) exportgatev1.ErrorReason {
	return exportgatev1.ErrorReason(exportgatev1.ErrorReason_value["ERROR_REASON_"+name])
}

// exitCode is that of a call that failed.
func exitCode(st *status.Status) int {
	codes := map[exportgatev1.ErrorReason]int{
		exportgatev1.ErrorReason_ERROR_REASON_HOLD_BROKEN:    exitBroken,
		exportgatev1.ErrorReason_ERROR_REASON_HOLD_EXPIRED:   exitExpired,
		exportgatev1.ErrorReason_ERROR_REASON_HELD_BY_OTHERS: exitHeldByOthers,
		exportgatev1.ErrorReason_ERROR_REASON_HOLD_NOT_FOUND: exitNotFound,
	}
	reason, _ := reasonOf(st)
	if code, ok := codes[reason]; ok {
		return code
	}
	return exitFailed
}
