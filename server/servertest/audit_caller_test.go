package servertest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/servertest"
)

// known is a caller of the audit test: somebody with a token, and what the audit log has to say of it.
type known struct {
	name, role string // as the log has them; no name where nobody is proven
	who        servertest.Identity
	random     *rand.Rand
	calls      []*remembered
	uids       []string // of holds that it has seen
}

// remembered is a call that was made, and what it was told.
type remembered struct {
	id, operation, hold string
	door                servertest.Door
	changes             bool // it may change something, as far as its operation goes
	code                codes.Code
	reason              string
	answered            bool   // what it was told is the server's word
	uid                 string // of the hold that it was told of
	life                string // of the server that it called
}

// reached are the ways to one server.
type reached struct {
	life   string
	routes map[servertest.Door]servertest.Route
	client *http.Client
	base   string
}

// reach dials a server. What is dialled ends with it.
func (k *known) reach(p *proxy, life string) (*reached, error) {
	r := &reached{life: life, routes: map[servertest.Door]servertest.Route{}}
	for _, door := range servertest.Doors() {
		route, err := servertest.DialAs(door, p.address(door), k.who)
		if err != nil {
			return nil, err
		}
		r.routes[door] = route
	}
	client, scheme := k.who.Client()
	r.client, r.base = client, scheme+"://"+p.address(servertest.HTTP)+"/actuator"
	return r, nil
}

func (r *reached) close() {
	for _, route := range r.routes {
		route.Close()
	}
	r.client.CloseIdleConnections()
}

// call makes a random call of any kind, valid or not.
func (k *known) call(ctx context.Context, r *reached) *remembered {
	c := &remembered{
		id: fmt.Sprintf("%s-%s-%d", r.life, strings.TrimPrefix(k.who.Headers.Get("X-Who"), ":"), len(k.calls)), life: r.life,
		door: servertest.Doors()[k.random.IntN(2)], changes: true,
	}
	k.calls = append(k.calls, c)
	ctx = metadata.AppendToOutgoingContext(ctx, "x-request-id", c.id)
	patience := time.Minute
	if k.random.IntN(20) == 0 {
		patience = time.Duration(1+k.random.IntN(300)) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch n := k.random.IntN(20); {
	case n < 9:
		request := k.pause()
		c.operation, c.hold = exportgatev1.ExportingService_Pause_FullMethodName, request.GetHold()
		c.told(r.routes[c.door].Pause(ctx, request))
	case n < 15:
		request := k.resume()
		c.operation, c.hold = exportgatev1.ExportingService_Resume_FullMethodName, request.GetHold()
		c.told(r.routes[c.door].Resume(ctx, request))
	case n < 17:
		c.operation, c.changes = exportgatev1.ExportingService_GetStatus_FullMethodName, false
		o := r.routes[c.door].GetStatus(ctx)
		c.told(o)
		for _, h := range o.Status.GetHolds() {
			k.uids = append(k.uids, h.GetUid())
		}
	case n < 18:
		c.operation, c.door = exportgatev1.ExportingService_Pause_FullMethodName, servertest.HTTP
		c.heard(r.post(ctx, "/exporting/pause?soff=true", ""))
	default:
		c.operation, c.door = "POST /loggers", servertest.HTTP
		c.heard(r.post(ctx, "/loggers/ROOT", `{"configuredLevel":"INFO"}`))
	}
	if c.uid != "" {
		k.uids = append(k.uids, c.uid)
	}
	return c
}

// pause is any pause, of holds that are its own or others', with parameters that make sense or do not.
func (k *known) pause() *exportgatev1.PauseRequest {
	if k.random.IntN(8) == 0 {
		return &exportgatev1.PauseRequest{Renew: k.anyUID(), Ttl: durationpb.New(time.Hour)}
	}
	request := &exportgatev1.PauseRequest{
		Hold: k.anyHold(), Soft: k.random.IntN(4) > 0, Reason: pick(k.random, "", "nightly \"backup\"", "línea\x1b[31m", strings.Repeat("long ", 10)),
		OnFailure: exportgatev1.OnFailure(k.random.Int32N(3)), ValidateOnly: k.random.IntN(10) == 0,
	}
	if k.random.IntN(3) > 0 {
		request.Ttl = durationpb.New(pick(k.random, 100*time.Millisecond, 300*time.Millisecond, time.Second, time.Hour, time.Hour, -time.Second, 0, 1000*time.Hour))
	}
	return request
}

func (k *known) resume() *exportgatev1.ResumeRequest {
	return &exportgatev1.ResumeRequest{
		Hold: k.anyHold(), Force: k.random.IntN(10) == 0, ValidateOnly: k.random.IntN(10) == 0,
	}
}

// anyHold is a name that callers share, one that is the caller's alone, none, or one that cannot be.
func (k *known) anyHold() string {
	return pick(k.random, "shared-1", "shared-2", "of-"+k.who.Headers.Get("X-Who"), "of-"+k.who.Headers.Get("X-Who"), "", hold.Operator, "no name!")
}

func (k *known) anyUID() string {
	if len(k.uids) == 0 {
		return "NONE"
	}
	return k.uids[len(k.uids)-1-k.random.IntN(min(5, len(k.uids)))]
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

// told keeps an answer. What a client says by itself, when the server is gone or its own time is over, is none.
func (c *remembered) told(o servertest.Outcome) {
	c.code, c.reason, c.uid = o.Code, o.Reason, o.Hold.GetUid()
	c.answered = o.OK() || o.Err == nil && o.Reason != ""
}

// heard keeps an answer of HTTP alone.
func (c *remembered) heard(status int, err error) {
	c.answered = err == nil
	switch status {
	case http.StatusOK, http.StatusNoContent:
		c.code = codes.OK
	case http.StatusBadRequest:
		c.code = codes.InvalidArgument
	case http.StatusUnauthorized:
		c.code = codes.Unauthenticated
	case http.StatusForbidden:
		c.code = codes.PermissionDenied
	default:
		c.answered = false
	}
}

// post sends what no [servertest.Route] would.
func (r *reached) post(ctx context.Context, path, body string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := r.client.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20))
	return answer.StatusCode, errors.Join(err, answer.Body.Close())
}
