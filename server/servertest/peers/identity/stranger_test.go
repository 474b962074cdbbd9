package identity_test

import (
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/audit"
	"github.com/exportgate/exportgate/server/internal/certs/certstest"
	"github.com/exportgate/exportgate/server/servertest"
	"google.golang.org/grpc/codes"

	"github.com/exportgate/exportgate/server/servertest/peers/provider"
)

// claimed are headers that proxies, or other programs, tell by who calls. Here they are somebody's word, and an operator's token
// is in them all the same.
func claimed(token string) map[string]string {
	return map[string]string{
		"Grpc-Metadata-Authorization": "Bearer " + token,
		"Grpcgateway-Authorization":   "Bearer " + token,
		"Proxy-Authorization":         "Bearer " + token,
		"X-Authorization":             "Bearer " + token,
		"X-Forwarded-Authorization":   "Bearer " + token,
		"X-Api-Key":                   token,
		"X-Auth-Token":                token,
		"Access-Token":                token,
		"Cookie":                      "authorization=Bearer " + token + "; access_token=" + token + "; token=" + token,
		"X-Forwarded-Client-Cert":     `By=spiffe://example.test/server;Hash=ab;Subject="CN=operator";URI=spiffe://example.test/operators/a`,
		"X-Ssl-Client-S-Dn":           "CN=operator",
		"X-Client-Cert-Dn":            "CN=operator",
		"X-Forwarded-User":            "operator",
		"X-Forwarded-Email":           "operator@example.test",
		"X-Forwarded-Groups":          "operators",
		"X-Remote-User":               "operator",
		"X-Forwarded-For":             "127.0.0.1",
		"Forwarded":                   "for=127.0.0.1;by=operator",
		"X-Exportgate-Caller":         "token:operator",
		"X-Exportgate-Role":           "operator",
		"Grpc-Metadata-Role":          "operator",
		"X-Http-Method-Override":      "GET",
	}
}

// TestClaimedIdentities: no header makes anybody somebody, or somebody more than they are.
func TestClaimedIdentities(t *testing.T) {
	t.Parallel()
	w := start(t, provider.Start(t))
	before := w.ledger(t)
	for name, value := range claimed(w.tokens.of("operator")) {
		for _, door := range servertest.Doors() {
			for _, test := range []struct {
				shows  credential
				caller string
				want   verdict
			}{
				{credential{}, "", who},
				{w.static("viewer"), "token:viewer", denied},
				{w.certificate(t), "subject:CN=viewer", denied},
			} {
				c := w.dial(t, door, test.shows.with(name, value))
				if a := c.pause(t); a.err != nil || a.code != test.want.code || a.reason != test.want.reason {
					t.Errorf("%s from %q through %s: got %v, want %v", name, test.caller, door, a, test.want)
				}
				w.expectCaller(t, c, test.caller)
			}
		}
	}
	if after := w.ledger(t); after != before {
		t.Errorf("something changed. Before:\n%s\nafter:\n%s", before, after)
	}
}

// expectCaller fails the test unless the audit log knows a client by a name, if it has a line of it: of so many refused calls it
// has but some.
func (w *world) expectCaller(t *testing.T, c *client, name string) {
	t.Helper()
	for _, line := range w.lines(t, audit.KindRefused) {
		if strings.HasPrefix(line.Address, c.address+":") && line.Caller != name {
			t.Errorf("the audit log takes it for %q, want %q", line.Caller, name)
		}
	}
}

// TestCredentialsInStrangePlaces: a token counts in its one header alone, and once.
func TestCredentialsInStrangePlaces(t *testing.T) {
	t.Parallel()
	w := start(t, provider.Start(t))
	token := w.tokens.of("operator")
	viewer := w.static("viewer")
	before, counted, tried := w.ledger(t), w.metric(t, "exportgate_refused_total"), 0.0

	// Two, which over HTTP is a malformed request (RFC 6750, section 3.1), and of which no one counts.
	for name, values := range map[string][]string{
		"the same": {"Bearer " + token, "Bearer " + token}, "a good one first": {"Bearer " + token, "Bearer x"},
		"a good one last": {"", "Bearer " + token}, "none": {""},
	} {
		twice := w.certificate(t).with("Authorization", values...)
		if a := w.dial(t, servertest.GRPC, twice).pause(t); a.code != codes.Unauthenticated {
			t.Errorf("%s over gRPC: got %v", name, a)
		}
		c := w.dial(t, servertest.HTTP, twice)
		if a := c.pause(t); a.code != codes.InvalidArgument {
			t.Errorf("%s over HTTP: got %v", name, a)
		}
		w.expectCaller(t, c, "")
		tried += 2
	}
	for name, value := range map[string]string{
		"two in a line": "Bearer " + token + ", Bearer " + token, "in quotes": `Bearer "` + token + `"`,
		"after another scheme": "Basic " + token, "without a scheme": token, "as a parameter": "Bearer token=" + token + ",",
	} {
		w.expectBoth(t, name, credential{}.with("Authorization", value), who)
		tried += 2
	}
	for _, query := range []string{"access_token=" + token, "authorization=Bearer%20" + token, "token=" + token, "Authorization=" + token} {
		nobody, somebody := w.dial(t, servertest.HTTP, credential{}), w.dial(t, servertest.HTTP, viewer)
		if a := nobody.get(t, "/prometheus?"+query); a.code != codes.Unauthenticated {
			t.Errorf("a token in the query of a page: got %v", a)
		}
		if a := somebody.do(t, http.MethodPost, "/exporting/pause?"+query, nil, ""); a.code != codes.InvalidArgument {
			t.Errorf("a token in the query of a pause: got %v", a)
		}
		tried += 2
	}
	if more := w.metric(t, "exportgate_refused_total") - counted; more != tried {
		t.Errorf("%v refusals were counted, want %v", more, tried)
	}
	if after := w.ledger(t); after != before {
		t.Errorf("something changed. Before:\n%s\nafter:\n%s", before, after)
	}
}

