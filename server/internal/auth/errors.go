package auth

import (
	"fmt"
	"time"

	"github.com/exportgate/exportgate/server/internal/caller"
)

// UnauthenticatedError refuses a call because nothing proves who makes it. Its text is the same whatever is wrong, so that
// it may be shown to whoever calls: it does not help to find out what a server would take.
type UnauthenticatedError struct {
	// Why is the reason, for logs. It has nothing of a credential in it.
	Why string
}

// Error is what the caller may know.
func (e *UnauthenticatedError) Error() string {
	return "no valid credential: send a bearer token or a client certificate that this server takes, one that has not expired"
}

func unauthenticated(why string) *UnauthenticatedError { return &UnauthenticatedError{Why: why} }

// DeniedError refuses what a caller may not do.
type DeniedError struct {
	Caller    caller.Caller
	Operation string
	// Why is the rule, and what to do instead.
	Why string
}

// Error names the caller, what it asked for, and the rule. The caller may be told all of it.
func (e *DeniedError) Error() string {
	if e.Caller.Name == "" {
		return fmt.Sprintf("%s is not allowed: %s", e.Operation, e.Why)
	}
	return fmt.Sprintf("%s (%s) may not do %s: %s", e.Caller.Name, e.Caller.Role, e.Operation, e.Why)
}

// UnavailableError refuses a call because it cannot be found out now who makes it. The same call may succeed later.
type UnavailableError struct {
	// Err is what is wrong, for logs: it may name the provider.
	Err error
	// RetryAfter is when it may be otherwise.
	RetryAfter time.Duration
}

// Error is what the caller may know.
func (e *UnavailableError) Error() string {
	return "it cannot be found out who calls: the identity provider does not answer as it should; try again, or use a static token or a " +
		"certificate"
}

// Unwrap returns what is wrong.
func (e *UnavailableError) Unwrap() error { return e.Err }
