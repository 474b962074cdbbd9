package auth

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/reflect/protoreflect"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/caller"
)

// Every method of every service that is served is in the table; whoever adds one has to say who may call it.
func TestEveryMethodIsInTheTable(t *testing.T) {
	methods := 0
	for _, file := range []protoreflect.FileDescriptor{
		exportgatev1.File_exportgate_v1_exporting_service_proto, grpc_health_v1.File_grpc_health_v1_health_proto,
		grpc_reflection_v1.File_grpc_reflection_v1_reflection_proto, grpc_reflection_v1alpha.File_grpc_reflection_v1alpha_reflection_proto,
	} {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				methods++
				name := "/" + string(service.FullName()) + "/" + string(service.Methods().Get(j).Name())
				if p := permissions()[name]; !p.open && p.role == caller.None {
					t.Errorf("%s is not in the table", name)
				}
			}
		}
	}
	if methods < 9 {
		t.Errorf("only %d methods were found", methods)
	}
}

// The table, once more, by who may.
func TestPermissions(t *testing.T) {
	const service = "/exportgate.v1.ExportingService/"
	none, viewer, holder, operator, nobody := caller.None, caller.Viewer, caller.Holder, caller.Operator, caller.Operator+1
	tests := []struct {
		operation string
		request   any
		least     caller.Role
	}{
		{service + "GetStatus", &exportgatev1.GetStatusRequest{}, viewer},
		{service + "WatchStatus", nil, viewer},
		{service + "Pause", &exportgatev1.PauseRequest{Hold: "backup"}, holder},
		{service + "Pause", &exportgatev1.PauseRequest{Hold: "backup", ValidateOnly: true}, holder},
		{service + "Pause", &exportgatev1.PauseRequest{Renew: "uid"}, holder},
		{service + "Pause", &exportgatev1.PauseRequest{}, operator},
		{service + "Pause", &exportgatev1.PauseRequest{Hold: "operator"}, operator},
		{service + "Pause", &exportgatev1.PauseRequest{ValidateOnly: true}, operator},
		{service + "Pause", &exportgatev1.ResumeRequest{Hold: "backup"}, operator},
		{service + "Pause", nil, operator},
		{service + "Resume", &exportgatev1.ResumeRequest{Hold: "backup"}, holder},
		{service + "Resume", &exportgatev1.ResumeRequest{}, operator},
		{service + "Resume", &exportgatev1.ResumeRequest{Hold: "operator"}, operator},
		{service + "Resume", &exportgatev1.ResumeRequest{Force: true}, operator},
		{service + "Resume", &exportgatev1.ResumeRequest{Hold: "backup", Force: true}, operator},
		{service + "Resume", (*exportgatev1.ResumeRequest)(nil), operator},
		{service + "Resume", nil, operator},
		{"/grpc.health.v1.Health/Check", nil, none},
		{"/grpc.health.v1.Health/Watch", nil, none},
		{"/grpc.health.v1.Health/List", nil, none},
		{"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", nil, viewer},
		{"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", nil, viewer},
		{"GET /", nil, viewer},
		{"GET /health", nil, none},
		{"GET /health/liveness", nil, nobody},
		{"GET /info", nil, viewer},
		{"GET /prometheus", nil, viewer},
		{"GET /loggers", nil, viewer},
		{"GET /loggers/reconcile", nil, nobody},
		{"GET /openapi", nil, viewer},
		{"GET /openapi/ui", nil, nobody},
		{"POST /loggers", nil, operator},
		{"POST /loggers/reconcile", nil, nobody},
		{"", nil, nobody},
		{" ", nil, nobody},
		{"GET", nil, nobody},
		{"GET /healthy", nil, nobody},
		{"POST /health", nil, nobody},
		{"GET /prometheus/x", nil, nobody},
		{"POST /", nil, nobody},
		{"PUT /loggers", nil, nobody},
		{"GET /exporting", nil, nobody},
		{"get /health", nil, nobody},
		{"GET  /health", nil, nobody},
		{service + "pause", nil, nobody},
		{service + "Pause/", nil, nobody},
		{service + "Drop", nil, nobody},
		{"/exportgate.v2.ExportingService/Pause", nil, nobody},
	}
	table := permissions()
	for _, test := range tests {
		for role := none; role <= operator; role++ {
			reason := table[test.operation].refuses(caller.Caller{Name: "token:a", Role: role}, test.request)
			if allowed := reason == ""; allowed != (role >= test.least) {
				t.Errorf("%v may do %q, %v: %v %s", role, test.operation, test.request, allowed, reason)
			}
		}
	}
}

// Who is known and may not is told who it is, what it may not do and what to do; the caller is known to the log.
func TestDenied(t *testing.T) {
	token, hash := NewToken()
	g := newIdleGuard(t, nil, Options{TokensFile: tokenFile(t, "backup "+hash), Roles: Roles{Holder: []string{"token:backup"}}})
	operation := exportgatev1.ExportingService_Resume_FullMethodName
	who, err := g.Admit(t.Context(), bearer(token), operation, &exportgatev1.ResumeRequest{Force: true})
	denied, is := errors.AsType[*DeniedError](err)
	if !is || denied.Caller != who || who.Name != "token:backup" || who.Role != caller.Holder || denied.Operation != operation {
		t.Fatalf("error %v, caller %+v", err, who)
	}
	for _, part := range []string{"token:backup (holder)", operation, "by force is for operators"} {
		if !strings.Contains(denied.Error(), part) {
			t.Errorf("%q is not in: %v", part, denied)
		}
	}
	// Nobody needs a credential for what is open, and a bad one is no reason to hide how the server is.
	for _, c := range []Credentials{{}, bearer(token), bearer("bad")} {
		if who, err := g.Admit(t.Context(), c, "GET /health", nil); err != nil || who != (caller.Caller{}) {
			t.Errorf("error %v, caller %+v", err, who)
		}
	}
}
