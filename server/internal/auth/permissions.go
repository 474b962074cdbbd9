package auth

import (
	"maps"
	"slices"

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

// permissions is the table: every operation that there is, and what it needs. What is not here is allowed to nobody, so that
// a method which is added to the service is refused until somebody has thought of who may call it. Whose a hold is, is not
// decided here but in the ledger, in the step that would change it.
func permissions() map[string]permission {
	open, viewer, operator := permission{open: true}, permission{role: caller.Viewer}, permission{role: caller.Operator}
	return map[string]permission{
		exportgatev1.ExportingService_Pause_FullMethodName:       {role: caller.Holder, holder: holderPauses},
		exportgatev1.ExportingService_Resume_FullMethodName:      {role: caller.Holder, holder: holderResumes},
		exportgatev1.ExportingService_GetStatus_FullMethodName:   viewer,
		exportgatev1.ExportingService_WatchStatus_FullMethodName: viewer,
		// Probes have no credentials, and learn nothing but whether the server serves.
		grpc_health_v1.Health_Check_FullMethodName: open,
		grpc_health_v1.Health_Watch_FullMethodName: open,
		grpc_health_v1.Health_List_FullMethodName:  open,
		"GET /health": open,

		grpc_reflection_v1.ServerReflection_ServerReflectionInfo_FullMethodName:      viewer,
		grpc_reflection_v1alpha.ServerReflection_ServerReflectionInfo_FullMethodName: viewer,

		"GET /":           viewer,
		"GET /info":       viewer,
		"GET /prometheus": viewer,
		"GET /openapi":    viewer,
		"GET /loggers":    viewer,
		"POST /loggers":   operator,
	}
}

// Operations are all that there are, in alphabetical order, as [Guard.Admit] takes them.
func Operations() []string { return slices.Sorted(maps.Keys(permissions())) }

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
