package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

func TestExitCodes(t *testing.T) {
	up := serve(t, showing(statusOf(1, exportgatev1.Phase_PHASE_EXPORTING)))
	tests := []struct {
		args string // separated by spaces; UP is the address of a server
		env  string
		want int
		says string // is in the output, on standard error unless the exit code is 0
	}{
		{args: "status --server UP", want: exitOK, says: "PARTITION"},
		{args: "status", env: "EXPORTGATE_SERVER=UP", want: exitOK, says: "PARTITION"},
		{args: "version", want: exitOK, says: "exportgate "},
		{args: "help", want: exitOK, says: "Exit codes:"},
		{args: "pause --help", want: exitOK, says: "--soft"},
		{args: "completion bash", want: exitOK, says: "bash completion"},
		{args: "", want: exitOK, says: "Usage:"},

		{args: "pause --server UP", want: exitFailed, says: "pause failed: the test gives no answer"},
		{args: "resume --server UP", want: exitFailed, says: "resume failed: the test gives no answer"},
		{args: "status --server 127.0.0.1:1", want: exitFailed, says: "connection refused"},
		{args: "watch --server UP", want: exitFailed, says: "watch failed: the test gives no answer"},
		{args: "watch --server 127.0.0.1:1", want: exitFailed, says: "connection refused"},

		{args: "stop", want: exitUsage, says: `unknown command "stop"`},
		{args: "paus", want: exitUsage, says: "pause"},
		{args: "pause now", want: exitUsage, says: `pause takes no arguments, but got ["now"]`},
		{args: "resume partition 1", want: exitUsage, says: "resume takes no arguments"},
		{args: "version please", want: exitUsage, says: "version takes no arguments"},
		{args: "pause --hold=", want: exitUsage, says: "must be 1 to 128 letters"},
		{args: "pause --hold=a/b", want: exitUsage, says: "must be 1 to 128 letters"},
		{args: "pause --hold=" + strings.Repeat("a", 129), want: exitUsage, says: "must be 1 to 128 letters"},
		{args: "pause --renew=", want: exitUsage, says: "must be 1 to 128 letters"},
		{args: "pause --ttl=0s", want: exitUsage, says: "must be a duration above zero"},
		{args: "pause --ttl=2", want: exitUsage, says: "must be a duration above zero"},
		{args: "pause --renew=u --soft", want: exitUsage, says: "--renew and --soft contradict each other"},
		{args: "pause --renew=u --hold=a", want: exitUsage, says: "--renew and --hold contradict each other"},
		{args: "resume --hold=a --force", want: exitUsage, says: "--force and --hold contradict each other"},
		{args: "resume --hold=", want: exitUsage, says: "must be 1 to 128 letters"},
		{args: "watch now", want: exitUsage, says: "watch takes no arguments"},
		{args: "watch --server here", want: exitUsage, says: "must be host:port"},
		{args: "hold", want: exitUsage, says: "Usage: exportgate hold NAME [flags] -- COMMAND [ARGUMENT...]"},
		{args: "hold a", want: exitUsage, says: "Usage: exportgate hold NAME"},
		{args: "hold a --", want: exitUsage, says: "Usage: exportgate hold NAME"},
		{args: "hold a true", want: exitUsage, says: "Usage: exportgate hold NAME"},
		{args: "hold -- true", want: exitUsage, says: "Usage: exportgate hold NAME"},
		{args: "hold a b -- true", want: exitUsage, says: "Usage: exportgate hold NAME"},
		{args: "hold a/b -- true", want: exitUsage, says: `name of the hold "a/b" must be 1 to 128 letters`},
		{args: "hold operator -- true", want: exitUsage, says: "take another name"},
		{args: "hold a -o json -- true", want: exitUsage, says: "unknown shorthand flag"},
		{args: "hold a -- no-such-command", want: exitNoCommand, says: `"no-such-command": executable file not found`},
		{args: "hold a -- ./fake_test.go", want: exitCannotStart, says: "permission denied"},
		{args: "hold a --server 127.0.0.1:1 -- go", want: exitNotHeld, says: "connection refused"},
		{args: "pause --soff", want: exitUsage, says: "unknown flag: --soff"},
		{args: "pause --soft=maybe", want: exitUsage, says: `invalid argument "maybe"`},
		{args: "pause --on-failure=explode", want: exitUsage, says: "must be one of revert, keep"},
		{args: "status -o yaml", want: exitUsage, says: "must be one of table, json"},
		{args: "version -o table", want: exitUsage, says: "must be one of text, json"},
		{args: "status --server localhost", want: exitUsage, says: "must be host:port"},
		{args: "status --server http://localhost:9600", want: exitUsage, says: "must be host:port"},
		{args: "status --server localhost:0", want: exitUsage, says: "must be host:port"},
		{args: "status --server :9601", want: exitUsage, says: "must be host:port"},
		{args: "status", env: "EXPORTGATE_SERVER=here", want: exitUsage, says: `EXPORTGATE_SERVER "here" must be host:port`},
		{args: "status --timeout 30", want: exitUsage, says: "must be a duration above zero"},
		{args: "status --timeout 0s", want: exitUsage, says: "must be a duration above zero"},
		{args: "status --timeout", want: exitUsage, says: "flag needs an argument"},
	}
	for _, test := range tests {
		t.Run(test.args+" "+test.env, func(t *testing.T) {
			fill := strings.NewReplacer("UP", up)
			got := run(t, []string{fill.Replace(test.env)}, strings.Fields(fill.Replace(test.args))...)
			output, other := got.stderr, got.stdout
			if test.want == exitOK {
				output, other = other, output
			}
			if got.code != test.want || !strings.Contains(output, test.says) || other != "" {
				t.Errorf("got exit code %d, want %d with %q alone\nstdout: %s\nstderr: %s",
					got.code, test.want, test.says, got.stdout, got.stderr)
			}
			if usage := strings.Contains(got.stderr, "--help'"); usage != (test.want == exitUsage && test.env == "") {
				t.Errorf("got standard error %q", got.stderr)
			}
		})
	}
}

