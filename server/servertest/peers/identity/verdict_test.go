package identity_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/audit"
	"github.com/exportgate/exportgate/server/internal/auth"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
	"google.golang.org/grpc/codes"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/exportgate/exportgate/server/servertest/peers/provider"
)

// try does an operation as a caller, if its door has it.
func (c *client) try(t *testing.T, o *operation, s scene) (a answer, there bool) {
	t.Helper()
	switch method, path, _ := strings.Cut(o.http, " "); {
	case c.door == servertest.GRPC && o.method != "":
		return c.invoke(t, o.method, o.request(s)), true
	case c.door == servertest.HTTP && o.http != "":
		var response proto.Message
		if o.request != nil {
			response = newMessage(t, methodOf(t, o.method).Output())
			if method == http.MethodPost {
				path += query(o.request(s))
			}
		}
		return c.do(t, method, path, response, o.accept), true
	}
	return answer{}, false
}

// expect fails the test unless an answer is what a caller is to be told.
func expect(t *testing.T, by *caller, a answer, want verdict) {
	t.Helper()
	if a.err != nil || a.code != want.code || a.reason != want.reason && !a.bare {
		t.Errorf("got %v, want %v %s", a, want.code, want.reason)
	}
	challenge := ""
	if a.http == http.StatusUnauthorized {
		challenge = `Bearer realm="exportgate"`
		if strings.HasPrefix(by.shows.headers.Get("Authorization"), "Bearer") {
			challenge += `, error="invalid_token"`
		}
	}
	if a.challenge != challenge {
		t.Errorf("WWW-Authenticate is %q, want %q", a.challenge, challenge)
	}
	if want == who && strings.Contains(a.message, "JWT") {
		t.Errorf("the message tells what was wrong with it: %s", a.message)
	}
}

// TestVerdicts is the table: every operation, as every kind of caller, through both doors. First all that is to be refused,
// after which nothing may be other than it was; then all that is allowed; and last what ends every hold.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	p := provider.Start(t)
	old := p.Token(t, member("operator"))
	p.Rotate(t)
	w := start(t, p)
	w.secrets.add("a token with the old key", old)
	callers := w.callers(t, old)
	theirs := w.place(t, "theirs")
	w.place(t, "ended")
	w.release(t, "ended")
	w.await(t, "the hold is known to be intact", func() bool { return w.intact(t) })
	before := w.ledger(t)

	t.Run("refused", func(t *testing.T) {
		s := scene{own: "own", theirs: "theirs", ended: "ended", ownUID: theirs.GetUid(), theirUID: theirs.GetUid()}
		w.each(t, callers, func(t *testing.T, by *caller, door servertest.Door) {
			t.Helper()
			w.tryRefused(t, by, door, s)
		})
	})
	if after := w.ledger(t); after != before {
		t.Errorf("refused calls changed something. Before:\n%s\nafter:\n%s", before, after)
	}
	if astray := w.astray(embedded.Paused); astray > 0 {
		t.Errorf("refused calls moved %d replicas", astray)
	}
	var alone sync.Mutex
	t.Run("allowed", func(t *testing.T) {
		w.each(t, callers, func(t *testing.T, by *caller, door servertest.Door) {
			t.Helper()
			w.tryAllowed(t, by, door, &alone)
		})
	})
	t.Run("last", func(t *testing.T) { w.tryLast(t, callers) })
}

// each runs a test for each caller at each door.
func (w *world) each(t *testing.T, callers []caller, run func(*testing.T, *caller, servertest.Door)) {
	t.Helper()
	for i := range callers {
		for _, door := range servertest.Doors() {
			t.Run(fmt.Sprintf("%s/%s", callers[i].name, door), func(t *testing.T) {
				t.Parallel()
				run(t, &callers[i], door)
			})
		}
	}
}

