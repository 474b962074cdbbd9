package interceptor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/exportgate/exportgate/server/internal/auth"
	"github.com/exportgate/exportgate/server/internal/caller"
	"github.com/exportgate/exportgate/server/internal/certs/certstest"
	"github.com/exportgate/exportgate/server/internal/limits"
)

func addrPort(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

// readEnd waits until a connection ends.
func readEnd(t *testing.T, c net.Conn) {
	t.Helper()
	if n, _ := io.Copy(io.Discard, c); n > 0 {
		t.Errorf("read %d bytes, want the end", n)
	}
}

func TestAdmit(t *testing.T) {
	tests := []struct {
		name, token, operation string
		err                    error // of the handler
		code                   codes.Code
		level                  string
		audited                []string
	}{
		{"metrics for a viewer", "viewer", "GET /prometheus", nil, codes.OK, "DEBUG", nil},
		{"metrics for nobody", "", "GET /prometheus", nil, codes.Unauthenticated, "DEBUG", []string{"refused none http UNAUTHENTICATED"}},
		{"health for nobody", "", "GET /health", nil, codes.OK, "DEBUG", nil},
		{"a level by a holder", "holder", "POST /loggers", nil, codes.PermissionDenied, "WARN", []string{
			"refused token:holder holder http PERMISSION_DENIED",
		}},
		{"a level by an operator", "operator", "POST /loggers", nil, codes.OK, "INFO", []string{
			"intent token:operator operator http", "outcome token:operator operator http OK",
		}},
		{"a bad level", "operator", "POST /loggers", status.Error(codes.InvalidArgument, "no such level"), codes.InvalidArgument, "WARN", []string{
			"intent token:operator operator http", "outcome token:operator operator http INVALID_ARGUMENT",
		}},
		{"nowhere", "operator", "GET /nowhere", nil, codes.PermissionDenied, "DEBUG", []string{
			"refused token:operator operator http PERMISSION_DENIED",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var r remembered
			guard, tokens := lock(t)
			o := r.options(t)
			o.Guard, o.Limits = guard, limits.New(limits.Options{ConcurrentCalls: 1})
			c := New(o)
			ctx, end, err := c.Admit(from(t.Context(), "192.0.2.7:1", tokens[test.token]), test.operation)
			if err == nil {
				if who := caller.From(ctx); test.token != "" && who.Name != "token:"+test.token {
					t.Errorf("the handler sees the caller %+v", who)
				}
				if id := metadata.ValueFromIncomingContext(ctx, "x-request-id"); len(id) != 1 || id[0] == "" {
					t.Errorf("the handler sees the request id %q", id)
				}
				err = test.err
				end(err)
			}
			if status.Code(err) != test.code {
				t.Errorf("got %v, want %v", err, test.code)
			}
			if diff := cmp.Diff([]string{test.operation + " " + test.code.String()}, r.observed); diff != "" {
				t.Errorf("measured (-want +got):\n%s", diff)
			}
			line := lines(t, &r.log)[0]
			if line["level"] != test.level || line["method"] != test.operation || line["peer"] != "192.0.2.7:1" {
				t.Errorf("the line is %v, want it at %s", line, test.level)
			}
			if diff := cmp.Diff(test.audited, r.audited(t, o.Audit)); diff != "" {
				t.Errorf("audit log (-want +got):\n%s", diff)
			}
			if test.token == "" {
				return
			}
			if _, end, err := c.Admit(from(t.Context(), "192.0.2.7:1", tokens["viewer"]), "GET /info"); err != nil {
				t.Errorf("a call after it got %v", err)
			} else {
				end(nil)
			}
		})
	}
}

// TestRefused proves that what the door turns away is counted by its cause, logged and audited.
func TestRefused(t *testing.T) {
	for _, operation := range []string{pause, "POST /loggers", "unknown"} {
		var r remembered
		o := r.options(t)
		o.Guard = open(t)
		st, err := status.New(codes.PermissionDenied, "a page of another origin").WithDetails(&errdetails.ErrorInfo{
			Reason: "PERMISSION_DENIED", Domain: "exportgate", Metadata: map[string]string{"cause": "cross-origin"},
		})
		if err != nil {
			t.Fatal(err)
		}
		New(o).Refused(from(t.Context(), "192.0.2.7:1", ""), operation, st.Err())
		if diff := cmp.Diff([]string{"cross-origin"}, r.refused); diff != "" {
			t.Errorf("counted (-want +got):\n%s", diff)
		}
		if line := lines(t, &r.log)[0]; line["level"] != "WARN" || line["method"] != operation || line["code"] != "PermissionDenied" {
			t.Errorf("the line is %v", line)
		}
		if diff := cmp.Diff([]string{"refused none http PERMISSION_DENIED"}, r.audited(t, o.Audit)); diff != "" {
			t.Errorf("audit log (-want +got):\n%s", diff)
		}
	}
}

// TestAllows proves that a question leaves no trace, but cannot be used to guess.
func TestAllows(t *testing.T) {
	var r remembered
	guard, tokens := lock(t)
	o := r.options(t)
	o.Guard, o.Limits = guard, limits.New(limits.Options{CallsPerSecond: 1, Burst: 1, Failures: 2})
	c := New(o)
	ask := func(token string) bool { return c.Allows(from(t.Context(), "192.0.2.7:1", token), getStatus) }
	for range 3 {
		if !ask(tokens["viewer"]) || ask(tokens["nobody"]) || ask("") {
			t.Error("a question was answered wrongly")
		}
	}
	for range 3 {
		if ask("guess") {
			t.Error("a guess may look")
		}
	}
	if ask(tokens["operator"]) {
		t.Error("a credential was looked at after too many guesses")
	}
	if len(r.observed) > 0 || len(r.refused) > 0 || r.log.Len() > 0 || len(r.audited(t, o.Audit)) > 0 {
		t.Errorf("it left a trace: %v %v %s", r.observed, r.refused, r.log.String())
	}
}

// TestCertificate proves that a client certificate that TLS has verified says who calls.
func TestCertificate(t *testing.T) {
	guard, err := auth.New(auth.Options{Certificates: true, Roles: auth.Roles{Operator: []string{"dns:ops.example.org"}}, Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	leaf := certstest.NewAuthority(t, "ca").Issue(t, certstest.Leaf{DNS: []string{"ops.example.org"}}).Leaf
	tests := []struct {
		name  string
		state tls.ConnectionState
		want  codes.Code
	}{
		{"verified", tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf}}}, codes.OK},
		{"only shown", tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}, codes.Unauthenticated},
		{"none", tls.ConnectionState{}, codes.Unauthenticated},
	}
	c := New(Options{Logger: discard(), Guard: guard})
	for _, test := range tests {
		ctx := peer.NewContext(t.Context(), &peer.Peer{
			Addr: net.TCPAddrFromAddrPort(addrPort("192.0.2.7:1")), AuthInfo: credentials.TLSInfo{State: test.state},
		})
		var who caller.Caller
		err := watch(ctx, c, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", func(ctx context.Context) error {
			who = caller.From(ctx)
			return nil
		})
		if status.Code(err) != test.want || (err == nil) != (who.Name == "dns:ops.example.org") {
			t.Errorf("%s: %+v got %v", test.name, who, err)
		}
	}
}
