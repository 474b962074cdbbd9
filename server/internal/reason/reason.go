// Package reason is how a failure is told to whoever called: a gRPC status, with an ErrorInfo that has one of the contract's
// reasons (error_reason.proto).
//
// It must not know what failures there are, nor what their reasons mean.
package reason

import (
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// domain of every ErrorInfo.
const domain = "exportgate"

// Word is a reason as an ErrorInfo has it.
func Word(r exportgatev1.ErrorReason) string { return strings.TrimPrefix(r.String(), "ERROR_REASON_") }

// With is a status that says why, and what else is given. All of that is text in UTF-8; if it is not, the status is the one that
// came, because a detail that cannot be encoded is no cause to lose the message.
func With(st *status.Status, r exportgatev1.ErrorReason, metadata map[string]string, details ...protoadapt.MessageV1) *status.Status {
	info := &errdetails.ErrorInfo{Reason: Word(r), Domain: domain, Metadata: metadata}
	detailed, err := st.WithDetails(append([]protoadapt.MessageV1{info}, details...)...)
	if err != nil {
		return st
	}
	return detailed
}

// Of is what a status says of why, in its first ErrorInfo; nil if it has none.
func Of(st *status.Status) *errdetails.ErrorInfo {
	for _, detail := range st.Details() {
		if info, is := detail.(*errdetails.ErrorInfo); is {
			return info
		}
	}
	return nil
}

// Status reads an error as a gRPC server does before it sends it: one that is no status is UNKNOWN, unless a context ended. Of
// no error it is OK.
func Status(err error) *status.Status {
	if st, is := status.FromError(err); is {
		return st
	}
	return status.FromContextError(err)
}
