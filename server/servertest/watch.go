package servertest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// Form is how a stream of statuses travels.
type Form string

// The forms.
const (
	Stream Form = "gRPC"
	Events Form = "SSE"
	Lines  Form = "NDJSON"
)

// Forms are all three.
func Forms() []Form { return []Form{Stream, Events, Lines} }

// Watch is one stream of statuses. It is for one goroutine.
type Watch struct {
	next func() (*exportgatev1.WatchStatusResponse, Outcome)
	stop context.CancelFunc
}

// Watch opens a stream that goes on from a cursor, an empty one for the oldest event. It ends with the test, and after a
// minute.
func (h *Harness) Watch(tb testing.TB, form Form, cursor string) *Watch {
	tb.Helper()
	return h.WatchAs(tb, form, cursor, Identity{})
}

// WatchAs is [Harness.Watch] for a client that speaks TLS or proves who it is.
func (h *Harness) WatchAs(tb testing.TB, form Form, cursor string, who Identity) *Watch {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), patience)
	w := &Watch{stop: cancel}
	tb.Cleanup(cancel)
	var err error
	if form == Stream {
		err = w.openGRPC(ctx, tb, address(h.Server, GRPC), cursor, who)
	} else {
		err = w.openHTTP(ctx, tb, address(h.Server, HTTP), form, cursor, who)
	}
	if err != nil {
		tb.Fatalf("watch by %s: %v", form, err)
	}
	return w
}

// Next waits for the next message. Where there is none the outcome says how the stream ended.
func (w *Watch) Next() (*exportgatev1.WatchStatusResponse, Outcome) { return w.next() }

// Stop breaks the stream off.
func (w *Watch) Stop() { w.stop() }

func (w *Watch) openGRPC(ctx context.Context, tb testing.TB, address, cursor string, who Identity) error {
	tb.Helper()
	conn, err := grpc.NewClient(address, who.dialOptions()...)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	stream, err := exportgatev1.NewExportingServiceClient(conn).WatchStatus(ctx, &exportgatev1.WatchStatusRequest{Cursor: cursor})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	w.next = func() (*exportgatev1.WatchStatusResponse, Outcome) {
		response, err := stream.Recv()
		if err != nil {
			return nil, failure(status.Convert(err))
		}
		return response, Outcome{}
	}
	return nil
}

// openHTTP gives the cursor as clients of each form do.
func (w *Watch) openHTTP(ctx context.Context, tb testing.TB, address string, form Form, cursor string, who Identity) error {
	tb.Helper()
	client, scheme := who.Client()
	target := scheme + "://" + address + "/actuator/exporting/watch"
	if form == Lines && cursor != "" {
		target += "?cursor=" + url.QueryEscape(cursor)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	media := "application/x-ndjson"
	if form == Events {
		media = "text/event-stream"
		if cursor != "" {
			request.Header.Set("Last-Event-ID", cursor)
		}
	}
	request.Header.Set("Accept", media)
	tb.Cleanup(client.CloseIdleConnections)
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("send the request: %w", err)
	}
	tb.Cleanup(func() { _ = answer.Body.Close() })
	if answer.StatusCode != http.StatusOK {
		w.next = refused(answer)
		return nil
	}
	if got := answer.Header.Get("Content-Type"); got != media {
		return fmt.Errorf("the answer is %s, not %s", got, media)
	}
	lines := bufio.NewScanner(answer.Body)
	const longest = 4 << 20
	lines.Buffer(nil, longest)
	read := readLine
	if form == Events {
		read = readEvent
	}
	w.next = func() (*exportgatev1.WatchStatusResponse, Outcome) {
		response, outcome, err := read(lines)
		if err != nil {
			return nil, Outcome{Code: codes.Unknown, Err: err}
		}
		return response, outcome
	}
	return nil
}

// refused is the end of a stream that never began: an ordinary answer.
func refused(answer *http.Response) func() (*exportgatev1.WatchStatusResponse, Outcome) {
	const enough = 1 << 20
	body, err := io.ReadAll(io.LimitReader(answer.Body, enough))
	outcome := Outcome{Code: codes.Unknown, Err: err}
	if err == nil {
		if outcome, err = readAnswer(http.MethodGet, answer.StatusCode, body, nil); err != nil {
			outcome = Outcome{Code: codes.Unknown, Err: fmt.Errorf("%w: %d %s", err, answer.StatusCode, body)}
		}
	}
	outcome.HTTP = answer.StatusCode
	return func() (*exportgatev1.WatchStatusResponse, Outcome) { return nil, outcome }
}

// readLine reads newline-delimited JSON: a message, or the last line, which says how the stream ends.
func readLine(lines *bufio.Scanner) (*exportgatev1.WatchStatusResponse, Outcome, error) {
	if !lines.Scan() {
		return nil, Outcome{}, endOf(lines)
	}
	var frame struct{ Result, Error json.RawMessage }
	if err := json.Unmarshal(lines.Bytes(), &frame); err != nil {
		return nil, Outcome{}, fmt.Errorf("%w in line %q", err, lines.Text())
	}
	if frame.Error != nil {
		outcome, err := readStatus(frame.Error)
		return nil, outcome, err
	}
	response := &exportgatev1.WatchStatusResponse{}
	return response, Outcome{}, protojson.Unmarshal(frame.Result, response)
}

// readEvent reads one of the Server-Sent Events, past the comments before it.
func readEvent(lines *bufio.Scanner) (*exportgatev1.WatchStatusResponse, Outcome, error) {
	event := map[string]string{}
	for lines.Scan() {
		switch name, value, ok := strings.Cut(lines.Text(), ": "); {
		case name != "" && ok:
			event[name] = value
		case lines.Text() == "" && event["event"] != "":
			return toMessage(event)
		}
	}
	return nil, Outcome{}, endOf(lines)
}

// toMessage is the message of an event, or the last word of the server.
func toMessage(event map[string]string) (*exportgatev1.WatchStatusResponse, Outcome, error) {
	data := []byte(event["data"])
	switch event["event"] {
	case "error":
		outcome, err := readStatus(data)
		return nil, outcome, err
	case "status":
	default:
		return nil, Outcome{}, fmt.Errorf("there is no event %q", event["event"])
	}
	response := &exportgatev1.WatchStatusResponse{}
	if err := protojson.Unmarshal(data, response); err != nil {
		return nil, Outcome{}, fmt.Errorf("read the data: %w", err)
	}
	if id := event["id"]; id != response.GetCursor() || event["retry"] == "" {
		return nil, Outcome{}, fmt.Errorf("the event has id %q and retry %q, and the cursor is %q", id, event["retry"], response.GetCursor())
	}
	return response, Outcome{}, nil
}

func readStatus(text []byte) (Outcome, error) {
	var st rpcstatus.Status
	if err := protojson.Unmarshal(text, &st); err != nil {
		return Outcome{}, fmt.Errorf("the error is not a google.rpc.Status: %w", err)
	}
	return failure(status.FromProto(&st)), nil
}

func endOf(lines *bufio.Scanner) error {
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the stream: %w", err)
	}
	return errors.New("the stream ended without a word")
}
