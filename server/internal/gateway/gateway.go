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
	"github.com/exportgate/exportgate/server/internal/logging"
)

// Options are what [New] needs. Conn, Timeout, Draining, Info, Health, Metrics and Logger are required.
type Options struct {
	// Conn leads to the exporting service, through the interceptors that guard it. Streams whose messages have the same
	// *Status, by its pointer, share the work of encoding it, and nobody may change it. Its calls carry the HTTP client's
	// address, and its certificate as [google.golang.org/grpc/credentials.TLSInfo], as a [google.golang.org/grpc/peer.Peer] in
	// their context, and as metadata the keys "authorization", "user-agent", "x-request-id", "traceparent" and "tracestate"
	// where the client sent them; nothing else of the client's headers.
	Conn grpc.ClientConnInterface
	// Admit lets in what does not go through Conn, or says with a status why not. The operation is a method and a path below
	// the base path, as in "POST /loggers"; HEAD counts as GET, and what is below a path as the path itself, but for /exporting.
	// The context has the peer, and the metadata as what came in; so has the one that is returned, with the request id as
	// "x-request-id", also beside an error. end is called once, with what became of it: before the answer where something was
	// changed, after it else. Nil lets everybody in.
	Admit func(ctx context.Context, operation string) (_ context.Context, end func(error), _ error)
	// Allows tells whether a caller may do something that it does not do now, and leaves no trace of the question. Operations are
	// those of Admit, and full names of gRPC methods. Nil allows everything.
	Allows func(ctx context.Context, operation string) bool
	// Refused is told of what was turned away at the door before anything looked at who calls: because a web page may have sent
	// it, because its credentials could be taken for this or that, or because it was to change something and cannot be understood.
	// The error is a status; of the first two the ErrorInfo's metadata has as "cause" one of [Causes]. The operation is as for
	// Allows, or "unknown". May be nil.
	Refused func(ctx context.Context, operation string, err error)
	// Loopback tells that the door listens on loopback, where a request must name a host that is: localhost, what is below it, an
	// address of loopback, or one of Hosts.
	Loopback bool
	// Hosts are names by which the server may be asked for. On a door that is not on loopback, none allows all of them; if there
	// are some, IP addresses are allowed as well, by which probes come.
	Hosts []string
	// Exposure is which endpoints there are.
	Exposure Exposure
	// Details is who sees the components of the health. The zero value is [DetailsWhenAuthorized].
	Details Details
	// Loggers are the levels that the loggers endpoint changes; without, there is no such endpoint.
	Loggers *logging.Levels
	// Bearer tells that callers may prove who they are with a bearer token, for the API's description.
	Bearer bool
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
	admit     func(context.Context, string) (context.Context, func(error), error)
	allows    func(context.Context, string) bool
	refused   func(context.Context, string, error)
	hosts     hosts
	origins   *http.CrossOriginProtection
	exposure  Exposure
	details   Details
	loggers   *logging.Levels
	info      func() Info
	health    func(context.Context) Health
	metrics   http.Handler
	document  document
	page      page
	logger    *slog.Logger
	calls     *runtime.ServeMux
	conn      grpc.ClientConnInterface
	messages  messages
	routes    map[string]route
}

// New returns the handler of the whole HTTP door. It keeps no state between requests but the JSON of the last status that
// a stream sent, and there may be several in a process. It leaves the limits of time to the server: see [NewServer].
func New(o Options) (http.Handler, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	known, err := newHosts(o.Loopback, o.Hosts)
	if err != nil {
		return nil, err
	}
	h := &handler{
		base: o.BasePath, response: o.Response, timeout: o.Timeout, draining: o.Draining,
		heartbeat: cmp.Or(o.heartbeat, heartbeat), writing: cmp.Or(o.writing, writing),
		admit: o.Admit, allows: o.Allows, refused: o.Refused, hosts: known, origins: http.NewCrossOriginProtection(),
		exposure: o.Exposure, details: o.Details, loggers: o.Loggers, info: o.Info, health: o.Health, metrics: o.Metrics,
		logger: o.Logger, calls: newMux(), conn: o.Conn, messages: newMessages(),
	}
	client := exportgatev1.NewExportingServiceClient(o.Conn)
	if err := exportgatev1.RegisterExportingServiceHandlerClient(context.Background(), h.calls, client); err != nil {
		return nil, fmt.Errorf("gateway: register the generated routes: %w", err)
	}
	if h.routes, err = h.newRoutes(); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if h.document, err = newDocument(h, o.Bearer); err != nil {
		return nil, fmt.Errorf("gateway: describe the API: %w", err)
	}
	if h.page, err = newPage(h.document); err != nil {
		return nil, fmt.Errorf("gateway: describe the API: %w", err)
	}
	return h, nil
}

