package auth

import (
	"fmt"

	"github.com/exportgate/exportgate/server/internal/caller"
)

// Roles say who has which role, by matchers as the configuration writes them:
//
//	token:backup                   the static token of that name
//	spiffe://example.org/ns/ops    a SPIFFE ID; with /* at its end every path below
//	dns:ops.example.org            a certificate's DNS name, whatever its case
//	email:a@example.org            a certificate's e-mail name
//	subject:CN=ops,O=Acme          a certificate's subject, as RFC 2253 writes it
//	jwt:https://issuer#subject     a JWT's subject
//	claim:groups=admins            a JWT's claim that is that word, or a list with it; dots lead into claims of claims
//	*                              everybody who is authenticated
//
// The highest role that matches counts. Whom none matches may do nothing.
type Roles struct{ Viewer, Holder, Operator []string }

// roles are the matchers of all roles, the highest role first.
type roles []matcher

// parseRoles parses all entries. Errors quote them.
func parseRoles(r Roles) (roles, error) {
	var parsed roles
	for _, each := range []struct {
		role    caller.Role
		entries []string
	}{{caller.Operator, r.Operator}, {caller.Holder, r.Holder}, {caller.Viewer, r.Viewer}} {
		for _, text := range each.entries {
			m, err := parseMatcher(text)
			if err != nil {
				return nil, fmt.Errorf("auth.roles.%s: %q: %w", each.role, text, err)
			}
			m.role = each.role
			parsed = append(parsed, m)
		}
	}
	return parsed, nil
}

// of is the role of an identity.
func (r roles) of(id identity) caller.Role {
	for i := range r {
		if r[i].matches(id) {
			return r[i].role
		}
	}
	return caller.None
}