// TestRequests proves that each flag reaches the server.
func TestRequests(t *testing.T) {
	var got *exportgatev1.PauseRequest
	var resumed *exportgatev1.ResumeRequest
	address := serve(t, &fake{
		pause: func(_ context.Context, r *exportgatev1.PauseRequest) (*exportgatev1.PauseResponse, error) {
			got = r
			return &exportgatev1.PauseResponse{}, nil
		},
		resume: func(_ context.Context, r *exportgatev1.ResumeRequest) (*exportgatev1.ResumeResponse, error) {
			resumed = r
			return &exportgatev1.ResumeResponse{}, nil
		},
	})
	tests := []struct {
		args []string
		want func() bool
	}{
		{[]string{"pause"}, func() bool {
			return !got.GetSoft() && !got.GetValidateOnly() &&
				got.GetOnFailure() == exportgatev1.OnFailure_ON_FAILURE_UNSPECIFIED
		}},
		{[]string{"pause", "--soft"}, func() bool { return got.GetSoft() }},
		{[]string{"pause", "--validate-only"}, func() bool { return got.GetValidateOnly() }},
		{[]string{"pause", "--on-failure=keep"}, func() bool {
			return got.GetOnFailure() == exportgatev1.OnFailure_ON_FAILURE_KEEP
		}},
		{[]string{"pause", "--on-failure", "revert"}, func() bool {
			return got.GetOnFailure() == exportgatev1.OnFailure_ON_FAILURE_REVERT
		}},
		{[]string{"pause", "--hold", "backup-42", "--ttl", "2h", "--reason", "nightly"}, func() bool {
			return got.GetHold() == "backup-42" && got.GetTtl().AsDuration() == 2*time.Hour && got.GetReason() == "nightly" &&
				got.GetRenew() == ""
		}},
		{[]string{"pause", "--hold=a"}, func() bool { return got.GetHold() == "a" && got.GetTtl() == nil }},
		{[]string{"pause", "--renew=U:1", "--ttl=90s"}, func() bool {
			return got.GetRenew() == "U:1" && got.GetTtl().AsDuration() == 90*time.Second && got.GetHold() == ""
		}},
		{[]string{"resume"}, func() bool {
			return !resumed.GetValidateOnly() && !resumed.GetForce() && resumed.GetHold() == ""
		}},
		{[]string{"resume", "--hold=backup-42"}, func() bool { return resumed.GetHold() == "backup-42" }},
		{[]string{"resume", "--force"}, func() bool { return resumed.GetForce() }},
		{[]string{"resume", "--validate-only"}, func() bool { return resumed.GetValidateOnly() }},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			if r := run(t, nil, append(test.args, "--server", address)...); r.code != exitOK || !test.want() {
				t.Errorf("got exit code %d, requests %v and %v\n%s", r.code, got, resumed, r.stderr)
			}
		})
	}
}

// TestNoServer proves that a server that is not there, or is another, is told as such within the time that was given.
func TestNoServer(t *testing.T) {
	silent := listen(t) // takes connections into its backlog, and says nothing
	t.Cleanup(func() { _ = silent.Close() })
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	closed := listen(t)
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	other := serve(t, &fake{getStatus: func(context.Context) (*exportgatev1.GetStatusResponse, error) {
		return nil, status.Error(codes.Unimplemented, "unknown service exportgate.v1.ExportingService")
	}})
	tests := []struct {
		name, address, timeout, want string
	}{
		{"silent", silent.Addr().String(), "50ms", "gave no answer within 50ms"},
		{"closed", closed.Addr().String(), "30s", "check that the server runs, that " + closed.Addr().String()},
		{"web", web.Listener.Addr().String(), "30s", "(9601, not the HTTP port 9600)"},
		{"other service", other, "30s", "not another service's"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := run(t, nil, "status", "--server", test.address, "--timeout", test.timeout)
			if got.code != exitFailed || !strings.Contains(got.stderr, test.want) {
				t.Errorf("got exit code %d and standard error\n%s\nwithout %q", got.code, got.stderr, test.want)
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	address := serve(t, &fake{pause: func(
		ctx context.Context, _ *exportgatev1.PauseRequest,
	) (*exportgatev1.PauseResponse, error) {
		interrupt()
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	var stderr strings.Builder
	code := execute(ctx, newRootCommand(console{
		stdout: screen{Writer: &strings.Builder{}}, stderr: screen{Writer: &stderr},
	}), []string{"pause", "--server", address})
	if code != exitFailed || !strings.Contains(stderr.String(), "goes on in the server") {
		t.Errorf("got exit code %d and %q", code, stderr.String())
	}
}
