package auth

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// certified is who a verified certificate names: its SPIFFE ID first, then its DNS and e-mail names, then its subject. A
// connection may outlive its certificate, so that the time is checked at every call.
func certified(leaf *x509.Certificate, now time.Time) (identity, error) {
	if now.After(leaf.NotAfter) {
		return identity{}, unauthenticated("the certificate expired at " + leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	var names []string
	spiffe, err := spiffeOf(leaf)
	if err != nil {
		return identity{}, err
	}
	if spiffe != "" {
		names = append(names, spiffe)
	}
	for _, host := range leaf.DNSNames {
		if !strings.Contains(host, "*") { // That is not a caller but many.
			names = append(names, dnsName(host))
		}
	}
	for _, address := range leaf.EmailAddresses {
		names = append(names, prefixEmail+address)
	}
	subject, err := subjectOf(leaf)
	if err != nil {
		return identity{}, err
	}
	if subject != "" {
		names = append(names, prefixSubject+subject)
	}
	if len(names) == 0 {
		return identity{}, unauthenticated("the certificate names nobody")
	}
	for _, name := range names {
		if err := checkName(name); err != nil {
			return identity{}, err
		}
	}
	return identity{names: names}, nil
}

// spiffeOf is the SPIFFE ID of a certificate; empty if it has none. One that has has no other URI (X.509-SVID, section 2):
// otherwise it would depend on the reader who it is.
func spiffeOf(leaf *x509.Certificate) (string, error) {
	for _, uri := range leaf.URIs {
		if !strings.EqualFold(uri.Scheme, "spiffe") {
			continue
		}
		if len(leaf.URIs) > 1 {
			return "", unauthenticated("the certificate has a SPIFFE ID, and other URIs beside it")
		}
		id, err := spiffeid.FromURI(uri)
		if err != nil {
			return "", unauthenticated(fmt.Sprintf("the certificate's SPIFFE ID is none: %v", err))
		}
		return id.String(), nil
	}
	return "", nil
}

// subjectOf is the whole subject as RFC 2253 writes it; empty if there is none. The parsed name that x509 has leaves out what
// it does not expect, so that two subjects could look the same.
func subjectOf(leaf *x509.Certificate) (string, error) {
	var subject pkix.RDNSequence
	if rest, err := asn1.Unmarshal(leaf.RawSubject, &subject); err != nil || len(rest) > 0 {
		return "", unauthenticated("the certificate's subject cannot be read")
	}
	return subject.String(), nil
}

// dnsName is how a host name is compared.
func dnsName(host string) string { return prefixDNS + strings.ToLower(strings.TrimSuffix(host, ".")) }
