package servertest_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// A mesh makes every call again, twice, whether it was answered or not. That changes nothing in what becomes of it: each
// answer that arrives is the same.
func TestAMeshThatRetries(t *testing.T) {
	t.Parallel()
	type call func(context.Context) servertest.Outcome
	tests := []struct {
		name string
		// thrice asks three times and returns what it was told, as often as it was.
		thrice func(t try, losses *lossyProxy, ask call) []servertest.Outcome
	}{
		{"one after the other", func(t try, _ *lossyProxy, ask call) []servertest.Outcome {
			return []servertest.Outcome{ask(t.Context()), ask(t.Context()), ask(t.Context())}
		}},
		{"at once", func(t try, _ *lossyProxy, ask call) []servertest.Outcome {
			var told []servertest.Outcome
			for _, o := range []<-chan servertest.Outcome{
				later(func() servertest.Outcome { return ask(t.Context()) }),
				later(func() servertest.Outcome { return ask(t.Context()) }),
				later(func() servertest.Outcome { return ask(t.Context()) }),
			} {
				told = append(told, <-o)
			}
			return told
		}},
		{"connections break before the answer", func(t try, losses *lossyProxy, ask call) []servertest.Outcome {
			for range 2 {
				losses.next.Store(true)
				if o := ask(t.Context()); o.OK() || losses.next.Load() {
					t.Fatalf("the answer was not lost: %v", o)
				}
			}
			return []servertest.Outcome{ask(t.Context())}
		}},
		{"callers hang up in the middle", func(t try, _ *lossyProxy, ask call) []servertest.Outcome {
			for i := range 2 {
				ctx, hangUp := context.WithCancel(t.Context())
				timer := time.AfterFunc(time.Duration(10+20*i)*time.Millisecond, hangUp)
				ask(ctx)
				timer.Stop()
				hangUp()
			}
			return []servertest.Outcome{ask(t.Context())}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			on(t, []string{"8.9"}, func(t try) {
				h, _ := t.start(embedded.Options{})
				losses := newLossyProxy(t, h)
				route, err := servertest.Dial(t.door, losses.address())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(route.Close)
				pauses := func(request *exportgatev1.PauseRequest) call {
					return func(ctx context.Context) servertest.Outcome { return route.Pause(ctx, request) }
				}
				resumes := func(request *exportgatev1.ResumeRequest) call {
					return func(ctx context.Context) servertest.Outcome { return route.Resume(ctx, request) }
				}
				uids := map[string]string{}
				for _, step := range []struct {
					call   call
					hold   string // that the answers tell
					reason string
					shows  embedded.Phase
				}{
					{pauses(lasting(place("backup-1", embedded.SoftPaused), time.Hour)), "backup-1", "", embedded.SoftPaused},
					{pauses(soft()), "operator", "", embedded.SoftPaused},
					{pauses(place("backup-2", embedded.SoftPaused)), "backup-2", "", embedded.SoftPaused},
					{resumes(release("backup-2")), "backup-2", "", embedded.SoftPaused},
					{resumes(resume()), "", heldBy, embedded.SoftPaused},
					{resumes(release("backup-1")), "backup-1", "", embedded.Exporting},
					{resumes(resume()), "", "", embedded.Exporting},
				} {
					for _, o := range test.thrice(t, losses, step.call) {
						if o.Err != nil || o.Reason != step.reason || o.Hold.GetId() != step.hold {
							t.Fatalf("of hold %q the answer is %v with %v, want %q", step.hold, o, o.Hold, step.reason)
						}
						if step.hold != "" && uids[step.hold] == "" {
							uids[step.hold] = o.Hold.GetUid()
						}
						if o.Hold.GetUid() != uids[step.hold] {
							t.Errorf("of hold %s the answer has uid %s, want %s", step.hold, o.Hold.GetUid(), uids[step.hold])
						}
					}
					t.awaitQuiet(h, step.shows)
				}
				t.expectHolds(h)
				var ended []*exportgatev1.Hold
				for _, e := range t.status(h).GetHistory() {
					if ended = append(ended, e.GetHold()); e.GetEnd() != exportgatev1.HoldEnd_HOLD_END_RELEASED {
						t.Errorf("a hold ended otherwise: %v", e)
					}
				}
				want := fmt.Sprintf("backup-2 %s, operator %s, backup-1 %s", uids["backup-2"], uids["operator"], uids["backup-1"])
				if got := names(ended); got != want {
					t.Errorf("the holds that ended are %s, want %s", got, want)
				}
			})
		})
	}
}

// lossyProxy stands before a door, and breaks a connection in the place of an answer when it is told to.
type lossyProxy struct {
	listener net.Listener
	door     servertest.Door
	behind   string
	next     atomic.Bool // lose the next answer
	pipes    sync.WaitGroup
}

