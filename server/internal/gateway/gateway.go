// Package gateway is the door for HTTP: the exporting service under the actuator paths that scripts know from Zeebe's
// own management port, and the few actuator endpoints that make it look at home there.
//
// The calls go through grpc-gateway's generated routes to a gRPC connection, so that whatever guards the other door
// guards this one. grpc-gateway is built for lenient callers; what stands before it here is strict, because a mistyped
// ?soff=true must not become a hard pause. Only the stream of statuses goes to the connection without it: it has no
// heartbeats, no events and no patience that ends.
//
// It must not know how exporting is paused: it sees the generated contract, a gRPC connection and statuses.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// Options are what [New] needs. Conn, Timeout, Draining, Info, Health, Metrics and Logger are required.
type Options struct {
	// Conn leads to the exporting service, through the interceptors that guard it. Streams whose messages have the same
	// *Status, by its pointer, share the work of encoding it, and nobody may change it. Its calls carry the HTTP client's
	// address as a [google.golang.org/grpc/peer.Peer] in their context, and as metadata the keys "user-agent" and
	// "x-request-id" where the client sent them; nothing else of the client's headers.
	Conn grpc.ClientConnInterface
	// BasePath is where the endpoints are: "/actuator", "/orchestration/actuator"; "" or "/" for the root.
	BasePath string
	// Response is the form of a successful answer to a POST. The zero value is [ResponseEnvelope].
	Response Response
	// Timeout bounds every call, and how long a watch may take to begin. A Grpc-Timeout header may ask for less.
	Timeout time.Duration
	// Draining ends when the server begins to stop: streams then end, and tell their clients to connect again. Calls in
	// flight are not touched.
	Draining context.Context
	// Info tells what is running. It is called for every request to the info endpoint and must answer at once.
	Info func() Info
	// Health tells how the server is. It is called for every request to a health endpoint and must answer at once.
	Health func(context.Context) Health
	// Metrics answers whoever scrapes metrics, in the format that it asks for.
	Metrics http.Handler
	// Logger takes a debug line for every request that is refused before it reaches the service, and panics.
	Logger *slog.Logger

	// What tests want shorter: the constants of the same names, if zero.
	heartbeat, writing time.Duration
}

// handler is the door. It is made once and never changes, but for what messages keeps.
type handler struct {
	base      string // "" or "/actuator"
	response  Response
	timeout   time.Duration
	draining  context.Context
	heartbeat time.Duration // between two heartbeats of a stream
	writing   time.Duration // for a client to take a message of a stream
	info      func() Info
	health    func(context.Context) Health
	metrics   http.Handler
	logger    *slog.Logger
	calls     *runtime.ServeMux
	client    exportgatev1.ExportingServiceClient
	messages  messages
	routes    map[string]route
}

// New returns the handler of the whole HTTP door. It keeps no state between requests but the JSON of the last status that
// a stream sent, and there may be several in a process. It leaves the limits of time to the server: see [NewServer].
func New(o Options) (http.Handler, error) {
	base, err := cleanBase(o.BasePath)
	if err != nil {
		return nil, err
	}
	switch {
	case o.Conn == nil || o.Draining == nil || o.Info == nil || o.Health == nil || o.Metrics == nil || o.Logger == nil:
		return nil, errors.New("gateway: Conn, Draining, Info, Health, Metrics and Logger are required")
	case o.Timeout <= 0:
		return nil, fmt.Errorf("gateway: the timeout must be positive, not %s", o.Timeout)
	}
	switch o.Response {
	case ResponseEnvelope, ResponseNoContent:
	case "":
		o.Response = ResponseEnvelope
	default:
		return nil, fmt.Errorf("gateway: the response is %q, but must be %q or %q", o.Response, ResponseEnvelope,
			ResponseNoContent)
	}
	h := &handler{
		base: base, response: o.Response, timeout: o.Timeout, draining: o.Draining, info: o.Info, health: o.Health, metrics: o.Metrics,
		heartbeat: cmp.Or(o.heartbeat, heartbeat), writing: cmp.Or(o.writing, writing), logger: o.Logger,
		calls: newMux(), client: exportgatev1.NewExportingServiceClient(o.Conn), messages: newMessages(),
	}
	if err := exportgatev1.RegisterExportingServiceHandlerClient(context.Background(), h.calls, h.client); err != nil {
		return nil, fmt.Errorf("gateway: register the generated routes: %w", err)
	}
	if h.routes, err = h.newRoutes(); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	return h, nil
}

