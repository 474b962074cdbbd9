package interceptor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/audit"
	"github.com/exportgate/exportgate/server/internal/auth"
	"github.com/exportgate/exportgate/server/internal/limits"
)

const (
	pause     = exportgatev1.ExportingService_Pause_FullMethodName
	resume    = exportgatev1.ExportingService_Resume_FullMethodName
	getStatus = exportgatev1.ExportingService_GetStatus_FullMethodName
	check     = grpc_health_v1.Health_Check_FullMethodName
)

// lock is a guard with a token for each role, by its name, one without a role, and an issuer that does not answer.
func lock(tb testing.TB) (guard *auth.Guard, tokens map[string]string) {
	tb.Helper()
	var lines strings.Builder
	tokens = map[string]string{}
	for _, name := range []string{"viewer", "holder", "operator", "nobody"} {
		token, hash := auth.NewToken()
		tokens[name] = token
		fmt.Fprintln(&lines, name, hash)
	}
	path := filepath.Join(tb.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	guard, err := auth.New(auth.Options{
		TokensFile: path, Logger: discard(),
		JWT: auth.JWT{Issuer: "https://127.0.0.1:1", Audience: []string{"exportgate"}},
		Roles: auth.Roles{
			Viewer: []string{"token:viewer"}, Holder: []string{"token:holder"}, Operator: []string{"token:operator"},
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = guard.Run(ctx) })
	tb.Cleanup(func() { cancel(); running.Wait() })
	return guard, tokens
}

// jwt is a token of the issuer, as far as anybody can tell without its keys.
const jwt = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ." +
	"eyJpc3MiOiJodHRwczovLzEyNy4wLjAuMToxIiwic3ViIjoicyIsImF1ZCI6ImV4cG9ydGdhdGUiLCJleHAiOjk5OTk5OTk5OTk5fQ.c2lnbmF0dXJl"

// bearing is a context of a client with a token; without any for "".
func bearing(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// remembered is what a chain told of, by all ways that it has.
type remembered struct {
	mu       sync.Mutex
	refused  []string
	started  []string
	observed []string
	log      bytes.Buffer
	audit    bytes.Buffer
}

// Write is what the audit log writes to.
func (r *remembered) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.audit.Write(p)
}

// options remember.
func (r *remembered) options(tb testing.TB) Options {
	tb.Helper()
	log, err := audit.Open(audit.Options{Path: "-", Writer: r, Logger: discard(), Stderr: io.Discard, RefusePauses: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = log.Close() })
	return Options{
		Logger: debugLogger(&r.log), Audit: log,
		Started: func(operation string) { r.started = append(r.started, operation) },
		Observe: func(operation, code string, _ time.Duration) { r.observed = append(r.observed, operation+" "+code) },
		Refused: func(reason string) { r.refused = append(r.refused, reason) },
	}
}

// audited are the lines of the audit log, as words, once it is closed.
func (r *remembered) audited(t *testing.T, log *audit.Log) []string {
	t.Helper()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	var words []string
	for line, err := range audit.Lines(&r.audit) {
		if err != nil {
			t.Fatal(err)
		}
		words = append(words, strings.Join(strings.Fields(fmt.Sprintln(line.Kind, line.Caller, line.Role, line.Door, line.Code)), " "))
	}
	return words
}

// detail is the ErrorInfo of an error, and how long to wait; -1 where that is not said.
func detail(t *testing.T, err error) (info *errdetails.ErrorInfo, wait time.Duration) {
	t.Helper()
	wait = -1
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.RetryInfo:
			wait = d.GetRetryDelay().AsDuration()
		}
	}
	if info == nil || info.GetDomain() != "exportgate" {
		t.Fatalf("%v has no ErrorInfo of ours", err)
	}
	return info, wait
}

