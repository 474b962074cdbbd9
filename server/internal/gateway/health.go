package gateway

import "net/http"

// HealthStatus is Spring Boot's word for how something is.
type HealthStatus string

// The three statuses that are used, from good to bad. All but UP are answered with 503.
const (
	HealthUp           HealthStatus = "UP"
	HealthOutOfService HealthStatus = "OUT_OF_SERVICE"
	HealthDown         HealthStatus = "DOWN"
)

// Health is how the server is, by Kubernetes' two questions.
type Health struct {
	// Liveness: DOWN only where a restart would help.
	Liveness HealthStatus
	// Readiness: OUT_OF_SERVICE while no new calls are wanted, as during start-up and drain.
	Readiness HealthStatus
}

// overall is the worse of the two.
func (h Health) overall() HealthStatus {
	switch {
	case h.Liveness != HealthUp && h.Liveness != HealthOutOfService:
		return HealthDown
	case h.Readiness == HealthUp:
		return h.Liveness
	}
	return h.Readiness
}

// healthBody is what Spring Boot answers where details are not shown.
type healthBody struct {
	Status HealthStatus `json:"status"`
	Groups []string     `json:"groups,omitempty"`
}

func (h *handler) serveHealth(w http.ResponseWriter, r *http.Request) {
	writeHealth(w, r, healthBody{Status: h.health(r.Context()).overall(), Groups: []string{"liveness", "readiness"}})
}

func (h *handler) serveLiveness(w http.ResponseWriter, r *http.Request) {
	writeHealth(w, r, healthBody{Status: h.health(r.Context()).Liveness})
}

func (h *handler) serveReadiness(w http.ResponseWriter, r *http.Request) {
	writeHealth(w, r, healthBody{Status: h.health(r.Context()).Readiness})
}

func writeHealth(w http.ResponseWriter, r *http.Request, body healthBody) {
	code := http.StatusServiceUnavailable
	if body.Status == HealthUp {
		code = http.StatusOK
	}
	writeJSON(w, r, code, body)
}