// newMux configures grpc-gateway. Routing, parameters and headers are settled before it sees a request; what remains
// to it are the generated calls and the form of their answers. That it turns no method into another is thus assured
// twice.
func newMux() *runtime.ServeMux {
	options := []runtime.ServeMuxOption{
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithWriteContentLength(),
		runtime.WithIncomingHeaderMatcher(incomingHeader),
		runtime.WithOutgoingHeaderMatcher(outgoingHeader),
		runtime.WithOutgoingTrailerMatcher(noHeader),
		runtime.WithForwardResponseOption(forwardMinimal),
		runtime.WithForwardResponseRewriter(rewriteAnswer),
		runtime.WithErrorHandler(callFailed),
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newMarshaler(mediaJSON)),
	}
	for _, media := range offered() {
		options = append(options, runtime.WithMarshalerOption(media, newMarshaler(media)))
	}
	return runtime.NewServeMux(options...)
}

// ServeHTTP settles everything that can be settled without the service, and refuses what is wrong.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer drainBody(w, r)
	defer h.recoverPanic(w, r)
	setCommonHeaders(w)
	announceEnd(w, r)

	path, ok := h.below(r.URL.EscapedPath())
	if !ok {
		h.refuse(w, r, http.StatusNotFound, status.New(codes.Unimplemented,
			"there is nothing here: the endpoints are below "+h.base+"/, and GET "+h.base+"/ lists them"))
		return
	}
	rt, ok := h.routes[path]
	switch {
	case !ok && isExporting(path):
		h.refuse(w, r, http.StatusNotFound, status.Newf(codes.Unimplemented, "there is no such operation: there are "+
			"POST %[1]s/exporting/pause (softly with ?soft=true), POST %[1]s/exporting/resume, GET %[1]s/exporting and "+
			"GET %[1]s/exporting/watch", h.base))
	case !ok:
		h.refuse(w, r, http.StatusNotFound, status.Newf(codes.Unimplemented,
			"there is no such endpoint: GET %s/ lists those that there are", h.base))
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", rt.allow())
		w.WriteHeader(http.StatusNoContent)
	case !rt.takes(r.Method):
		w.Header().Set("Allow", rt.allow())
		h.refuse(w, r, http.StatusMethodNotAllowed, status.Newf(codes.Unimplemented, "%s is not taken here, %s is",
			clip(r.Method), rt.methods[0]))
	case !emptyBody(w, r):
		h.refuse(w, r, http.StatusBadRequest, invalid("", "no body is taken: parameters belong in the query"))
	default:
		rt.serve(w, r)
	}
}

// refuse answers a request that did not reach the service.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, code int, st *status.Status) {
	h.logger.DebugContext(r.Context(), "refused a request", "method", r.Method, "path", r.URL.Path, "peer", r.RemoteAddr,
		"status", code, "message", st.Message())
	if path, ok := h.below(r.URL.EscapedPath()); ok && isExporting(path) {
		writeFailure(w, negotiate(r.Header.Values("Accept")), code, st)
		return
	}
	writeJSON(w, r, code, newBootError(r, code, st.Message()))
}

// recoverPanic answers for a bug of this package. Those of the service are recovered by its interceptors.
func (h *handler) recoverPanic(w http.ResponseWriter, r *http.Request) {
	if p := recover(); p != nil {
		h.logger.ErrorContext(r.Context(), "panic in the HTTP door", "method", r.Method, "path", r.URL.Path,
			"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		h.refuse(w, r, http.StatusInternalServerError, status.New(codes.Internal, "internal error"))
	}
}

// cleanBase brings a base path to the form "/a/b", or "" for the root.
func cleanBase(base string) (string, error) {
	base = strings.TrimSuffix(base, "/")
	if !regexp.MustCompile(`^(/[A-Za-z0-9._~-]*[A-Za-z0-9_~-])*$`).MatchString(base) {
		return "", fmt.Errorf("gateway: the base path is %q, but must be like /actuator or /orchestration/actuator: it "+
			"begins with a slash, and takes letters, digits, and . _ ~ -", base)
	}
	return base, nil
}