func TestAdmission(t *testing.T) {
	type refusal struct {
		code     codes.Code
		reason   string
		metadata map[string]string
	}
	unauthenticated := refusal{codes.Unauthenticated, "UNAUTHENTICATED", nil}
	denied := func(who, role, operation string) refusal {
		return refusal{codes.PermissionDenied, "PERMISSION_DENIED", map[string]string{"caller": who, "role": role, "operation": operation}}
	}
	tests := []struct {
		name, token, operation string
		want                   refusal
		caller                 string // in the log
		audited                []string
	}{
		{"a probe", "", check, refusal{}, "", nil},
		{"a probe with a bad token", "bad", check, refusal{}, "", nil},
		{"nobody reads", "", getStatus, unauthenticated, "", []string{"refused none grpc UNAUTHENTICATED"}},
		{"a bad token", "bad", pause, unauthenticated, "", []string{"refused none grpc UNAUTHENTICATED"}},
		{"no role", "nobody", getStatus, denied("token:nobody", "none", "GetStatus"), "token:nobody", []string{
			"refused token:nobody none grpc PERMISSION_DENIED",
		}},
		{"a viewer reads", "viewer", getStatus, refusal{}, "token:viewer", nil},
		{"a viewer pauses", "viewer", pause, denied("token:viewer", "viewer", "Pause"), "token:viewer", []string{
			"refused token:viewer viewer grpc PERMISSION_DENIED",
		}},
		{"a holder pauses without a name", "holder", pause, denied("token:holder", "holder", "Pause"), "token:holder", []string{
			"refused token:holder holder grpc PERMISSION_DENIED",
		}},
		{"an operator pauses", "operator", pause, refusal{}, "token:operator", []string{
			"intent token:operator operator grpc", "outcome token:operator operator grpc OK",
		}},
		{"a JWT while the issuer is down", jwt, pause, refusal{codes.Unavailable, "IDENTITY_UNAVAILABLE", nil}, "", []string{
			"refused none grpc UNAVAILABLE",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var r remembered
			guard, tokens := lock(t)
			o := r.options(t)
			o.Guard = guard
			token := test.token
			if known, ok := tokens[token]; ok {
				token = known
			}
			conn := serve(t, &fake{}, o)
			err := conn.Invoke(bearing(t.Context(), token), test.operation, &exportgatev1.PauseRequest{}, &exportgatev1.PauseResponse{})
			if got := status.Code(err); got != test.want.code {
				t.Fatalf("got %v, want %v", err, test.want.code)
			}
			var refused []string
			if err != nil {
				refused = []string{test.want.reason}
				info, wait := detail(t, err)
				if info.GetReason() != test.want.reason || !maps.Equal(info.GetMetadata(), test.want.metadata) {
					t.Errorf("the ErrorInfo is %v, want %v", info, test.want)
				}
				if (wait > 0) != (test.want.code == codes.Unavailable) {
					t.Errorf("the caller is told to wait %v", wait)
				}
			}
			if diff := cmp.Diff(refused, r.refused); diff != "" {
				t.Errorf("counted as refused (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{test.operation + " " + test.want.code.String()}, r.observed); diff != "" {
				t.Errorf("measured (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{test.operation}, r.started); diff != "" {
				t.Errorf("started (-want +got):\n%s", diff)
			}
			if text := r.log.String(); strings.Contains(text, token) && token != "" {
				t.Errorf("the log has the token: %s", text)
			}
			line := lines(t, &r.log)[0]
			who, _ := line["caller"].(string)
			if _, why := line["why"]; who != test.caller || why != (err != nil && test.want.code != codes.PermissionDenied) {
				t.Errorf("the line is %v, want the caller %q", line, test.caller)
			}
			if diff := cmp.Diff(test.audited, r.audited(t, o.Audit)); diff != "" {
				t.Errorf("audit log (-want +got):\n%s", diff)
			}
		})
	}
}

// TestForgedIdentity proves that nothing but a credential says who calls.
func TestForgedIdentity(t *testing.T) {
	guard, tokens := lock(t)
	client := exportgatev1.NewExportingServiceClient(serve(t, &fake{}, Options{Logger: discard(), Guard: guard}))
	for _, key := range []string{
		"x-forwarded-client-cert", "grpc-metadata-authorization", "x-exportgate-caller", "x-forwarded-for", "proxy-authorization",
		"x-authorization", "grpcgateway-authorization", "cookie",
	} {
		for _, value := range []string{"Bearer " + tokens["operator"], "token:operator", "URI=spiffe://example.org/ops", "127.0.0.1"} {
			ctx := metadata.AppendToOutgoingContext(t.Context(), key, value)
			if _, err := client.Pause(ctx, &exportgatev1.PauseRequest{}); status.Code(err) != codes.Unauthenticated {
				t.Errorf("%s: %s was answered with %v", key, value, err)
			}
			// Nor does it make more of who proved to be somebody.
			ctx = bearing(ctx, tokens["viewer"])
			if _, err := client.Pause(ctx, &exportgatev1.PauseRequest{}); status.Code(err) != codes.PermissionDenied {
				t.Errorf("%s: %s with a viewer's token was answered with %v", key, value, err)
			}
		}
	}
}

// TestTooMany proves that callers have limits of their own, those that are denied too, and probes none.
func TestTooMany(t *testing.T) {
	var r remembered
	guard, tokens := lock(t)
	o := r.options(t)
	o.Guard, o.Limits = guard, limits.New(limits.Options{CallsPerSecond: 1, Burst: 2})
	conn := serve(t, &fake{}, o)
	invoke := func(token, operation string) error {
		return conn.Invoke(bearing(t.Context(), tokens[token]), operation, &exportgatev1.PauseRequest{}, &exportgatev1.PauseResponse{})
	}
	want := []codes.Code{codes.PermissionDenied, codes.PermissionDenied, codes.ResourceExhausted}
	for _, code := range want {
		if err := invoke("viewer", pause); status.Code(err) != code {
			t.Errorf("a viewer that pauses again and again got %v, want %v", err, code)
		}
	}
	err := invoke("viewer", getStatus)
	if info, wait := detail(t, err); info.GetReason() != "TOO_MANY_CALLS" || info.GetMetadata()["limit"] != limits.CallsPerSecond ||
		wait <= 0 || wait > time.Second {
		t.Errorf("got %v, to wait %v", info, wait)
	}
	if err := invoke("operator", pause); err != nil {
		t.Errorf("the operator was refused with a viewer's limit: %v", err)
	}
	for range 10 {
		if err := invoke("", check); err != nil {
			t.Fatalf("a probe was refused: %v", err)
		}
	}
}

// TestGuessing proves that a guesser's credentials are not looked at any more, and that its neighbours can go on.
func TestGuessing(t *testing.T) {
	guard, tokens := lock(t)
	client := exportgatev1.NewExportingServiceClient(serve(t, &fake{}, Options{
		Logger: discard(), Guard: guard, Limits: limits.New(limits.Options{Failures: 3}),
	}))
	get := func(token string) error {
		_, err := client.GetStatus(bearing(t.Context(), token), &exportgatev1.GetStatusRequest{})
		return err
	}
	if err := get(tokens["viewer"]); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		want := codes.Unauthenticated
		if i >= 3 {
			want = codes.ResourceExhausted
		}
		if err := get(fmt.Sprint("guess-", i)); status.Code(err) != want {
			t.Errorf("guess %d got %v, want %v", i, err, want)
		}
	}
	if err := get(tokens["viewer"]); err != nil {
		t.Errorf("a caller that was known got %v", err)
	}
	if err := get(tokens["operator"]); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a caller that was not known got %v, want to wait", err)
	}
	if err := get(""); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a caller without credential got %v", err)
	}
}

