package gateway

import (
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/protobuf/proto"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// generatedBase is the base path that the generated routes have (exporting_service.http.yaml).
const generatedBase = "/actuator"

// route is what is at one path. Every path takes one method; GET brings HEAD with it.
type route struct {
	method string
	serve  http.HandlerFunc
}

func (rt route) takes(method string) bool {
	return method == rt.method || rt.method == http.MethodGet && method == http.MethodHead
}

// allow is the value of the Allow header.
func (rt route) allow() string {
	if rt.method == http.MethodGet {
		return "GET, HEAD, OPTIONS"
	}
	return rt.method + ", OPTIONS"
}

// newRoutes is the whole map of the door, by path below the base path.
func (h *handler) newRoutes() (map[string]route, error) {
	routes := map[string]route{
		"":                  {http.MethodGet, h.serveLinks},
		"/health":           {http.MethodGet, h.serveHealth},
		"/health/liveness":  {http.MethodGet, h.serveLiveness},
		"/health/readiness": {http.MethodGet, h.serveReadiness},
		"/info":             {http.MethodGet, h.serveInfo},
	}
	for path, call := range map[string]struct {
		method  string
		request proto.Message
	}{
		"/exporting":        {http.MethodGet, &exportgatev1.GetStatusRequest{}},
		"/exporting/pause":  {http.MethodPost, &exportgatev1.PauseRequest{}},
		"/exporting/resume": {http.MethodPost, &exportgatev1.ResumeRequest{}},
	} {
		if err := checkParameters(call.request); err != nil {
			return nil, fmt.Errorf("route %s: %w", path, err)
		}
		routes[path] = route{call.method, h.call(call.method, path, call.request)}
	}
	return routes, nil
}

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
