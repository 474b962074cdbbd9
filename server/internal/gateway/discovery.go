package gateway

import (
	"net/http"
	"time"
)

// Info is what is running.
type Info struct {
	// Version is this program's, "v1.2.3", and Commit what it was built from; either may be empty.
	Version, Commit string
	// ZeebeVersions are the brokers', as far as they are known, in ascending order.
	ZeebeVersions []string
}

// infoBody has Spring Boot's names for what a program says of its build.
type infoBody struct {
	Build buildInfo `json:"build"`
	Zeebe zeebeInfo `json:"zeebe"`
}

type buildInfo struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
}

type zeebeInfo struct {
	Versions []string `json:"versions"`
}

func (h *handler) serveInfo(w http.ResponseWriter, r *http.Request) {
	info := h.info()
	writeJSON(w, r, http.StatusOK, infoBody{
		Build: buildInfo{Name: "exportgate", Version: info.Version, Commit: info.Commit},
		Zeebe: zeebeInfo{Versions: append([]string{}, info.ZeebeVersions...)}, // never null
	})
}

// links are Spring Boot's discovery page: each endpoint by the name that it has there.
type links struct {
	Self         link `json:"self"`
	Exporting    link `json:"exporting"`
	OperationKey link `json:"exporting-operationKey"`
	Watch        link `json:"exporting-watch"`
	Health       link `json:"health"`
	HealthPath   link `json:"health-path"`
	Info         link `json:"info"`
	Prometheus   link `json:"prometheus"`
}

type link struct {
	Href      string `json:"href"`
	Templated bool   `json:"templated"`
}

func (h *handler) serveLinks(w http.ResponseWriter, r *http.Request) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	base := scheme + "://" + r.Host + h.base
	writeJSON(w, r, http.StatusOK, struct {
		Links links `json:"_links"`
	}{links{
		Self:         link{Href: base},
		Exporting:    link{Href: base + "/exporting"},
		OperationKey: link{Href: base + "/exporting/{operationKey}", Templated: true},
		Watch:        link{Href: base + pathWatch},
		Health:       link{Href: base + "/health"},
		HealthPath:   link{Href: base + "/health/{*path}", Templated: true},
		Info:         link{Href: base + "/info"},
		Prometheus:   link{Href: base + "/prometheus"},
	}})
}

// bootError is Spring Boot's body of a failure that is not an endpoint's own.
type bootError struct {
	Timestamp time.Time `json:"timestamp"`
	Status    int       `json:"status"`
	Error     string    `json:"error"`
	Path      string    `json:"path"`
	Message   string    `json:"message"`
}

func newBootError(r *http.Request, code int, message string) bootError {
	return bootError{
		Timestamp: time.Now().UTC(), Status: code, Error: http.StatusText(code), Path: r.URL.Path, Message: message,
	}
}