// newLossyProxy starts a proxy before the test's door. It ends with the test.
func newLossyProxy(t try, h *servertest.Harness) *lossyProxy {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &lossyProxy{listener: l, door: t.door, behind: h.Server.HTTPAddr().String()}
	if t.door == servertest.GRPC {
		p.behind = h.Server.GRPCAddr().String()
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p.pipes.Go(func() { p.accept(ctx) })
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		p.pipes.Wait()
	})
	return p
}

func (p *lossyProxy) address() string { return p.listener.Addr().String() }

func (p *lossyProxy) accept(ctx context.Context) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := new(net.Dialer).DialContext(ctx, "tcp", p.behind)
		if err != nil {
			_ = client.Close()
			continue
		}
		cut := func() { _, _ = client.Close(), server.Close() }
		end := context.AfterFunc(ctx, cut)
		p.pipes.Go(func() {
			_, _ = io.Copy(server, client)
			cut()
		})
		p.pipes.Go(func() {
			defer end()
			defer cut()
			p.passAnswers(client, server)
		})
	}
}

// passAnswers passes what the server sends until an answer is to be lost.
func (p *lossyProxy) passAnswers(client io.Writer, server io.Reader) {
	next := nextBytes
	if p.door == servertest.GRPC {
		next = nextFrame
	}
	for {
		bytes, answer, err := next(server)
		if err != nil || answer && p.next.CompareAndSwap(true, false) {
			return
		}
		if _, err := client.Write(bytes); err != nil {
			return
		}
	}
}

// nextBytes reads on: all that HTTP/1.1 sends belongs to an answer.
func nextBytes(r io.Reader) (bytes []byte, answer bool, err error) {
	bytes = make([]byte, 64<<10)
	n, err := r.Read(bytes)
	return bytes[:n], true, err
}

// nextFrame reads a frame of HTTP/2. An answer begins with one of headers, which has type 1 (RFC 9113, section 4.1).
func nextFrame(r io.Reader) (frame []byte, answer bool, err error) {
	const headers = 1
	var header [9]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, false, err
	}
	payload := make([]byte, binary.BigEndian.Uint32(append([]byte{0}, header[:3]...)))
	_, err = io.ReadFull(r, payload)
	return slices.Concat(header[:], payload), header[3] == headers, err
}

// Two backups that know nothing of each other, at any overlap: each has its pause while it runs, and nobody's ends with
// the other's.
func TestTwoBackupsAtOnce(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.9", "8.10"}, func(t try) {
		h, _ := t.start(embedded.Options{})
		const rounds = 6
		var backups sync.WaitGroup
		for i, door := range servertest.Doors() {
			id := fmt.Sprintf("backup-%d", i+1)
			route := h.Route(t, door)
			chance := rand.New(rand.NewPCG(uint64(i), uint64(len(t.Name()))))
			backups.Go(func() {
				for range rounds {
					t.backUp(h, route, id, chance)
				}
			})
		}
		backups.Wait()
		t.awaitQuiet(h, embedded.Exporting)
		t.expectHolds(h)
		history := t.status(h).GetHistory()
		for _, e := range history {
			if e.GetEnd() != exportgatev1.HoldEnd_HOLD_END_RELEASED {
				t.Errorf("a hold ended otherwise: %v", e)
			}
		}
		if len(history) != 2*rounds {
			t.Errorf("%d holds have ended, want %d", len(history), 2*rounds)
		}
	})
}

// backUp is a backup of a random length.
func (t try) backUp(h *servertest.Harness, route servertest.Route, id string, chance *rand.Rand) {
	t.Helper()
	rest(t.Context(), time.Duration(chance.IntN(150))*time.Millisecond)
	paused := route.Pause(t.Context(), place(id, embedded.SoftPaused))
	begun := h.Astray(embedded.SoftPaused)
	rest(t.Context(), time.Duration(chance.IntN(150))*time.Millisecond)
	ended := h.Astray(embedded.SoftPaused)
	resumed := route.Resume(t.Context(), release(id))
	if paused.Code != codes.OK || len(begun)+len(ended) > 0 {
		t.Errorf("%s began with %v, and these exported: %+v, and later %+v", id, paused, begun, ended)
	}
	if resumed.Code != codes.OK || resumed.Hold.GetUid() != paused.Hold.GetUid() ||
		resumed.Hold.GetContinuity() != exportgatev1.Continuity_CONTINUITY_INTACT {
		t.Errorf("%s of hold %v ended with %v and hold %v", id, paused.Hold, resumed, resumed.Hold)
	}
}
