package auth

import (
	"fmt"
	"slices"
	"strings"

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

// SplitEntries takes a list of entries apart that are separated by commas, and checks them. A subject has commas itself: what
// follows one belongs to it, unless that begins as an entry does. An error quotes the entry.
func SplitEntries(list string) ([]string, error) {
	var entries []string
	for part := range strings.SplitSeq(list, ",") {
		last := len(entries) - 1
		if last >= 0 && strings.HasPrefix(entries[last], prefixSubject) && !begins(strings.TrimSpace(part)) {
			entries[last] += "," + part
		} else {
			entries = append(entries, strings.TrimSpace(part))
		}
	}
	for _, text := range entries {
		if _, err := parseMatcher(text); err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
	}
	return entries, nil
}

// begins reports whether a text begins as an entry does.
func begins(text string) bool {
	return text == everybody || slices.ContainsFunc(forms(), func(f form) bool { return strings.HasPrefix(text, f.prefix) })
}

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
