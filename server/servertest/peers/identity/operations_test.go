package identity_test

import (
	"testing"
	"time"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// verdict is what a caller is told.
type verdict struct {
	code   codes.Code
	reason string
}

// The verdicts. Somebody who is let in may still be told no, for another reason than who it is.
var (
	ok      = verdict{codes.OK, ""}
	who     = verdict{codes.Unauthenticated, "UNAUTHENTICATED"}
	denied  = verdict{codes.PermissionDenied, "PERMISSION_DENIED"}
	held    = verdict{codes.FailedPrecondition, "HELD_BY_OTHERS"}
	missing = verdict{codes.NotFound, "HOLD_NOT_FOUND"}
	hidden  = verdict{codes.NotFound, ""}
)

// changes reports whether whoever is told this may have changed something.
func (v verdict) changes() bool { return v != who && v != denied }

// verdicts are what callers are told, by their standing.
type verdicts [standings]verdict

// scene is what an operation is tried on: holds that are there for one caller at one door.
type scene struct {
	own, theirs, ended string // ids of holds
	ownUID, theirUID   string
}

// operation is something that a server can be asked for, and what each kind of caller is told.
type operation struct {
	name string
	// method is its gRPC method, and request what it is asked; empty where only HTTP has it.
	method  string
	request func(scene) proto.Message
	// http is its method and path below the base path, where it has one; accept what kind of answer is asked for.
	http, accept string
	// alone is true where others must not do the same meanwhile, last where there is nothing left to try afterwards.
	alone, last bool
	check       func(t *testing.T, by *caller, a answer)
	verdicts
}

const (
	methodPause  = exportgatev1.ExportingService_Pause_FullMethodName
	methodResume = exportgatev1.ExportingService_Resume_FullMethodName
	methodStatus = exportgatev1.ExportingService_GetStatus_FullMethodName
	methodWatch  = exportgatev1.ExportingService_WatchStatus_FullMethodName
	httpPause    = "POST /exporting/pause"
	httpResume   = "POST /exporting/resume"
	httpWatch    = "GET /exporting/watch"
)

// operations is the table: every operation, in an order in which one caller can do all that it may, and what is said to
// those who are unknown, have no role, are viewers, holders and operators.
func operations() []operation {
	pause := func(name string, request func(scene) proto.Message, v verdicts) operation {
		return operation{name: "pause, " + name, method: methodPause, request: request, http: httpPause, verdicts: v}
	}
	resume := func(name string, request func(scene) proto.Message, v verdicts) operation {
		return operation{name: "resume, " + name, method: methodResume, request: request, http: httpResume, verdicts: v}
	}
	alone := func(o operation) operation { o.alone = true; return o }
	last := func(o operation) operation { o.last = true; return o }
	ofOperators, ofHolders := verdicts{who, denied, denied, denied, ok}, verdicts{who, denied, denied, ok, ok}
	own := pause("a hold of one's own", func(s scene) proto.Message {
		return &exportgatev1.PauseRequest{Hold: s.own, Ttl: durationpb.New(2 * holderTTL), Reason: "mine"}
	}, ofHolders)
	own.check = checkOwn
	theirs := pause("another's hold", func(s scene) proto.Message {
		return &exportgatev1.PauseRequest{Hold: s.theirs, Reason: "yours"}
	}, ofOperators)
	theirs.check = checkTheirs
	all := []operation{
		pause("the anonymous hold, to check", func(scene) proto.Message { return &exportgatev1.PauseRequest{ValidateOnly: true} }, ofOperators),
		pause("a hold of one's own, to check", func(s scene) proto.Message {
			return &exportgatev1.PauseRequest{Hold: s.own, ValidateOnly: true}
		}, ofHolders),
		pause("another's hold, to check", func(s scene) proto.Message {
			return &exportgatev1.PauseRequest{Hold: s.theirs, ValidateOnly: true}
		}, ofOperators),
		alone(pause("the anonymous hold", func(scene) proto.Message { return &exportgatev1.PauseRequest{} }, ofOperators)),
		alone(pause("the anonymous hold by its name", func(scene) proto.Message { return &exportgatev1.PauseRequest{Hold: "operator"} }, ofOperators)),
		own, theirs,
		pause("renew one's own", func(s scene) proto.Message {
			return &exportgatev1.PauseRequest{Renew: s.ownUID, Ttl: durationpb.New(2 * holderTTL)}
		}, ofHolders),
		pause("renew another's", func(s scene) proto.Message { return &exportgatev1.PauseRequest{Renew: s.theirUID} }, ofOperators),
		pause("renew another's, to check", func(s scene) proto.Message {
			return &exportgatev1.PauseRequest{Renew: s.theirUID, ValidateOnly: true}
		}, ofOperators),
		pause("renew what never was", func(scene) proto.Message { return &exportgatev1.PauseRequest{Renew: "NEVER"} },
			verdicts{who, denied, denied, missing, missing}),

		resume("the anonymous hold, to check", func(scene) proto.Message { return &exportgatev1.ResumeRequest{ValidateOnly: true} },
			verdicts{who, denied, denied, denied, held}),
		resume("one's own, to check", func(s scene) proto.Message {
			return &exportgatev1.ResumeRequest{Hold: s.own, ValidateOnly: true}
		}, ofHolders),
		resume("another's, to check", func(s scene) proto.Message {
			return &exportgatev1.ResumeRequest{Hold: s.theirs, ValidateOnly: true}
		}, ofOperators),
		resume("all by force, to check", func(scene) proto.Message {
			return &exportgatev1.ResumeRequest{Force: true, ValidateOnly: true}
		}, ofOperators),
		alone(resume("the anonymous hold", func(scene) proto.Message { return &exportgatev1.ResumeRequest{} },
			verdicts{who, denied, denied, denied, held})),
		alone(resume("the anonymous hold by its name", func(scene) proto.Message { return &exportgatev1.ResumeRequest{Hold: "operator"} },
			verdicts{who, denied, denied, denied, held})),
		resume("another's that has ended", func(s scene) proto.Message { return &exportgatev1.ResumeRequest{Hold: s.ended} }, ofOperators),
		resume("one's own", func(s scene) proto.Message { return &exportgatev1.ResumeRequest{Hold: s.own} }, ofHolders),
		resume("another's", func(s scene) proto.Message { return &exportgatev1.ResumeRequest{Hold: s.theirs} }, ofOperators),
		last(resume("all by force", func(scene) proto.Message { return &exportgatev1.ResumeRequest{Force: true} }, ofOperators)),
	}
	return append(all, reads()...)
}

// reads are the operations that only look, and those that are not about exporting.
func reads() []operation {
	looks, open := verdicts{who, denied, ok, ok, ok}, verdicts{ok, ok, ok, ok, ok}
	just := func(message proto.Message) func(scene) proto.Message {
		return func(scene) proto.Message { return message }
	}
	const lines, events, page = "application/x-ndjson", "text/event-stream", "text/html"
	watch := just(&exportgatev1.WatchStatusRequest{})
	return []operation{
		{name: "status", method: methodStatus, request: just(&exportgatev1.GetStatusRequest{}), http: "GET /exporting", verdicts: looks},
		{name: "status, its header", http: "HEAD /exporting", verdicts: looks},
		{name: "watch by lines", method: methodWatch, request: watch, http: httpWatch, accept: lines, verdicts: looks},
		{name: "watch by events", http: httpWatch, accept: events, verdicts: looks},

		{name: "health", method: healthv1.Health_Check_FullMethodName, request: just(&healthv1.HealthCheckRequest{}), http: "GET /health", verdicts: open},
		{name: "health, watched", method: healthv1.Health_Watch_FullMethodName, request: just(&healthv1.HealthCheckRequest{}), verdicts: open},
		{name: "health, listed", method: healthv1.Health_List_FullMethodName, request: just(&healthv1.HealthListRequest{}), verdicts: open},
		{name: "health, liveness", http: "GET /health/liveness", verdicts: open},
		{name: "health, readiness", http: "GET /health/readiness", verdicts: open},
		{name: "health, startup", http: "GET /health/startup", verdicts: open},
		{name: "health, a component", http: "GET /health/store", verdicts: verdicts{hidden, hidden, ok, ok, ok}},

		{
			name: "reflection", method: reflectionv1.ServerReflection_ServerReflectionInfo_FullMethodName, verdicts: looks,
			request: just(&reflectionv1.ServerReflectionRequest{
				MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{ListServices: "*"},
			}),
		},
		{
			name: "reflection of old", method: reflectionv1alpha.ServerReflection_ServerReflectionInfo_FullMethodName, verdicts: looks,
			request: just(&reflectionv1alpha.ServerReflectionRequest{ //nolint:staticcheck // Old clients ask so.
				MessageRequest: &reflectionv1alpha.ServerReflectionRequest_ListServices{ListServices: "*"}, //nolint:staticcheck // As above.
			}),
		},

		{name: "links", http: "GET /", verdicts: looks},
		{name: "info", http: "GET /info", verdicts: looks},
		{name: "metrics", http: "GET /prometheus", verdicts: looks},
		{name: "loggers", http: "GET /loggers", verdicts: looks},
		{name: "logger", http: "GET /loggers/zeebe", verdicts: looks},
		{name: "logger, changed", http: "POST /loggers/zeebe", verdicts: verdicts{who, denied, denied, denied, ok}},
		{name: "OpenAPI", http: "GET /openapi", verdicts: looks},
		{name: "OpenAPI in a browser", http: "GET /openapi", accept: page, verdicts: looks},
		{name: "OpenAPI's page", http: "GET /openapi/ui", accept: page, verdicts: looks},
	}
}

// checkOwn: a hold is whose it was proven to be, and a holder's does not last longer than it may.
func checkOwn(t *testing.T, by *caller, a answer) {
	t.Helper()
	h := a.hold()
	if h.GetOwner() != by.proven {
		t.Errorf("the hold belongs to %q, want %q", h.GetOwner(), by.proven)
	}
	want := 2 * holderTTL
	if by.is == holder {
		want = holderTTL
	}
	if lives := h.GetExpireTime().AsTime().Sub(h.GetCreateTime().AsTime()); lives < want-time.Second || lives > want+time.Second {
		t.Errorf("the hold lives for %v, want %v", lives, want)
	}
}

// checkTheirs: whoever renews a hold does not become its owner.
func checkTheirs(t *testing.T, _ *caller, a answer) {
	t.Helper()
	if owner := a.hold().GetOwner(); owner != "token:neighbour" {
		t.Errorf("the hold belongs to %q, want the one who placed it", owner)
	}
}