func (w *world) tryRefused(t *testing.T, by *caller, door servertest.Door, s scene) {
	t.Helper()
	c, tried := w.dial(t, door, by.shows), 0
	for _, o := range operations() {
		if o.verdicts[by.is].changes() {
			continue
		}
		const enough = 20 // Of what is not valid, more from one address would not even be looked at.
		if tried++; tried%enough == 0 {
			c = w.dial(t, door, by.shows)
		}
		t.Run(o.name, func(t *testing.T) {
			if a, there := c.try(t, &o, s); there {
				expect(t, by, a, o.verdicts[by.is])
			}
		})
	}
}

// tryAllowed has holds of its own, so that callers do not meet.
func (w *world) tryAllowed(t *testing.T, by *caller, door servertest.Door, alone *sync.Mutex) {
	t.Helper()
	c := w.dial(t, door, by.shows)
	id := strings.NewReplacer(" ", "-", ",", "", "'", "", "gRPC", "g", "HTTP", "h").Replace(by.name + "-" + string(door))
	s := scene{own: "own-" + id, theirs: "theirs-" + id, ended: "ended"}
	if by.is == operator {
		s.theirUID = w.place(t, s.theirs).GetUid()
	}
	for _, o := range operations() {
		if !o.verdicts[by.is].changes() || o.last {
			continue
		}
		t.Run(o.name, func(t *testing.T) {
			if o.alone {
				alone.Lock()
				defer alone.Unlock()
			}
			a, there := c.try(t, &o, s)
			if !there {
				return
			}
			expect(t, by, a, o.verdicts[by.is])
			if h := a.hold(); h.GetId() == s.own && h.GetUid() != "" {
				s.ownUID = h.GetUid()
			}
			if o.check != nil && a.code == codes.OK {
				o.check(t, by, a)
			}
		})
	}
}

// tryLast is what operators alone may do, and after which nobody holds anything.
func (w *world) tryLast(t *testing.T, callers []caller) {
	t.Helper()
	for i := range callers {
		by := &callers[i]
		for _, door := range servertest.Doors() {
			for _, o := range operations() {
				if by.is != operator || !o.last {
					continue
				}
				w.place(t, "theirs")
				t.Run(fmt.Sprintf("%s/%s/%s", by.name, door, o.name), func(t *testing.T) {
					a, there := w.dial(t, door, by.shows).try(t, &o, scene{})
					if !there {
						t.Fatal("this door does not have it")
					}
					expect(t, by, a, o.verdicts[by.is])
					if astray := w.astray(embedded.Exporting); astray > 0 {
						t.Errorf("%d replicas do not export", astray)
					}
				})
			}
		}
	}
}

// place places a hold of a neighbour's, who is a holder that does nothing else, and release releases it.
func (w *world) place(t *testing.T, id string) *exportgatev1.Hold {
	t.Helper()
	a := w.dial(t, servertest.GRPC, w.static("neighbour")).invoke(t, methodPause, &exportgatev1.PauseRequest{Hold: id})
	if a.code != codes.OK {
		t.Fatalf("place %s: %v", id, a)
	}
	return a.hold()
}

func (w *world) release(t *testing.T, id string) {
	t.Helper()
	a := w.dial(t, servertest.GRPC, w.static("neighbour")).invoke(t, methodResume, &exportgatev1.ResumeRequest{Hold: id})
	if a.code != codes.OK {
		t.Fatalf("release %s: %v", id, a)
	}
}

// await waits until something is true, which it will be unless the test fails.
func (*world) await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	servertest.Await(t, what, condition)
}

// status is what an operator sees.
func (w *world) status(t *testing.T) *exportgatev1.Status {
	t.Helper()
	a := w.dial(t, servertest.GRPC, w.static("operator")).invoke(t, methodStatus, &exportgatev1.GetStatusRequest{})
	response, _ := a.response.(*exportgatev1.GetStatusResponse)
	if a.code != codes.OK {
		t.Fatalf("the status: %v", a)
	}
	return response.GetStatus()
}

