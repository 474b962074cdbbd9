package main

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// What a hold may end as.
const (
	pending = exportgatev1.Continuity_CONTINUITY_PENDING
	intact  = exportgatev1.Continuity_CONTINUITY_INTACT
	broken  = exportgatev1.Continuity_CONTINUITY_BROKEN

	released = exportgatev1.HoldEnd_HOLD_END_RELEASED
	forced   = exportgatev1.HoldEnd_HOLD_END_FORCED
)

func TestHold(t *testing.T) {
	const second = time.Second
	notSettled := refuses(codes.DeadlineExceeded, "REPLICAS_NOT_SETTLED", map[string]string{"outcome": "resuming"})
	tests := []struct {
		name    string
		holder  *holder
		command string // of command_test.go, and its arguments
		flags   string
		signal  os.Signal // sent once the command is ready
		shared  bool
		want    int
		calls   string
		says    string // on standard error; with nothing here it is empty
	}{
		{name: "success", holder: &holder{}, command: "exit 0", want: 0, calls: "status place renew release"},
		{name: "failure", holder: &holder{}, command: "exit 5", want: 5, calls: "status place renew release"},
		{
			name: "renewed twice, then expired", command: "wait", holder: &holder{
				lifetime: second, renew: func(number int) (exportgatev1.Continuity, error) {
					if number < 3 {
						return intact, nil
					}
					return refuses(codes.FailedPrecondition, "HOLD_EXPIRED", nil)(number)
				},
			}, want: exitHoldLost, calls: "status place renew renew renew", says: "no: HOLD_EXPIRED",
		},
		{
			name: "terminated", holder: &holder{}, command: "wait", signal: syscall.SIGTERM, want: 0,
			calls: "status place renew release",
		},
		{
			name: "killed by the signal", holder: &holder{}, command: "die", signal: syscall.SIGTERM, want: 128 + 15,
			calls: "status place renew release",
		},
		{
			name: "interrupted", holder: &holder{}, command: "interrupt", signal: os.Interrupt, want: 7,
			calls: "status place renew release",
		},
		{
			name: "terminated on a terminal", holder: &holder{}, command: "wait", signal: syscall.SIGTERM, shared: true, want: 0,
			calls: "status place renew release",
		},
		{
			name: "expired", holder: &holder{lifetime: second, renew: refuses(codes.FailedPrecondition, "HOLD_EXPIRED", nil)},
			command: "wait", want: exitHoldLost, calls: "status place renew", says: "no: HOLD_EXPIRED\n  reason   HOLD_EXPIRED\n  next ",
		},
		{
			name: "forced away", holder: &holder{lifetime: second, renew: refuses(codes.FailedPrecondition, "HOLD_BROKEN", nil)},
			command: "die", want: exitHoldLost, calls: "status place renew", says: "no: HOLD_BROKEN",
		},
		{
			name: "superseded", holder: &holder{lifetime: second, renew: refuses(codes.Aborted, "SUPERSEDED", nil)},
			command: "stubborn", flags: "--grace 100ms", want: exitHoldLost, calls: "status place renew", says: "no: SUPERSEDED",
		},
		{
			name: "gone, on a terminal", command: "wait", shared: true,
			holder: &holder{lifetime: second, renew: refuses(codes.NotFound, "HOLD_NOT_FOUND", nil)}, want: exitHoldLost,
			calls: "status place renew", says: "was released by somebody else while the command ran",
		},
		{
			name: "broken while it lives", holder: &holder{lifetime: second, renew: answers(broken)}, command: "wait",
			want: exitHoldLost, calls: "status place renew release", says: `hold backup-42 is broken: [a leader\x1b exports]`,
		},
		{
			name: "not renewed in time", holder: &holder{lifetime: second, renew: func(int) (exportgatev1.Continuity, error) {
				return 0, status.Error(codes.Internal, "boom\a")
			}}, command: "wait", want: exitHoldLost,
			says: `exportgate: hold backup-42: cannot be renewed, and is tried again until it expires: boom\a
exportgate: hold backup-42 could not be renewed, and must have expired: boom\a
  next     what was done`,
		},
		{
			name: "gone before its release", holder: &holder{renew: refuses(codes.NotFound, "HOLD_NOT_FOUND", nil)},
			command: "exit 0", want: exitHoldLost, calls: "status place renew", says: "was released by somebody else while the command ran",
		},
		{
			name: "broken at its release", command: "exit 0", want: exitHoldLost, calls: "status place renew release",
			holder: &holder{release: refuses(codes.FailedPrecondition, "HOLD_BROKEN", nil)}, says: "no: HOLD_BROKEN",
		},
		{
			name: "broken, and the command failed", command: "exit 5", want: 5, calls: "status place renew release",
			holder: &holder{release: refuses(codes.FailedPrecondition, "HOLD_BROKEN", nil)}, says: "no: HOLD_BROKEN",
		},
		{
			name: "somebody else's", holder: &holder{uid: "U2"}, command: "exit 0", want: exitHoldLost,
			calls: "status place renew release", says: "by somebody else",
		},
		{
			name: "not to be proven", holder: &holder{renew: func(int) (exportgatev1.Continuity, error) {
				return 0, status.Error(codes.Internal, "boom")
			}}, command: "exit 0", want: exitHoldLost, calls: "status place renew release", says: "it is not known whether",
		},
		{
			name: "pending", holder: &holder{release: answers(pending)}, command: "exit 0", want: 0,
			calls: "status place renew release", says: "before it could be judged",
		},
		{
			name: "server away at the end", holder: &holder{renew: onceAway, release: onceAway}, command: "exit 0", want: 0,
			calls: "status place renew renew release release",
		},
		{
			name: "server away for ever", flags: "--timeout 1s", command: "exit 0", want: exitHoldLost,
			holder: &holder{release: func(int) (exportgatev1.Continuity, error) {
				return 0, status.Error(codes.Unavailable, "away")
			}}, says: "hold backup-42 failed: away",
		},
		{
			name: "not settled renewal", holder: &holder{renew: notSettled}, command: "exit 0", want: 0,
			calls: "status place renew release",
		},
		{
			name: "not settled release", holder: &holder{release: notSettled, status: past("U1", released, intact)},
			command: "exit 0", want: 0, calls: "status place renew release status", says: "exporting stood still under it, but",
		},
		{
			name: "not settled release, pending", holder: &holder{release: notSettled, status: past("U1", released, pending)},
			command: "exit 0", want: 0, calls: "status place renew release status", says: "before it could be judged",
		},
		{
			name: "not settled release, broken", holder: &holder{release: notSettled, status: past("U1", released, broken)},
			command: "exit 0", want: exitHoldLost, calls: "status place renew release status", says: "no: REPLICAS_NOT_SETTLED",
		},
		{
			name: "not settled release, forced", holder: &holder{release: notSettled, status: past("U1", forced, intact)},
			command: "exit 0", want: exitHoldLost, calls: "status place renew release status", says: "no: REPLICAS_NOT_SETTLED",
		},
		{
			name: "not settled release, of another", holder: &holder{release: notSettled, status: past("U2", released, intact)},
			command: "exit 0", want: exitHoldLost, calls: "status place renew release status", says: "no: REPLICAS_NOT_SETTLED",
		},
		{
			name: "not settled release, not known", holder: &holder{release: notSettled}, command: "exit 0", want: exitHoldLost,
			calls: "status place renew release status", says: "no: REPLICAS_NOT_SETTLED",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := test.holder.run(t, test.command, test.flags, test.signal, test.shared)
			if got.code != test.want || !strings.Contains(got.stderr, test.says) || (test.says == "") != (got.stderr == "") {
				t.Errorf("got exit code %d, want %d with %q\n%s", got.code, test.want, test.says, got.stderr)
			}
			if diff := cmp.Diff(test.calls, strings.Join(test.holder.calls, " ")); test.calls != "" && diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

// TestHoldPassesThrough proves that the command has the hold's name and all three streams.
func TestHoldPassesThrough(t *testing.T) {
	got := new(holder).run(t, "say --soft -- x", "", nil, false)
	want := result{0, "backup-42 U1 [--soft -- x]\n", "what it reads"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestHoldThatIsNotPlaced proves that no command runs without a hold, and none is left behind.
func TestHoldThatIsNotPlaced(t *testing.T) {
	failing := func(f func(int) (exportgatev1.Continuity, error)) func(context.Context) error {
		return func(context.Context) error { _, err := f(0); return err }
	}
	notSettled := func(outcome string) func(context.Context) error {
		return failing(refuses(codes.DeadlineExceeded, "REPLICAS_NOT_SETTLED", map[string]string{"outcome": outcome}))
	}
	unwritten := func(written string) func(context.Context) error {
		return failing(refuses(codes.Unavailable, "STORE_UNAVAILABLE", map[string]string{"written": written}))
	}
	taken := []*exportgatev1.Hold{{Id: "other"}, {
		Id: "backup-42", Owner: "\x1b[2Jme", CreateTime: timestamppb.New(time.Now().Add(-90 * time.Minute)),
	}}
	tests := []struct {
		name   string
		holder *holder
		calls  string
		says   string
	}{
		{"taken", &holder{taken: taken}, "status", `lives already: \x1b[2Jme placed it 1h 30m ago (reason: none given), and it ` +
			"never ends by itself.\n  next     take another name"},
		{
			"refused", &holder{place: failing(refuses(codes.Unavailable, "INCOMPLETE_TOPOLOGY", nil))}, "status place",
			"no: INCOMPLETE_TOPOLOGY\n  reason   INCOMPLETE_TOPOLOGY\n  next     nothing was touched",
		},
		{"reverted", &holder{place: notSettled("reverted")}, "status place", "no: REPLICAS_NOT_SETTLED"},
		{"kept", &holder{place: notSettled("kept")}, "status place release", "no: REPLICAS_NOT_SETTLED"},
		{"not written", &holder{place: unwritten("no")}, "status place", "no: STORE_UNAVAILABLE"},
		{"perhaps written", &holder{place: unwritten("unknown")}, "status place release", "no: STORE_UNAVAILABLE"},
		{"broke", &holder{place: func(context.Context) error {
			return status.Error(codes.Internal, "boom")
		}}, "status place release", "hold backup-42 failed: boom"},
		{
			"broke, and was not placed", &holder{
				place:   func(context.Context) error { return status.Error(codes.Internal, "boom") },
				release: refuses(codes.NotFound, "HOLD_NOT_FOUND", nil),
			}, "status place release", "hold backup-42 failed: boom",
		},
		{
			"broke, and nobody knows", &holder{
				place:   func(context.Context) error { return status.Error(codes.Internal, "boom") },
				release: func(int) (exportgatev1.Continuity, error) { return 0, status.Error(codes.Internal, "boom again") },
			}, "status place release", "it is not known whether the hold was placed",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := test.holder.run(t, "say it ran", "", nil, false)
			if got.code != exitNotHeld || got.stdout != "" || !strings.Contains(got.stderr, test.says) {
				t.Errorf("got %+v, want exit code %d and %q", got, exitNotHeld, test.says)
			}
			if diff := cmp.Diff(test.calls, strings.Join(test.holder.calls, " ")); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

// TestHoldByAnOldServer proves that a server which knows no names is not asked to renew what has none: that would be a hard
// pause.
func TestHoldByAnOldServer(t *testing.T) {
	pauses := 0
	address := serve(t, &fake{
		getStatus: func(context.Context) (*exportgatev1.GetStatusResponse, error) {
			return &exportgatev1.GetStatusResponse{}, nil
		},
		pause: func(context.Context, *exportgatev1.PauseRequest) (*exportgatev1.PauseResponse, error) {
			pauses++
			return &exportgatev1.PauseResponse{Hold: &exportgatev1.Hold{Id: "operator", Uid: "O"}}, nil
		},
		resume: func(context.Context, *exportgatev1.ResumeRequest) (*exportgatev1.ResumeResponse, error) {
			return &exportgatev1.ResumeResponse{}, nil
		},
	})
	got := run(t, nil, "hold", "a", "--server", address, "--", "go")
	if got.code != exitNotHeld || pauses != 1 || !strings.Contains(got.stderr, "does not know holds with names") {
		t.Errorf("got %+v after %d pauses", got, pauses)
	}
}

// TestHoldInterruptedBeforeItIsSettled proves that a hold which was asked for is released, although its caller left.
func TestHoldInterruptedBeforeItIsSettled(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	h := &holder{place: func(ctx context.Context) error {
		interrupt()
		<-ctx.Done()
		return ctx.Err()
	}}
	var stdout, stderr strings.Builder
	con := console{stdout: screen{Writer: &stdout}, stderr: screen{Writer: &stderr}}
	code := execute(ctx, newRootCommand(con), []string{
		"hold", "backup-42", "--soft", "--ttl=10m", "--reason=nightly", "--server", h.serve(t), "--", "go",
	})
	if code != exitNotHeld || !strings.Contains(stderr.String(), "interrupted before the command was run") {
		t.Errorf("got exit code %d and %q", code, stderr.String())
	}
	if diff := cmp.Diff("status place release", strings.Join(h.calls, " ")); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}
