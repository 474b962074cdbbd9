package auth

import (
	"strings"

	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/caller"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// permission is what an operation needs. The zero value allows nothing to anybody.
type permission struct {
	// open is true where nobody has to prove anything.
	open bool
	// role is the least that is needed.
	role caller.Role
	// holder is the rule for what a holder may ask for, where an operator may ask for all: why it may not, or "". Nil where
	// both may ask for the same.
	holder func(request any) string
}

// permissionOf is the table: every operation that there is, and what it needs. What is not here is allowed to nobody, so that
// a method which is added to the service is refused until somebody has thought of who may call it. Whose a hold is, is not
// decided here but in the ledger, in the step that would change it.
func permissionOf(operation string) permission {
	open, viewer, operator := permission{open: true}, permission{role: caller.Viewer}, permission{role: caller.Operator}
	switch operation {
	case exportgatev1.ExportingService_Pause_FullMethodName:
		return permission{role: caller.Holder, holder: holderPauses}
	case exportgatev1.ExportingService_Resume_FullMethodName:
		return permission{role: caller.Holder, holder: holderResumes}
	case exportgatev1.ExportingService_GetStatus_FullMethodName, exportgatev1.ExportingService_WatchStatus_FullMethodName:
		return viewer
	// Probes have no credentials, and learn nothing but whether the server serves.
	case grpc_health_v1.Health_Check_FullMethodName, grpc_health_v1.Health_Watch_FullMethodName, grpc_health_v1.Health_List_FullMethodName:
		return open
	case grpc_reflection_v1.ServerReflection_ServerReflectionInfo_FullMethodName,
		grpc_reflection_v1alpha.ServerReflection_ServerReflectionInfo_FullMethodName:
		return viewer
	}
	switch method, path, _ := strings.Cut(operation, " "); {
	case operation == "GET /":
		return viewer
	case method == "GET" && within(path, "/health"):
		return open
	case method == "GET" && (path == "/info" || path == "/prometheus" || within(path, "/loggers") || within(path, "/openapi")):
		return viewer
	case method == "POST" && within(path, "/loggers"):
		return operator
	}
	return permission{}
}

// within reports whether a path is another, or below it.
func within(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// refuses is why a caller may not do what it asks for, and what to do instead; "" if it may.
func (p permission) refuses(who caller.Caller, request any) string {
	switch {
	case p.open:
		return ""
	case p.role == caller.None:
		return "there is no such operation in the table of permissions, so that nobody may do it"
	case who.Role < p.role:
		return "that needs the role " + p.role.String() + ": ask for it in auth.roles." + p.role.String()
	case p.holder != nil && who.Role == caller.Holder:
		return p.holder(request)
	}
	return ""
}

// holderPauses is the rule of what a holder may place: holds that have a name, or more time for one that it has the uid of.
func holderPauses(request any) string {
	asked, is := request.(*exportgatev1.PauseRequest)
	if !is || asked.GetRenew() == "" && anonymous(asked.GetHold()) {
		return "a holder places holds with a name of its own: give one; the anonymous hold is for operators"
	}
	return ""
}

// holderResumes is the rule of what a holder may release: a hold that it names.
func holderResumes(request any) string {
	asked, is := request.(*exportgatev1.ResumeRequest)
	switch {
	case is && asked.GetForce():
		return "to end every hold by force is for operators: release your own by name"
	case !is || anonymous(asked.GetHold()):
		return "a holder releases its own holds: give the name of one; the anonymous hold is for operators"
	}
	return ""
}

func anonymous(id string) bool { return id == "" || id == hold.Operator }
