package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/exportgate/exportgate/server/internal/caller"
)

// What names begin with, and entries of roles.
const (
	prefixToken   = "token:"
	prefixSPIFFE  = "spiffe://"
	prefixDNS     = "dns:"
	prefixEmail   = "email:"
	prefixSubject = "subject:"
	prefixJWT     = "jwt:"
	prefixClaim   = "claim:"
)

// everybody is the entry that matches whoever is authenticated.
const everybody = "*"

// kind is what an entry of a role looks at.
type kind uint8

const (
	kindEverybody kind = iota
	kindToken
	kindSPIFFE
	kindDNS
	kindEmail
	kindSubject
	kindJWT
	kindClaim
)

// matcher is an entry of a role.
type matcher struct {
	text  string
	role  caller.Role
	kind  kind
	value string // the name, what names begin with where below is true, or the claim's value
	below bool
	claim string
}

// form is how an entry of a kind is written.
type form struct {
	prefix string
	kind   kind
	parse  func(m *matcher, rest string) error
}

// forms are those of all entries but *.
func forms() []form {
	return []form{
		{prefixToken, kindToken, (*matcher).parseToken},
		{prefixSPIFFE, kindSPIFFE, (*matcher).parseSPIFFE},
		{prefixDNS, kindDNS, (*matcher).parseDNS},
		{prefixEmail, kindEmail, (*matcher).parseEmail},
		{prefixSubject, kindSubject, (*matcher).parseSubject},
		{prefixJWT, kindJWT, (*matcher).parseJWT},
		{prefixClaim, kindClaim, (*matcher).parseClaim},
	}
}

// parseMatcher parses an entry. Errors do not repeat it.
func parseMatcher(text string) (matcher, error) {
	m := matcher{text: text, value: text}
	if text == everybody {
		return m, nil
	}
	for _, known := range forms() {
		rest, is := strings.CutPrefix(text, known.prefix)
		if !is {
			continue
		}
		m.kind = known.kind
		if err := checkName(text); err != nil {
			return m, fmt.Errorf("no caller can be called so: it is longer than %d bytes, or has characters that cannot be shown", maxName)
		}
		return m, known.parse(&m, rest)
	}
	return m, errors.New("it does not say who is meant: write token:NAME, spiffe://DOMAIN/PATH, dns:NAME, email:ADDRESS, subject:DN, " +
		"jwt:ISSUER#SUBJECT, claim:NAME=VALUE or *")
}

func (*matcher) parseToken(name string) error {
	if !tokenName.MatchString(name) {
		return errors.New("a token's name is 1 to 64 letters, digits, dots, dashes or underscores")
	}
	return nil
}

// parseSPIFFE takes an ID, or one with /* at its end: then all with more segments behind it match, and not the ID itself.
func (m *matcher) parseSPIFFE(string) error {
	id := m.text
	if id, m.below = strings.CutSuffix(id, "/*"); m.below {
		m.value = id + "/"
	}
	if _, err := spiffeid.FromString(id); err != nil {
		return fmt.Errorf("not a SPIFFE ID, at whose end there may be /*: %w", err)
	}
	return nil
}

func (m *matcher) parseDNS(host string) error {
	if host == "" || strings.ContainsAny(host, "*/:@ ") {
		return errors.New("not a whole host name: there are no wildcards")
	}
	m.value = dnsName(host)
	return nil
}

func (*matcher) parseEmail(address string) error {
	local, host, _ := strings.Cut(address, "@")
	if local == "" || host == "" || strings.ContainsAny(address, "* ") {
		return errors.New("not a whole e-mail address: there are no wildcards")
	}
	return nil
}

func (*matcher) parseSubject(dn string) error {
	if attribute, _, is := strings.Cut(dn, "="); !is || attribute == "" {
		return errors.New("not a subject as RFC 2253 writes it, such as CN=ops,O=Acme")
	}
	return nil
}

func (*matcher) parseJWT(name string) error {
	if issuer, subject, _ := strings.Cut(name, "#"); issuer == "" || subject == "" {
		return errors.New("not the URL of an issuer, a # and a subject")
	}
	return nil
}

func (m *matcher) parseClaim(text string) error {
	name, value, _ := strings.Cut(text, "=")
	if name == "" || value == "" {
		return errors.New("not the name of a claim, a = and a value")
	}
	m.claim, m.value = name, value
	return nil
}

// matches reports whether it means an identity.
func (m *matcher) matches(id identity) bool {
	switch {
	case m.kind == kindEverybody:
		return true
	case m.kind == kindClaim:
		return claims(id.claims, m.claim, m.value)
	case m.below:
		return slices.ContainsFunc(id.names, func(name string) bool { return strings.HasPrefix(name, m.value) })
	}
	return slices.Contains(id.names, m.value)
}

// claims reports whether a claim is a word, or a list with it. A dot in its name may lead into a claim of claims, or be part
// of the name, as where providers use URLs.
func claims(all map[string]any, name, word string) bool {
	switch value := all[name].(type) {
	case string:
		return value == word
	case []any:
		return slices.Contains(value, any(word))
	}
	for i, c := range name {
		if inner, is := all[name[:i]].(map[string]any); c == '.' && is && claims(inner, name[i+1:], word) {
			return true
		}
	}
	return false
}
