package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// story is two answers, a connection that is lost, and a last answer.
func story() *fake {
	quiet := statusOf(1, exportgatev1.Phase_PHASE_EXPORTING)
	quiet.Settled, quiet.UnsettledReason = false, "a leader\x1b[2J is missing"
	quiet.GetPartitions()[0].GetReplicas()[0].Error = "no leader"
	backup := held()
	backup.Holds, backup.Driver, backup.Stale = backup.GetHolds()[:1], "proxy-b", "etcd has no quorum"
	backup.Foreign = true
	placed := &exportgatev1.Event{
		Time: noon, Hold: "backup-42", Kind: exportgatev1.EventKind_EVENT_KIND_HOLD_PLACED, Message: "placed by \x1b]0;me\a",
	}
	return &fake{watch: func(cursor string, stream watchStream) error {
		if cursor == "" {
			if err := errors.Join(
				stream.Send(&exportgatev1.WatchStatusResponse{Status: quiet, Cursor: "1"}),
				stream.Send(&exportgatev1.WatchStatusResponse{
					Status: quiet, Cursor: "2", Events: []*exportgatev1.Event{{Time: noon, Message: "something"}},
				}),
				stream.Send(&exportgatev1.WatchStatusResponse{Status: quiet, Cursor: "3"}),
			); err != nil {
				return err
			}
			return status.Error(codes.Unavailable, "going\naway")
		}
		if err := stream.Send(&exportgatev1.WatchStatusResponse{
			Status: backup, Cursor: "last", Events: []*exportgatev1.Event{placed}, MissedEvents: true,
		}); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}}
}

// interrupted runs a command line and interrupts it once it has said a text.
func interrupted(t *testing.T, text string, args ...string) result {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	stdout := &untilSaid{text: text, then: interrupt}
	var stderr strings.Builder
	con := console{stdout: screen{Writer: stdout}, stderr: screen{Writer: &stderr}, clock: anHourLater}
	code := execute(ctx, newRootCommand(con), args)
	return result{code, stdout.String(), stderr.String()}
}

// untilSaid does something once a text was written.
type untilSaid struct {
	strings.Builder

	text string
	then func()
}

func (u *untilSaid) Write(p []byte) (int, error) {
	defer func() {
		if strings.Contains(u.String(), u.text) {
			u.then()
		}
	}()
	return u.Builder.Write(p)
}

func TestWatchLines(t *testing.T) {
	got := interrupted(t, "backup-42", "watch", "--server", serve(t, story()))
	want := `2026-11-07T13:00:00Z  STATUS  -  target EXPORTING; observed EXPORTING; not settled: a leader\x1b[2J is missing; 1 problem
2026-11-07T12:00:00Z  UNSPECIFIED  -  something
2026-11-07T13:00:00Z  STATUS  -  target EXPORTING; observed EXPORTING; not settled: a leader\x1b[2J is missing; 1 problem
2026-11-07T13:00:00Z  MISSED  -  events were missed: there were too many, or the server is another one now
2026-11-07T12:00:00Z  HOLD_PLACED  backup-42  placed by \x1b]0;me\a
2026-11-07T13:00:00Z  STATUS  -  STALE: the ledger is lost: etcd has no quorum; target SOFT_PAUSED; observed SOFT_PAUSED (foreign); ` +
		`settled; hold backup-42 (SOFT_PAUSED, INTACT, ends 2026-11-07T14:03:00Z); driver proxy-b
`
	if diff := cmp.Diff(want, got.stdout); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const lost = "exportgate: connection lost: going away; trying again in " // some random time
	if got.code != exitOK || !strings.HasPrefix(got.stderr, lost) || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("got exit code %d and standard error %q", got.code, got.stderr)
	}
}

