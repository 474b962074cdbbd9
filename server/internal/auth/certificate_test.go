package auth

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/certs/certstest"
)

func TestCertified(t *testing.T) {
	ca := certstest.NewAuthority(t, "ca")
	tests := map[string]struct {
		leaf  certstest.Leaf
		names []string
		why   string
	}{
		"all": {
			certstest.Leaf{
				CommonName: "ops", Organization: "Acme, Inc.", DNS: []string{"Ops.Example.org.", "b.example.org"}, Email: []string{"a@Example.org"},
				URI: []string{"spiffe://example.org/ns/ops"}, IP: []string{"10.0.0.1"},
			},
			[]string{
				"spiffe://example.org/ns/ops", "dns:ops.example.org", "dns:b.example.org", "email:a@Example.org", `subject:CN=ops,O=Acme\, Inc.`,
			},
			"",
		},
		"subject alone":         {certstest.Leaf{CommonName: "ops"}, []string{"subject:CN=ops"}, ""},
		"another URI":           {certstest.Leaf{CommonName: "ops", URI: []string{"https://example.org/", "urn:x"}}, []string{"subject:CN=ops"}, ""},
		"any host":              {certstest.Leaf{DNS: []string{"*.example.org"}, CommonName: "ops"}, []string{"subject:CN=ops"}, ""},
		"nobody":                {certstest.Leaf{IP: []string{"10.0.0.1"}}, nil, "names nobody"},
		"two SPIFFE IDs":        {certstest.Leaf{URI: []string{"spiffe://a/b", "spiffe://a/c"}}, nil, "other URIs"},
		"a SPIFFE ID and a URI": {certstest.Leaf{URI: []string{"https://a/b", "spiffe://a/c"}}, nil, "other URIs"},
		"no SPIFFE ID":          {certstest.Leaf{URI: []string{"spiffe://a/b/../c"}}, nil, "SPIFFE ID is none"},
		"SPIFFE ID with a port": {certstest.Leaf{URI: []string{"spiffe://a:1/b"}}, nil, "SPIFFE ID is none"},
		"hidden in an escape":   {certstest.Leaf{URI: []string{"spiffe://a/b%2Fc"}}, nil, "SPIFFE ID is none"},
		"a name of two lines":   {certstest.Leaf{CommonName: "ops\nroot"}, nil, "cannot be shown"},
		"a name without end":    {certstest.Leaf{CommonName: strings.Repeat("a", maxName)}, nil, "longer than"},
		"not valid any more":    {certstest.Leaf{CommonName: "ops", NotAfter: time.Now().Add(-time.Second)}, nil, "expired at"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			id, err := certified(ca.Issue(t, test.leaf).Leaf, time.Now())
			if got := why(t, err); (got == "") != (test.why == "") || !strings.Contains(got, test.why) {
				t.Errorf("refused because %q, want %q", got, test.why)
			}
			if !slices.Equal(id.names, test.names) {
				t.Errorf("names %q, want %q", id.names, test.names)
			}
		})
	}
}

// Of a subject that has a name twice no half counts: it is another subject.
func TestWholeSubject(t *testing.T) {
	commonName := asn1.ObjectIdentifier{2, 5, 4, 3}
	raw, err := asn1.Marshal(pkix.RDNSequence{
		{{Type: commonName, Value: "root"}}, {{Type: commonName, Value: "ops"}}, {{Type: asn1.ObjectIdentifier{1, 2, 3}, Value: "x"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := subjectOf(&x509.Certificate{RawSubject: raw})
	if err != nil || !strings.HasSuffix(got, ",CN=ops,CN=root") {
		t.Errorf("error %v, subject %q", err, got)
	}
	for _, broken := range [][]byte{nil, {1, 2, 3}, append(raw, 0)} {
		if got, err := subjectOf(&x509.Certificate{RawSubject: broken}); err == nil {
			t.Errorf("%x is taken for %q", broken, got)
		}
	}
}

// A connection that outlives its certificate proves nothing any more.
func TestCertificateExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leaf := certstest.NewAuthority(t, "ca").Issue(t, certstest.Leaf{DNS: []string{"a"}, NotAfter: time.Now().Add(time.Hour)}).Leaf
		g := newIdleGuard(t, nil, Options{Certificates: true})
		c := Credentials{TLS: &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf}}}}
		if who, err := g.authenticate(t.Context(), c); err != nil || who.Name != "dns:a" {
			t.Errorf("error %v, caller %+v", err, who)
		}
		<-time.After(2 * time.Hour)
		if _, err := g.authenticate(t.Context(), c); why(t, err) == "" {
			t.Error("it is taken an hour later")
		}
	})
}

// What a certificate says counts only if it was verified, and where certificates are asked for.
func TestCertificateIsVerified(t *testing.T) {
	leaf := certstest.NewAuthority(t, "ca").Issue(t, certstest.Leaf{DNS: []string{"a"}}).Leaf
	token := tokenFile(t, "")
	verified := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
	shown := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	tests := map[string]struct {
		options Options
		state   *tls.ConnectionState
		taken   bool
	}{
		"verified":      {Options{Certificates: true}, verified, true},
		"shown":         {Options{Certificates: true}, shown, false},
		"no TLS":        {Options{Certificates: true}, nil, false},
		"not asked for": {Options{TokensFile: token}, verified, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := newIdleGuard(t, nil, test.options)
			if _, err := g.authenticate(t.Context(), Credentials{TLS: test.state}); (why(t, err) == "") != test.taken {
				t.Errorf("error %v", err)
			}
		})
	}
}