// TestForgedCertificates: one that does not verify gets no answer at all, whatever token is beside it; one that does is what it
// says to the letter.
func TestForgedCertificates(t *testing.T) {
	t.Parallel()
	w := start(t, provider.Start(t))
	now, stranger := time.Now(), certstest.NewAuthority(t, "clients") // By the same name.
	operator := certstest.Leaf{CommonName: "operator"}
	expired, early, server := operator, operator, operator
	expired.NotAfter, early.NotBefore = now.Add(-time.Minute), now.Add(time.Hour)
	server.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for name, pair := range map[string]*certstest.Pair{
		"another authority's": stranger.Issue(t, operator), "an authority's below another": stranger.Intermediate(t, "x").Issue(t, operator),
		"the doors' authority's": w.doors.Issue(t, operator), "expired": w.clients.Issue(t, expired), "not valid yet": w.clients.Issue(t, early),
		"for servers": w.clients.Issue(t, server),
	} {
		for _, door := range servertest.Doors() {
			for _, shows := range []credential{{certificate: &pair.TLS}, w.beside(credential{certificate: &pair.TLS}, w.static("operator"))} {
				if a := w.dial(t, door, shows).look(t); a.code != codes.Unavailable || a.http != 0 || a.reason != "" {
					t.Errorf("%s certificate through %s: got %v, want no answer", name, door, a)
				}
			}
		}
	}
	for name, test := range map[string]struct {
		leaf certstest.Leaf
		want verdict
	}{
		"no name":                           {certstest.Leaf{}, who},
		"a name that is many":               {certstest.Leaf{DNS: []string{"*.test"}}, who},
		"two SPIFFE IDs":                    {certstest.Leaf{URI: []string{"spiffe://example.test/viewers/a", "spiffe://example.test/operators/a"}}, who},
		"a SPIFFE ID and another URI":       {certstest.Leaf{URI: []string{"spiffe://example.test/operators/a", "https://example.test"}}, who},
		"a SPIFFE ID with a query":          {certstest.Leaf{URI: []string{"spiffe://example.test/operators/a?x"}}, who},
		"a SPIFFE ID with a port":           {certstest.Leaf{URI: []string{"spiffe://example.test:1/operators/a"}}, who},
		"a SPIFFE ID that goes up":          {certstest.Leaf{URI: []string{"spiffe://example.test/x/../operators/a"}}, who},
		"a SPIFFE ID of another domain":     {certstest.Leaf{URI: []string{"spiffe://evil.test/operators/a"}}, denied},
		"a SPIFFE ID that begins like one":  {certstest.Leaf{URI: []string{"spiffe://example.test/operators-evil/a"}}, denied},
		"a SPIFFE ID above":                 {certstest.Leaf{URI: []string{"spiffe://example.test/operators"}}, denied},
		"a SPIFFE ID in another web form":   {certstest.Leaf{URI: []string{"https://example.test/operators/a"}, CommonName: "x"}, denied},
		"a host below":                      {certstest.Leaf{DNS: []string{"operator.test.evil.test"}}, denied},
		"a host above":                      {certstest.Leaf{DNS: []string{"x.operator.test"}}, denied},
		"an address in capitals":            {certstest.Leaf{Email: []string{"Operator@example.test"}}, denied},
		"an address that goes on":           {certstest.Leaf{Email: []string{"operator@example.test.evil.test"}}, denied},
		"a subject with more to it":         {certstest.Leaf{CommonName: "operator", Organization: "Evil"}, denied},
		"a subject that looks like two":     {certstest.Leaf{CommonName: "x,CN=operator"}, denied},
		"a subject that is like a matcher":  {certstest.Leaf{CommonName: "subject:CN=operator"}, denied},
		"a subject that is like a token":    {certstest.Leaf{CommonName: "token:operator"}, denied},
		"a host that is like a token":       {certstest.Leaf{DNS: []string{"token:operator"}}, denied},
		"a subject that commands":           {certstest.Leaf{CommonName: "operator\x1b[2J"}, who},
		"a viewer's, to be sure of the way": {certstest.Leaf{DNS: []string{"VIEWER.test"}}, ok},
	} {
		w.expectBoth(t, "a certificate with "+name, w.certified(t, test.leaf), test.want)
	}
}