func TestWatchJSON(t *testing.T) {
	got := interrupted(t, `"last"`, "watch", "-o", "json", "--server", serve(t, story()))
	var cursors []string
	for line := range strings.Lines(got.stdout) {
		var document struct {
			Cursor string
			Status struct{ Partitions []any }
		}
		if err := json.Unmarshal([]byte(line), &document); err != nil || len(document.Status.Partitions) != 1 {
			t.Errorf("%q: %v", line, err)
		}
		cursors = append(cursors, document.Cursor)
	}
	if diff := cmp.Diff([]string{"1", "2", "3", "last"}, cursors); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if strings.Contains(got.stdout, "\x1b") || got.code != exitOK || !strings.Contains(got.stderr, "connection lost") {
		t.Errorf("got exit code %d, standard error %q and\n%q", got.code, got.stderr, got.stdout)
	}
}

// TestWatchJSONEndsWithTheError proves that a stream of lines stays one.
func TestWatchJSONEndsWithTheError(t *testing.T) {
	got := run(t, nil, "watch", "-o", "json", "--server", serve(t, &fake{}))
	var document struct{ Message string }
	if err := json.Unmarshal([]byte(got.stdout), &document); err != nil || document.Message != "the test gives no answer" ||
		strings.Count(got.stdout, "\n") != 1 || got.code != exitFailed {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWatchEndsWithItsOutput(t *testing.T) {
	address := serve(t, story())
	for _, con := range []console{
		{stdout: screen{Writer: brokenPipe{}}, stderr: screen{Writer: &strings.Builder{}}},
		{stdout: screen{brokenPipe{}, (&terminal{}).width, (&terminal{}).height}, stderr: screen{Writer: &strings.Builder{}}},
	} {
		for _, output := range []string{"table", "json"} {
			code := execute(t.Context(), newRootCommand(con), []string{"watch", "-o", output, "--server", address})
			if code != exitFailed {
				t.Errorf("%s: got exit code %d", output, code)
			}
		}
	}
}

// TestLive looks at a terminal for some seconds.
func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		screen := &terminal{columns: 100, lines: 10}
		c := newClient(console{stdout: screen.screen(), env: []string{"NO_COLOR=1"}})
		arriving, ended := make(chan news), make(chan error)
		done := make(chan error)
		go func() { done <- c.view(arriving, ended) }()

		frames := []string{"start"}
		look := func() {
			synctest.Wait()
			frames = append(frames, screen.take())
		}
		pass := func(d time.Duration) {
			<-time.After(d)
			look()
		}
		now := time.Now()
		s := statusOf(1, exportgatev1.Phase_PHASE_SOFT_PAUSED)
		s.Holds = []*exportgatev1.Hold{{
			Id: "backup-42", Phase: exportgatev1.Phase_PHASE_SOFT_PAUSED, Owner: "\x1b[2Jme", CreateTime: timestamppb.New(now),
			SettleTime: timestamppb.New(now), ExpireTime: timestamppb.New(now.Add(10 * time.Minute)),
			Continuity: exportgatev1.Continuity_CONTINUITY_INTACT,
		}}
		pass(1500 * time.Millisecond)
		arriving <- news{answer: &exportgatev1.WatchStatusResponse{Status: s}}
		look()
		pass(time.Second)
		arriving <- news{lost: status.Error(codes.Unavailable, "going\naway"), again: time.Minute}
		pass(3 * time.Second)
		screen.reheight(100)
		arriving <- news{answer: &exportgatev1.WatchStatusResponse{Status: s, MissedEvents: true, Events: held().GetEvents()}}
		look()
		ended <- nil
		if err := <-done; err != nil {
			t.Error(err)
		}
		look()
		golden(t, "live", strings.Join(frames, "\n=====\n"))
	})
}

func TestClip(t *testing.T) {
	tests := []struct {
		height int
		want   string
	}{
		{0, "a b c d"}, {5, "a b c d"}, {4, "a b c d"}, {3, "a b ... 2 lines more"}, {1, "... 4 lines more"},
	}
	for _, test := range tests {
		if got := strings.Join(clip([]string{"a", "b", "c", "d"}, test.height), " "); got != test.want {
			t.Errorf("%d: got %q, want %q", test.height, got, test.want)
		}
	}
}
