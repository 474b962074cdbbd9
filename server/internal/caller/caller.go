// Package caller is who makes a call, as it was found out at the door, for all that the call passes on its way.
//
// It must not know how that was found out, nor what who may do.
package caller

import (
	"context"
	"time"
)

// Role is what a caller may do, each more than the ones before it.
type Role uint8

// The roles. The zero value may do nothing.
const (
	None Role = iota
	// Viewer may look: the status, its stream, metrics.
	Viewer
	// Holder may also place, renew and release named holds of its own.
	Holder
	// Operator may do everything.
	Operator
)

// String is the role's name in the configuration.
func (r Role) String() string {
	switch r {
	case Viewer:
		return "viewer"
	case Holder:
		return "holder"
	case Operator:
		return "operator"
	case None:
	}
	return "none"
}

// Caller is who makes a call.
type Caller struct {
	// Name is what was proven: no two identities have the same, and a caller cannot choose it. Empty where nothing was
	// asked for. The first word tells how it was proven: "token:backup", "jwt:https://issuer#subject",
	// "spiffe://domain/path", "dns:host", "email:address", "subject:CN=name".
	Name string
	// Role is what it may do.
	Role Role
	// MaxTTL is how long a hold that it places may live; 0 where it has no limit but the server's.
	MaxTTL time.Duration
}

type key struct{}

// With returns a context that carries who calls.
func With(ctx context.Context, c Caller) context.Context { return context.WithValue(ctx, key{}, c) }

// From is who makes the call of a context; of one that passed no door, a caller that may do nothing.
func From(ctx context.Context) Caller {
	c, _ := ctx.Value(key{}).(Caller)
	return c
}
