package gateway

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/reason"
)

const pathWatch = "/exporting/watch"

// headerLastEventID is where a client of Server-Sent Events says what it saw last (HTML standard, 9.2.4).
const headerLastEventID = "Last-Event-Id"

// watch serves the status at every change, until the client leaves or the server stops. What is wrong before the first
// message is an ordinary answer; the header of a stream is sent with that message and not earlier, for it cannot be taken
// back.
func (h *handler) watch(w http.ResponseWriter, r *http.Request) {
	request := &exportgatev1.WatchStatusRequest{}
	st := parseQuery(r.URL.RawQuery, request)
	if st == nil {
		st = goOnFrom(r.Header.Values(headerLastEventID), request)
	}
	if st != nil {
		h.refuse(w, r, http.StatusBadRequest, st)
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	//nolint:contextcheck // What is awaited is the server's end. That of the request is in ctx already.
	defer context.AfterFunc(h.draining, func() { cancel(shuttingDown().Err()) })()

	late := time.AfterFunc(h.timeout, func() {
		cancel(status.Errorf(codes.DeadlineExceeded, "there was no status within %s: try again", h.timeout))
	})
	stream, err := h.openWatch(ctx, r, request)
	var response *exportgatev1.WatchStatusResponse
	if err == nil {
		// The header first: in the process, one that nobody sent is awaited until the next message else.
		if header, unknown := stream.Header(); unknown == nil {
			forwardMetadata(w, header)
		}
		response, err = stream.Recv()
	}
	late.Stop()
	if err != nil {
		st := ending(ctx, err)
		writeFailure(w, r, negotiate(r.Header.Values("Accept")), httpStatus(st.Code()), st)
		return
	}

	feed := h.newFeed(w, negotiateStream(r.Header.Values("Accept")), cancel)
	defer feed.close()
	for err == nil {
		if err = feed.send(response); err == nil {
			response, err = stream.Recv()
		}
	}
	feed.fail(ending(ctx, err)) // in vain where it is the client that failed, but then at once
}

// openWatch begins the stream with what [handler.call] gives to calls.
func (h *handler) openWatch(ctx context.Context, r *http.Request, request *exportgatev1.WatchStatusRequest) (
	grpc.ServerStreamingClient[exportgatev1.WatchStatusResponse], error,
) {
	ctx, err := runtime.AnnotateContext(withPeer(ctx, r), h.calls, &http.Request{Header: innerHeaders(r)},
		exportgatev1.ExportingService_WatchStatus_FullMethodName)
	if err != nil {
		return nil, err
	}
	stream, err := h.conn.NewStream(ctx, &exportgatev1.ExportingService_ServiceDesc.Streams[0],
		exportgatev1.ExportingService_WatchStatus_FullMethodName)
	if err != nil {
		return nil, err
	}
	// A stream that was refused may have ended by now. In the process it then takes no request, where one from the network would
	// swallow it, and the generated client returns that EOF as if there were nothing to receive: but why it ended is there.
	if err := stream.SendMsg(request); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	return &grpc.GenericClientStream[exportgatev1.WatchStatusRequest, exportgatev1.WatchStatusResponse]{ClientStream: stream}, nil
}

// goOnFrom puts the id of the last event that a client saw into its request. It counts more than a parameter: an EventSource
// sends the address that it was opened with for ever, and what it has seen since in the header.
func goOnFrom(ids []string, request *exportgatev1.WatchStatusRequest) *status.Status {
	last := ""
	for _, id := range ids {
		switch {
		case id == "":
		case !isText(id):
			return invalid(headerLastEventID, "header Last-Event-ID is %s, but takes %s", quote(id), textWords())
		case last != "" && last != id:
			return invalid(headerLastEventID, "header Last-Event-ID is %s, but there is another one that says %s: give one of "+
				"them", quote(id), quote(last))
		default:
			last = id
		}
	}
	request.Cursor = cmp.Or(last, request.GetCursor())
	return nil
}

// ending is why a stream ended: what the door had against it, else what the service says.
func ending(ctx context.Context, err error) *status.Status {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if errors.Is(err, io.EOF) {
		return status.New(codes.Unavailable, "the stream came to its end: connect again")
	}
	return reason.Status(err)
}
