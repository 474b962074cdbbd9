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
	serve   http.HandlerFunc
}

func (rt route) takes(method string) bool { return slices.Contains(rt.methods, method) }

// allow is the value of the Allow header.
func (rt route) allow() string { return strings.Join(rt.methods, ", ") + ", OPTIONS" }

// newRoutes is the whole map of the door, by path below the base path.
func (h *handler) newRoutes() (map[string]route, error) {
	read, write := []string{http.MethodGet, http.MethodHead}, []string{http.MethodPost}
	routes := map[string]route{
		"":                  {read, h.serveLinks},
		"/health":           {read, h.serveHealth},
		"/health/liveness":  {read, h.serveLiveness},
		"/health/readiness": {read, h.serveReadiness},
		"/info":             {read, h.serveInfo},
		"/prometheus":       {read, h.metrics.ServeHTTP},
		// No HEAD: it would have to begin a stream to learn how that begins.
		pathWatch: {[]string{http.MethodGet}, h.watch},
	}
	calls := map[string]struct {
		methods []string
		request proto.Message
	}{
		"/exporting":        {read, &exportgatev1.GetStatusRequest{}},
		"/exporting/pause":  {write, &exportgatev1.PauseRequest{}},
		"/exporting/resume": {write, &exportgatev1.ResumeRequest{}},
	}
	for path, call := range calls {
		if err := checkParameters(call.request); err != nil {
			return nil, fmt.Errorf("route %s: %w", path, err)
		}
		routes[path] = route{call.methods, h.call(call.methods[0], path, call.request)}
	}
	if err := checkParameters(&exportgatev1.WatchStatusRequest{}); err != nil {
		return nil, fmt.Errorf("route %s: %w", pathWatch, err)
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
