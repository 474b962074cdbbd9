package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// generatedBase is the base path that the generated routes have (exporting_service.http.yaml).
const generatedBase = "/actuator"

// route is what is at one path.
type route struct {
	methods []string // what it takes besides OPTIONS; the first is what it is for
	asks    string   // what it is in the table of permissions: the full name of a gRPC method, or a path below the base path
	body    bool     // a POST takes a body
	serve   http.HandlerFunc
}

func (rt route) takes(method string) bool { return slices.Contains(rt.methods, method) }

// allow is the value of the Allow header.
func (rt route) allow() string { return strings.Join(rt.methods, ", ") + ", OPTIONS" }

// wildcard is the last word of a path at which any word may be.
const wildcard = "/*"

// route finds what is at a path below the base path. Where any last word will do, it is the request's path value "name",
// as it was written on the wire.
func (h *handler) route(path string, r *http.Request) (route, bool) {
	slash := strings.LastIndexByte(path, '/')
	if strings.HasSuffix(path, wildcard) {
		return route{}, false
	}
	if rt, ok := h.routes[path]; ok || slash < 0 || slash == len(path)-1 {
		return rt, ok
	}
	rt, ok := h.routes[path[:slash]+wildcard]
	if ok {
		r.SetPathValue("name", path[slash+1:])
	}
	return rt, ok
}

// newRoutes is the whole map of the door, by path below the base path.
func (h *handler) newRoutes() (map[string]route, error) {
	routes := map[string]route{}
	h.addEndpoints(routes)
	if !h.has(idExporting) {
		return routes, nil
	}
	read, write := []string{http.MethodGet, http.MethodHead}, []string{http.MethodPost}
	calls := map[string]struct {
		methods []string
		method  string
		request proto.Message
	}{
		"/exporting":        {read, exportgatev1.ExportingService_GetStatus_FullMethodName, &exportgatev1.GetStatusRequest{}},
		"/exporting/pause":  {write, exportgatev1.ExportingService_Pause_FullMethodName, &exportgatev1.PauseRequest{}},
		"/exporting/resume": {write, exportgatev1.ExportingService_Resume_FullMethodName, &exportgatev1.ResumeRequest{}},
		// No HEAD: it would have to begin a stream to learn how that begins.
		pathWatch: {
			[]string{http.MethodGet}, exportgatev1.ExportingService_WatchStatus_FullMethodName, &exportgatev1.WatchStatusRequest{},
		},
	}
	for path, call := range calls {
		if err := checkParameters(call.request); err != nil {
			return nil, fmt.Errorf("route %s: %w", path, err)
		}
		serve := h.call(call.methods[0], path, call.method, call.request)
		if path == pathWatch {
			serve = h.watch
		}
		routes[path] = route{methods: call.methods, asks: call.method, serve: serve}
	}
	return routes, nil
}

// addEndpoints adds what is exposed of the endpoints that are no calls.
func (h *handler) addEndpoints(routes map[string]route) {
	read := []string{http.MethodGet, http.MethodHead}
	add := func(id, path, asks string, answer http.HandlerFunc) {
		if h.has(id) {
			routes[path] = route{methods: read, asks: asks, serve: h.admitted("GET "+asks, endpoint{answer: answer})}
		}
	}
	routes[""] = route{methods: read, asks: "/", serve: h.admitted("GET /", endpoint{answer: h.serveLinks})}
	add(idHealth, "/health", "/health", h.serveHealth)
	add(idHealth, "/health/liveness", "/health", h.serveGroup(func(now Health) HealthStatus { return now.Liveness }))
	add(idHealth, "/health/readiness", "/health", h.serveGroup(func(now Health) HealthStatus { return now.Readiness }))
	add(idHealth, "/health/startup", "/health", h.serveGroup(func(now Health) HealthStatus { return now.Startup }))
	add(idHealth, "/health"+wildcard, "/health", h.serveComponent)
	add(idInfo, "/info", "/info", h.serveInfo)
	add(idPrometheus, "/prometheus", "/prometheus", h.metrics.ServeHTTP)
	add(idOpenAPI, "/openapi", "/openapi", h.serveOpenAPI)
	add(idOpenAPI, "/openapi/ui", "/openapi", h.servePage)
	if !h.has(idLoggers) {
		return
	}
	add(idLoggers, "/loggers", "/loggers", h.serveLoggers)
	one := h.admitted("GET /loggers", endpoint{act: h.findLogger, answer: h.serveLogger})
	change := h.admitted("POST /loggers", endpoint{act: h.changeLogger, answer: noContent})
	serve := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			change(w, r)
		} else {
			one(w, r)
		}
	}
	routes["/loggers"+wildcard] = route{
		methods: append(slices.Clone(read), http.MethodPost), asks: "/loggers", body: true, serve: serve,
	}
}

// operation is what a request asks for, as the table of permissions names it. There are only so many, whatever is asked.
func (rt route) operation(method string) string {
	switch {
	case !rt.takes(method):
		return "unknown"
	case isMethod(rt.asks):
		return rt.asks
	case method == http.MethodHead:
		return http.MethodGet + " " + rt.asks
	}
	return method + " " + rt.asks
}

// isMethod tells the full name of a gRPC method, which has a dot, from a path.
func isMethod(asks string) bool { return strings.Contains(asks, ".") }

// below cuts the base path and one trailing slash off a path, as it was written on the wire. Nothing else is made
// equal: // and .. and %2F lead nowhere, and no request is ever redirected, since clients repeat a redirected POST as a
// GET or not at all.
func (h *handler) below(path string) (string, bool) {
	path, ok := strings.CutPrefix(path, h.base)
	if !ok || path != "" && path[0] != '/' {
		return "", false
	}
	return strings.TrimSuffix(path, "/"), true
}

// isExporting reports whether a path belongs to the exporting service, whose failures have a form of their own.
func isExporting(path string) bool {
	return path == "/exporting" || strings.HasPrefix(path, "/exporting/")
}

// noContent answers that it is done.
func noContent(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
