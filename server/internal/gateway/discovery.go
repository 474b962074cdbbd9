package gateway

import (
	"net/http"
	"time"
)

// link is one of Spring Boot's discovery page.
type link struct {
	Href      string `json:"href"`
	Templated bool   `json:"templated"`
}

// serveLinks lists what is exposed, by the names that Spring Boot has or would have. It asks nobody who may see what: to
// see the list needs the same role as to see what it leads to.
func (h *handler) serveLinks(w http.ResponseWriter, r *http.Request) {
	base := baseURL(r) + h.base
	links := map[string]link{"self": {Href: base}}
	for _, each := range []struct {
		id, name, path string
		templated      bool
	}{
		{idExporting, "exporting", "/exporting", false},
		{idExporting, "exporting-operationKey", "/exporting/{operationKey}", true},
		{idExporting, "exporting-watch", pathWatch, false},
		{idHealth, "health", "/health", false},
		{idHealth, "health-path", "/health/{*path}", true},
		{idInfo, "info", "/info", false},
		{idLoggers, "loggers", "/loggers", false},
		{idLoggers, "loggers-name", "/loggers/{name}", true},
		{idOpenAPI, "openapi", "/openapi", false},
		{idOpenAPI, "openapi-ui", "/openapi/ui", false},
		{idPrometheus, "prometheus", "/prometheus", false},
	} {
		if h.has(each.id) {
			links[each.name] = link{base + each.path, each.templated}
		}
	}
	writeJSON(w, r, http.StatusOK, map[string]any{"_links": links})
}

// baseURL is the server's, as the client named it.
func baseURL(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
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