func (w *world) intact(t *testing.T) bool {
	t.Helper()
	for _, h := range w.status(t).GetHolds() {
		if h.GetContinuity() != exportgatev1.Continuity_CONTINUITY_INTACT {
			return false
		}
	}
	return true
}

// ledger is what must not change: every hold as it is, those that have ended, and how often the ledger was written and
// brokers were asked to change.
func (w *world) ledger(t *testing.T) string {
	t.Helper()
	status := w.status(t)
	return fmt.Sprintf("holds %v\nhistory %v\nevents %v\nwritten %d times, brokers %d times", status.GetHolds(), status.GetHistory(),
		len(status.GetEvents()), len(w.lines(t, audit.KindChange)), len(w.cluster.Writes()))
}

func (w *world) astray(phase embedded.Phase) int {
	astray := 0
	for _, r := range w.cluster.Replicas() {
		if r.Phase != phase {
			astray++
		}
	}
	return astray
}

// TestEveryOperationHasVerdicts: what the server serves, as it tells itself, is in the table, so that nothing new is served
// of which nobody has said who may have it.
func TestEveryOperationHasVerdicts(t *testing.T) {
	t.Parallel()
	w := start(t, provider.Start(t))
	named := map[string]bool{}
	for _, o := range operations() {
		named[o.method] = true
		_, path, _ := strings.Cut(o.http, " ")
		named[o.http], named[strings.TrimSuffix(path, "/")] = true, true
	}
	for _, method := range w.methods(t) {
		if !named[method] {
			t.Errorf("gRPC method %s has no verdicts", method)
		}
	}
	for _, operation := range auth.Operations() { // Those of one kind share a permission, as /loggers/zeebe has that of /loggers.
		if !slices.ContainsFunc(slices.Collect(maps.Keys(named)), func(name string) bool { return strings.HasPrefix(name, operation) }) {
			t.Errorf("%s is in the table of permissions, and has no verdicts", operation)
		}
	}
	shows := w.dial(t, servertest.HTTP, w.static("viewer"))
	for operation := range w.described(t, shows) {
		if !named[operation] {
			t.Errorf("%s has no verdicts", operation)
		}
	}
}

// methods are those of all services that the server says it has.
func (w *world) methods(t *testing.T) []string {
	t.Helper()
	a := w.dial(t, servertest.GRPC, w.static("viewer")).invoke(t, reflectionv1.ServerReflection_ServerReflectionInfo_FullMethodName,
		&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{ListServices: "*"}})
	response, _ := a.response.(*reflectionv1.ServerReflectionResponse)
	var methods []string
	for _, service := range response.GetListServicesResponse().GetService() {
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service.GetName()))
		if err != nil {
			t.Fatal(err)
		}
		described, is := found.(protoreflect.ServiceDescriptor)
		if !is {
			t.Fatalf("%s is no service", service.GetName())
		}
		for i := range described.Methods().Len() {
			methods = append(methods, fmt.Sprintf("/%s/%s", service.GetName(), described.Methods().Get(i).Name()))
		}
	}
	if len(methods) < len([]string{methodPause, methodResume, methodStatus, methodWatch}) {
		t.Fatalf("the server says that it has %q", methods)
	}
	return methods
}

// described are the operations that the server's own description of HTTP has, with an example for what may be any word.
func (w *world) described(t *testing.T, c *client) map[string]bool {
	t.Helper()
	raw := c.raw(t, "/openapi")
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(raw, &document); err != nil || len(document.Paths) == 0 {
		t.Fatalf("the description has no paths: %v", err)
	}
	operations := map[string]bool{}
	for path, methods := range document.Paths {
		path = strings.NewReplacer("/health/{component}", "/health/store", "{name}", "zeebe").Replace(path)
		for method := range methods {
			operations[strings.ToUpper(method)+" "+path] = true
		}
	}
	return operations
}
