package gateway

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// HealthStatus is Spring Boot's word for how something is.
type HealthStatus string

// The statuses that are used. DOWN and OUT_OF_SERVICE are answered with 503, the others with 200.
const (
	HealthUp           HealthStatus = "UP"
	HealthUnknown      HealthStatus = "UNKNOWN"
	HealthOutOfService HealthStatus = "OUT_OF_SERVICE"
	HealthDown         HealthStatus = "DOWN"
)

// badness orders the statuses as Spring Boot does: what is not known makes nothing worse. A word that is not ours is DOWN.
func (s HealthStatus) badness() int {
	switch s {
	case HealthUnknown:
		return 0
	case HealthUp:
		return 1
	case HealthOutOfService:
		return 2
	case HealthDown:
	}
	return 3
}

// Health is how the server is. The three groups are Kubernetes' questions, and each has only what its probe would mend: no
// component is in any of them, for neither a restart nor a server less gives the brokers or the store back, and a server
// that has lost them is still the one that says so and resumes by force.
type Health struct {
	// Liveness: DOWN only where a restart would help.
	Liveness HealthStatus
	// Readiness: OUT_OF_SERVICE while no new calls are wanted, as during drain.
	Readiness HealthStatus
	// Startup: DOWN until the first pass over the cluster was made, whatever it found.
	Startup HealthStatus
	// Components are what the server lives by, for people and monitors.
	Components []Component
}

// Component is one thing that a server lives by.
type Component struct {
	// Name is what it is called in the path: letters.
	Name   string
	Status HealthStatus
	// Details say more to who may see them; they are encoded as JSON. May be nil.
	Details map[string]any
}

// overall is the worst of the components, and of whether the server lives and takes calls.
func (h Health) overall() HealthStatus {
	worst := HealthUnknown
	statuses := []HealthStatus{h.Liveness, h.Readiness}
	for _, component := range h.Components {
		statuses = append(statuses, component.Status)
	}
	for _, s := range statuses {
		if s.badness() > worst.badness() {
			worst = s
		}
	}
	return worst
}

// Details is who sees the components of the health.
type Details string

// The answers, as Spring Boot has them. Whoever may see the status of exporting is authorized.
const (
	DetailsNever          Details = "never"
	DetailsWhenAuthorized Details = "when-authorized"
	DetailsAlways         Details = "always"
)

func (d Details) complete() (Details, error) {
	switch d = cmp.Or(d, DetailsWhenAuthorized); d {
	case DetailsNever, DetailsWhenAuthorized, DetailsAlways:
		return d, nil
	}
	return "", fmt.Errorf("gateway: management.endpoint.health.show-details is %q, but must be %s, %s or %s", d, DetailsNever,
		DetailsWhenAuthorized, DetailsAlways)
}

// shown reports whether a caller sees the components. Health is open to everybody, so that a caller who may not see them is
// not refused.
func (h *handler) shown(ctx context.Context) bool {
	switch h.details {
	case DetailsAlways:
		return true
	case DetailsWhenAuthorized:
		return h.allows(ctx, exportgatev1.ExportingService_GetStatus_FullMethodName)
	case DetailsNever:
	}
	return false
}

// healthBody is Spring Boot's.
type healthBody struct {
	Status     HealthStatus              `json:"status"`
	Components map[string]*componentBody `json:"components,omitempty"`
	Groups     []string                  `json:"groups,omitempty"`
}

type componentBody struct {
	Status  HealthStatus   `json:"status"`
	Details map[string]any `json:"details,omitempty"`
}

// components are those of a server, and ping, which is UP wherever something answers.
func (h Health) components() map[string]*componentBody {
	bodies := map[string]*componentBody{"ping": {Status: HealthUp}}
	for _, c := range h.Components {
		bodies[c.Name] = &componentBody{c.Status, c.Details}
	}
	return bodies
}

func (h *handler) serveHealth(w http.ResponseWriter, r *http.Request) {
	now := h.health(r.Context())
	body := healthBody{Status: now.overall(), Groups: []string{"liveness", "readiness", "startup"}}
	if h.shown(r.Context()) {
		body.Components = now.components()
	}
	writeHealth(w, r, body.Status, body)
}

// serveGroup answers a probe.
func (h *handler) serveGroup(of func(Health) HealthStatus) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := of(h.health(r.Context()))
		writeHealth(w, r, s, healthBody{Status: s})
	}
}

// serveComponent answers for one component. To who may not see them there is none.
func (h *handler) serveComponent(w http.ResponseWriter, r *http.Request) {
	if h.shown(r.Context()) {
		if body, ok := h.health(r.Context()).components()[r.PathValue("name")]; ok {
			writeHealth(w, r, body.Status, body)
			return
		}
	}
	h.refuse(w, r, http.StatusNotFound, status.Newf(codes.NotFound,
		"there is no such component, or it is not for everybody: GET %s/health lists those that you may see", h.base))
}

func writeHealth(w http.ResponseWriter, r *http.Request, s HealthStatus, body any) {
	code := http.StatusServiceUnavailable
	if slices.Contains([]HealthStatus{HealthUp, HealthUnknown}, s) {
		code = http.StatusOK
	}
	writeJSON(w, r, code, body)
}