// TestPanicIsAudited proves that what a panic became is the outcome.
func TestPanicIsAudited(t *testing.T) {
	var r remembered
	o := r.options(t)
	_, err := exportgatev1.NewExportingServiceClient(serve(t, &fake{boom: true}, o)).Pause(t.Context(), &exportgatev1.PauseRequest{})
	if status.Code(err) != codes.Internal {
		t.Fatal(err)
	}
	want := []string{"intent operator grpc", "outcome operator grpc INTERNAL"}
	if diff := cmp.Diff(want, r.audited(t, o.Audit)); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
}

// full is a disk that is.
type full struct{}

// Write fails.
func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestAuditUnavailable proves that a pause which nobody could account for is refused, and a resume is not.
func TestAuditUnavailable(t *testing.T) {
	log, err := audit.Open(audit.Options{Path: "-", Writer: full{}, Logger: discard(), Stderr: io.Discard, RefusePauses: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	service := &fake{}
	limit := limits.New(limits.Options{ConcurrentCalls: 1})
	conn := serve(t, service, Options{Logger: discard(), Audit: log, Limits: limit})
	client := exportgatev1.NewExportingServiceClient(conn)
	for range 2 { // What is refused leaves nothing under way.
		_, err = client.Pause(t.Context(), &exportgatev1.PauseRequest{})
		if status.Code(err) != codes.Unavailable {
			t.Fatalf("a pause got %v", err)
		}
	}
	if info, wait := detail(t, err); info.GetReason() != "AUDIT_UNAVAILABLE" || wait != auditRetry {
		t.Errorf("got %v, to wait %v", info, wait)
	}
	if service.peer != "" {
		t.Error("the pause reached the service")
	}
	if _, err := client.Resume(t.Context(), &exportgatev1.ResumeRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("a resume got %v, want what the service says", err)
	}
}

// TestRefusalsAreBounded proves that a flood of refused calls does not fill the log.
func TestRefusalsAreBounded(t *testing.T) {
	var log bytes.Buffer
	guard, _ := lock(t)
	conn := serve(t, &fake{}, Options{
		Guard: guard, Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo})),
	})
	for range 1000 {
		_, err := exportgatev1.NewExportingServiceClient(conn).Pause(t.Context(), &exportgatev1.PauseRequest{})
		if status.Code(err) != codes.Unauthenticated {
			t.Fatal(err)
		}
	}
	if n := len(lines(t, &log)); n < 50 || n > 300 {
		t.Errorf("1000 refused calls have %d lines, want some", n)
	}
}