// complete checks the options, and fills in what they leave out.
func (o *Options) complete() (err error) {
	switch {
	case o.Conn == nil || o.Draining == nil || o.Info == nil || o.Health == nil || o.Metrics == nil || o.Logger == nil:
		return errors.New("gateway: Conn, Draining, Info, Health, Metrics and Logger are required")
	case o.Timeout <= 0:
		return fmt.Errorf("gateway: the timeout must be positive, not %s", o.Timeout)
	}
	if o.BasePath, err = cleanBase(o.BasePath); err != nil {
		return err
	}
	if o.Response = cmp.Or(o.Response, ResponseEnvelope); o.Response != ResponseEnvelope && o.Response != ResponseNoContent {
		return fmt.Errorf("gateway: the response is %q, but must be %q or %q", o.Response, ResponseEnvelope, ResponseNoContent)
	}
	if o.Admit == nil {
		o.Admit = admitAll
	}
	if o.Allows == nil {
		o.Allows = func(context.Context, string) bool { return true }
	}
	if o.Refused == nil {
		o.Refused = func(context.Context, string, error) {}
	}
	if o.Details, err = o.Details.complete(); err != nil {
		return err
	}
	return o.Exposure.check()
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

// ServeHTTP settles everything that can be settled without knowing who calls, and refuses what is wrong.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer drainBody(w, r)
	defer h.recoverPanic(w, r)
	setCommonHeaders(w, r)
	announceEnd(w, r)

	path, inside := h.below(r.URL.EscapedPath())
	var rt route
	found := false
	if inside {
		rt, found = h.route(path, r)
	}
	if st := h.hosts.check(r); st != nil {
		h.turnAway(w, r, rt, http.StatusMisdirectedRequest, st)
		return
	}
	switch {
	case !found:
		h.refuse(w, r, http.StatusNotFound, h.nothingAt(path, inside))
		return
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", rt.allow())
		w.WriteHeader(http.StatusNoContent)
		return
	case !rt.takes(r.Method):
		w.Header().Set("Allow", rt.allow())
		h.refuse(w, r, http.StatusMethodNotAllowed, status.Newf(codes.Unimplemented, "%s is not taken here, %s is",
			clip(r.Method), rt.methods[0]))
		return
	}
	if st := h.hosts.checkOrigin(h.origins, r); st != nil {
		h.turnAway(w, r, rt, http.StatusForbidden, st)
		return
	}
	takesBody := rt.body && r.Method == http.MethodPost
	if st := checkAuthorization(r); st != nil {
		h.turnAway(w, r, rt, http.StatusBadRequest, st)
	} else if !takesBody && !emptyBody(w, r) {
		h.misunderstood(w, r, rt.operation(r.Method), invalid("", "no body is taken: parameters belong in the query"))
	} else {
		rt.serve(w, r)
	}
}

// nothingAt says where there is something.
func (h *handler) nothingAt(path string, inside bool) *status.Status {
	switch {
	case !inside:
		return status.New(codes.Unimplemented,
			"there is nothing here: the endpoints are below "+h.base+"/, and GET "+h.base+"/ lists them")
	case isExporting(path) && h.has(idExporting):
		return status.Newf(codes.Unimplemented, "there is no such operation: there are "+
			"POST %[1]s/exporting/pause (softly with ?soft=true), POST %[1]s/exporting/resume, GET %[1]s/exporting and "+
			"GET %[1]s/exporting/watch", h.base)
	}
	return status.Newf(codes.Unimplemented, "there is no such endpoint: GET %s/ lists those that there are", h.base)
}

// turnAway refuses what a web page may have sent, or who tries what becomes of strange credentials.
func (h *handler) turnAway(w http.ResponseWriter, r *http.Request, rt route, code int, st *status.Status) {
	h.refused(asCall(r.Context(), r), rt.operation(r.Method), st.Err())
	h.refuse(w, r, code, st)
}

// misunderstood refuses what cannot be understood. Of what was to change something the audit log is told, as it is of such a
// call over gRPC.
func (h *handler) misunderstood(w http.ResponseWriter, r *http.Request, operation string, st *status.Status) {
	if r.Method == http.MethodPost {
		h.refused(asCall(r.Context(), r), operation, st.Err())
	}
	h.refuse(w, r, http.StatusBadRequest, st)
}

// fail answers for what was admitted and failed, or was not admitted.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, st *status.Status) {
	h.refuse(w, r, httpStatus(st.Code()), st)
}

// refuse answers a request that did not reach the service.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, code int, st *status.Status) {
	h.logger.DebugContext(r.Context(), "refused a request", "method", r.Method, "path", r.URL.Path, "peer", r.RemoteAddr,
		"status", code, "message", st.Message())
	if path, ok := h.below(r.URL.EscapedPath()); ok && isExporting(path) {
		writeFailure(w, r, negotiate(r.Header.Values("Accept")), code, st)
		return
	}
	sayHow(w, r, st)
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
