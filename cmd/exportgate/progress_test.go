package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// pausedSoFar is a cluster in which so many of 9 replicas have followed.
func pausedSoFar(number int) *exportgatev1.Status {
	s := statusOf(3, exportgatev1.Phase_PHASE_EXPORTING)
	for i := range number {
		s.GetPartitions()[i/3].GetReplicas()[i%3].Phase = exportgatev1.Phase_PHASE_PAUSED
	}
	return s
}

func TestProgress(t *testing.T) {
	screen := &terminal{columns: 60}
	// The polls of a pause, one after another. Each has drawn its bar before the next begins.
	polls := []func() (*exportgatev1.Status, error){
		func() (*exportgatev1.Status, error) { return &exportgatev1.Status{}, nil },
		func() (*exportgatev1.Status, error) { return pausedSoFar(0), nil },
		func() (*exportgatev1.Status, error) { return pausedSoFar(5), nil },
		func() (*exportgatev1.Status, error) { return nil, errors.New("no status today") },
		func() (*exportgatev1.Status, error) { screen.resize(30); return pausedSoFar(7), nil },
		func() (*exportgatev1.Status, error) { screen.resize(12); return pausedSoFar(8), nil },
		func() (*exportgatev1.Status, error) { screen.resize(60); return pausedSoFar(9), nil },
	}
	drawn := make(chan struct{})
	polled := 0
	f := &fake{getStatus: func(ctx context.Context) (*exportgatev1.GetStatusResponse, error) {
		if polled == len(polls) {
			close(drawn)
			<-ctx.Done() // the bar ends while it waits for a status
			return nil, ctx.Err()
		}
		status, err := polls[polled]()
		polled++
		return &exportgatev1.GetStatusResponse{Status: status}, err
	}}
	failure := errors.New("what the call said")
	bar := progress{screen.screen(), connect(t, serve(t, f)), "pause", pausedAtLeast(false), time.Millisecond}
	err := bar.during(t.Context(), func() error {
		<-drawn
		return failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("got error %v, want that of the call", err)
	}

	want := []string{
		"pause waiting for the replicas",
		"pause [-----------------------------------] 0 of 9 replicas",
		"pause [###################----------------] 5 of 9 replicas",
		"pause [############-----------] 5 of 9 replicas (no status)",
		"pause [###--] 7 of 9 replicas",
		"pause 8 of ",
		"pause [###################################] 9 of 9 replicas",
		"", // cleared
	}
	got := strings.Split(strings.ReplaceAll(screen.String(), "\x1b[K", ""), "\r")[1:]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBarFits(t *testing.T) {
	for width := range 200 {
		for _, b := range []bar{{}, {0, 0, true}, {3, 9, false}, {12345, 67890, true}, {10, 9, false}} {
			if got := b.text("resume", width); utf8.RuneCountInString(got) > max(width-1, 0) {
				t.Errorf("width %d: got %q", width, got)
			}
		}
	}
}

// TestProgressOnlyOnATerminal runs whole command lines: the pause ends when it was looked at, or at once where nobody
// looks.
func TestProgressOnlyOnATerminal(t *testing.T) {
	tests := []struct {
		name  string
		env   []string
		args  []string
		piped bool
		want  bool
	}{
		{name: "terminal", args: []string{"pause"}, want: true},
		{name: "soft", args: []string{"pause", "--soft"}, want: true},
		{name: "JSON", args: []string{"pause", "-o", "json"}, want: true},
		{name: "piped", args: []string{"pause"}, piped: true},
		{name: "unwanted", args: []string{"pause", "--no-progress"}},
		{name: "dumb", args: []string{"pause"}, env: []string{"TERM=dumb"}},
		{name: "nothing to wait for", args: []string{"pause", "--validate-only"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			looked := make(chan struct{}, 1)
			address := serve(t, &fake{
				pause: func(ctx context.Context, _ *exportgatev1.PauseRequest) (*exportgatev1.PauseResponse, error) {
					if test.want {
						select {
						case <-looked:
						case <-ctx.Done():
						}
					}
					return &exportgatev1.PauseResponse{}, ctx.Err()
				},
				getStatus: func(context.Context) (*exportgatev1.GetStatusResponse, error) {
					select {
					case looked <- struct{}{}:
					default:
					}
					return &exportgatev1.GetStatusResponse{Status: pausedSoFar(1)}, nil
				},
			})
			args := append([]string{"--server", address}, test.args...)
			var got result
			if test.piped {
				got = run(t, test.env, args...)
			} else {
				got = runOnTerminal(t, 80, test.env, args...)
			}
			if got.code != exitOK || strings.HasSuffix(got.stderr, "\r\x1b[K") != test.want {
				t.Errorf("got exit code %d and standard error %q, want a progress bar: %v", got.code, got.stderr, test.want)
			}
		})
	}
}

func connect(t *testing.T, address string) exportgatev1.ExportingServiceClient {
	t.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := connection.Close(); err != nil {
			t.Error(err)
		}
	})
	return exportgatev1.NewExportingServiceClient(connection)
}
