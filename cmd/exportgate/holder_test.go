package main

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// holder is a server with one hold. What is nil goes well.
type holder struct {
	mu    sync.Mutex
	calls []string
	// lifetime is the time to live that it grants; an hour if it is zero.
	lifetime time.Duration
	place    func(ctx context.Context) error
	renew    func(number int) (exportgatev1.Continuity, error)
	release  func(number int) (exportgatev1.Continuity, error)
	// status answers the looks from the second on: the first is for a hold that lives already.
	status *exportgatev1.Status
	taken  []*exportgatev1.Hold
	// uid is that of the hold that is released.
	uid string
}

func (h *holder) called(what string) (number int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, what)
	return strings.Count(strings.Join(h.calls, " "), what)
}

func (h *holder) serve(t *testing.T) string {
	t.Helper()
	hold := func(continuity exportgatev1.Continuity) *exportgatev1.Hold {
		now := time.Now()
		lifetime := h.lifetime
		if lifetime == 0 {
			lifetime = time.Hour
		}
		return &exportgatev1.Hold{
			Id: "backup-42", Uid: "U1", CreateTime: timestamppb.New(now), ExpireTime: timestamppb.New(now.Add(lifetime)),
			Continuity: continuity, Evidence: []string{"a leader\x1b exports"},
		}
	}
	return serve(t, &fake{
		getStatus: func(context.Context) (*exportgatev1.GetStatusResponse, error) {
			if h.called("status") == 1 {
				return &exportgatev1.GetStatusResponse{Status: &exportgatev1.Status{Holds: h.taken}}, nil
			}
			if h.status == nil {
				return nil, errNoAnswer
			}
			return &exportgatev1.GetStatusResponse{Status: h.status}, nil
		},
		pause: func(ctx context.Context, r *exportgatev1.PauseRequest) (*exportgatev1.PauseResponse, error) {
			continuity, err := exportgatev1.Continuity_CONTINUITY_INTACT, error(nil)
			switch {
			case r.GetRenew() == "U1":
				if number := h.called("renew"); h.renew != nil {
					continuity, err = h.renew(number)
				}
			case r.GetHold() == "backup-42" && r.GetSoft() && r.GetReason() == "nightly" &&
				r.GetTtl().AsDuration() == 10*time.Minute && r.GetOnFailure() == exportgatev1.OnFailure_ON_FAILURE_REVERT:
				if h.called("place"); h.place != nil {
					err = h.place(ctx)
				}
			default:
				t.Errorf("asked for %v", r)
			}
			return &exportgatev1.PauseResponse{Hold: hold(continuity)}, err
		},
		resume: func(_ context.Context, r *exportgatev1.ResumeRequest) (*exportgatev1.ResumeResponse, error) {
			if r.GetHold() != "backup-42" || r.GetForce() {
				t.Errorf("asked for %v", r)
			}
			continuity, err := exportgatev1.Continuity_CONTINUITY_INTACT, error(nil)
			if number := h.called("release"); h.release != nil {
				continuity, err = h.release(number)
			}
			released := hold(continuity)
			if h.uid != "" {
				released.Uid = h.uid
			}
			return &exportgatev1.ResumeResponse{Released: released}, err
		},
	})
}

// refuses fails with a reason, for ever.
func refuses(code codes.Code, name string, metadata map[string]string) func(int) (exportgatev1.Continuity, error) {
	st, err := status.New(code, "no: "+name).WithDetails(reason(name, metadata))
	if err == nil {
		err = st.Err()
	}
	return func(int) (exportgatev1.Continuity, error) { return 0, err }
}

// answers is always the same.
func answers(continuity exportgatev1.Continuity) func(int) (exportgatev1.Continuity, error) {
	return func(int) (exportgatev1.Continuity, error) { return continuity, nil }
}

// onceAway is away at the first call.
func onceAway(number int) (exportgatev1.Continuity, error) {
	if number == 1 {
		return 0, status.Error(codes.Unavailable, "away")
	}
	return exportgatev1.Continuity_CONTINUITY_INTACT, nil
}

func past(uid string, end exportgatev1.HoldEnd, continuity exportgatev1.Continuity) *exportgatev1.Status {
	return &exportgatev1.Status{History: []*exportgatev1.EndedHold{
		{Hold: &exportgatev1.Hold{Id: "backup-42", Uid: uid, Continuity: continuity}, End: end},
	}}
}

// run runs a command under the hold.
func (h *holder) run(t *testing.T, command, flags string, s os.Signal, shared bool) result {
	t.Helper()
	part, args, _ := strings.Cut(command, " ")
	line := append([]string{"hold", "backup-42", "--soft", "--ttl=10m", "--reason=nightly", "--server", h.serve(t)},
		strings.Fields(flags)...)
	line = append(append(line, "--", os.Args[0]), strings.Fields(args)...)
	signals := make(chan os.Signal, 1)
	stdout := &untilSaid{text: "ready", then: func() {
		if s != nil {
			signals <- s
		}
	}}
	var stderr strings.Builder
	con := console{
		// The race detector's second of rest at the end would be all the time that these tests take.
		env:    append(os.Environ(), "EXPORTGATE_TEST_COMMAND="+part, "GORACE=atexit_sleep_ms=0"),
		stdin:  strings.NewReader("what it reads"),
		stdout: screen{Writer: stdout}, stderr: screen{Writer: &stderr}, interactive: shared,
		signals: func() (<-chan os.Signal, func()) { return signals, func() {} },
	}
	code := execute(t.Context(), newRootCommand(con), line)
	return result{code, stdout.String(), stderr.String()}
}
