package gateway

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fullstorydev/grpchan/inprocgrpc"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// follower is a client of a stream.
type follower struct {
	t        *testing.T
	response *http.Response
	reader   *bufio.Reader
}

// follow opens a stream, which must begin, and leaves it when the test ends. Headers are name, value pairs.
func follow(t *testing.T, d *door, transport *http.Transport, headers ...string) *follower {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // so that a stream that hangs fails the test
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+pathWatch, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	t.Cleanup(transport.CloseIdleConnections)
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK {
		t.Fatalf("answer is %d, want a stream", response.StatusCode)
	}
	return &follower{t, response, bufio.NewReader(response.Body)}
}

// line reads a line of a stream; empty at its end, which must be a clean one.
func (f *follower) line() string {
	f.t.Helper()
	line, err := f.reader.ReadString('\n')
	if err != nil && (!errors.Is(err, io.EOF) || line != "") {
		f.t.Fatalf("the stream broke off after %q: %v", line, err)
	}
	return line
}

// event reads the fields of an event, a comment under no name; nil at the end.
func (f *follower) event() map[string]string {
	f.t.Helper()
	var event map[string]string
	for line := f.line(); line != ""; line = f.line() {
		if line == "\n" {
			return event
		}
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if _, twice := event[name]; !ok || twice {
			f.t.Fatalf("after %v comes the line %q", event, line)
		}
		if event == nil {
			event = map[string]string{}
		}
		event[name] = value
	}
	if event != nil {
		f.t.Fatalf("the stream ended in the middle of %v", event)
	}
	return nil
}

// mustBe compares the JSON of a message with what it should be.
func mustBe(t *testing.T, data string, want *exportgatev1.WatchStatusResponse) {
	t.Helper()
	got := &exportgatev1.WatchStatusResponse{}
	if err := protojson.Unmarshal([]byte(data), got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	if !strings.Contains(data, `"settled":false`) && !strings.Contains(data, `"settled": false`) {
		t.Errorf("message %s leaves out zero values", data)
	}
}

// thatFails is a service with a second status, which then fails.
func thatFails(t *testing.T) *fake {
	t.Helper()
	st, err := status.New(codes.Unavailable, "gone\n<for> now").WithDetails(
		&errdetails.RetryInfo{RetryDelay: durationpb.New(7 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	return &fake{stream: func(stream watchStream) error {
		if err := stream.Send(statusAt("second")); err != nil {
			return err
		}
		return st.Err()
	}}
}

const goneStatus = `{"code": 14, "message": "gone\n<for> now", "details": [
	{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}]}`

func TestEvents(t *testing.T) {
	d := openDoor(t, thatFails(t), Options{})
	f := follow(t, d, &http.Transport{}, "Accept", "text/html;q=0.5, text/event-stream")
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no", "Content-Length": "",
		"X-Request-Id": "id-of-the-server", "X-Secret": "", "X-Content-Type-Options": "nosniff",
	} {
		if got := f.response.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, cursor := range []string{"first", "second"} {
		event := f.event()
		mustBe(t, event["data"], statusAt(cursor))
		delete(event, "data")
		want := map[string]string{"id": cursor, "event": "status", "retry": "2000"}
		if diff := cmp.Diff(want, event); diff != "" {
			t.Errorf("event (-want +got):\n%s", diff)
		}
	}
	event := f.event()
	if diff := cmp.Diff(decode(t, goneStatus), decode(t, event["data"])); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	delete(event, "data")
	// No id: the client must not go on from here.
	if diff := cmp.Diff(map[string]string{"event": "error", "retry": "7000"}, event); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if more := f.event(); more != nil {
		t.Errorf("after the error comes %v", more)
	}
}

func TestLines(t *testing.T) {
	d := openDoor(t, thatFails(t), Options{heartbeat: time.Nanosecond}) // which lines do not have
	f := follow(t, d, &http.Transport{})
	if got := f.response.Header.Get("Content-Type"); got != "application/x-ndjson" {
		t.Errorf("type is %q", got)
	}
	for _, cursor := range []string{"first", "second"} {
		line := f.line()
		inner, ok := strings.CutPrefix(line, `{"result":`)
		inner, ends := strings.CutSuffix(inner, "}\n")
		if !ok || !ends {
			t.Fatalf("line is %q", line)
		}
		mustBe(t, inner, statusAt(cursor))
	}
	if diff := cmp.Diff(map[string]any{"error": decode(t, goneStatus)}, decode(t, f.line())); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	if more := f.line(); more != "" {
		t.Errorf("after the error comes %q", more)
	}
}

func TestCursors(t *testing.T) {
	tests := []struct {
		name, query string
		ids         []string
		want        string // of the request; empty also where there is none
		code        int
		message     string
	}{
		{"none", "", nil, "", 200, ""},
		{"a parameter", "?cursor=a:7", nil, "a:7", 200, ""},
		{"a header", "", []string{"a:7"}, "a:7", 200, ""},
		{"an empty header", "", []string{""}, "", 200, ""},
		{"both, equal", "?cursor=a:7", []string{"a:7"}, "a:7", 200, ""},
		{"both, different", "?cursor=a:7", []string{"a:8"}, "", 400, `Last-Event-ID is "a:8"`},
		{"two headers", "", []string{"a:7", "a:8"}, "", 400, `says "a:7": give one`},
		{"no text", "", []string{"a\xff"}, "", 400, "UTF-8"},
		{"more than a line", "", []string{"a\u2028"}, "", 400, "on one line"},
		{"a long one", "", []string{strings.Repeat("a", 1001)}, "", 400, "1 to 1000 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			service := &fake{}
			d := openDoor(t, service, Options{})
			headers := []string{"Accept", mediaEvents}
			for _, id := range test.ids {
				headers = append(headers, "last-event-id", id)
			}
			got := send(t, http.MethodGet, d.url+pathWatch+test.query, nil, headers...)
			if got.code != test.code || !strings.Contains(got.body, jsonText(test.message)) {
				t.Fatalf("answer is %d %s, want %d with %s", got.code, got.body, test.code, test.message)
			}
			if test.code != http.StatusOK {
				if n := len(service.requests()); n > 0 {
					t.Error("the service was asked")
				}
				return
			}
			want := []any{&exportgatev1.WatchStatusRequest{Cursor: test.want}}
			var seen []any
			for _, request := range service.requests() {
				seen = append(seen, request)
			}
			if diff := cmp.Diff(want, seen, protocmp.Transform()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// jsonText is a text as it looks in JSON.
func jsonText(text string) string { return strings.ReplaceAll(text, `"`, `\"`) }

// TestWatchThatDoesNotBegin proves that a service without a word is given up like a call.
func TestWatchThatDoesNotBegin(t *testing.T) {
	service := &fake{answer: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	for name, headers := range map[string][]string{"of the door": nil, "of the client": {"Grpc-Timeout", "50m"}} {
		t.Run(name, func(t *testing.T) {
			o := Options{Timeout: 50 * time.Millisecond}
			if headers != nil {
				o.Timeout = time.Minute
			}
			got := send(t, http.MethodGet, openDoor(t, service, o).url+pathWatch, nil, append(headers, "Accept", mediaEvents)...)
			if got.code != http.StatusGatewayTimeout || decode(t, got.body)["status"] != 504.0 {
				t.Errorf("answer is %d %s, want an ordinary 504", got.code, got.body)
			}
		})
	}
	got := send(t, http.MethodGet, openDoor(t, service, Options{}).url+pathWatch, nil, "Grpc-Timeout", "soon")
	if got.code != http.StatusBadRequest {
		t.Errorf("answer to a timeout that is none is %d %s, want 400", got.code, got.body)
	}
}

// TestWatchOutlivesTimeouts proves that nothing that bounds a call ends a stream on which all is quiet.
func TestWatchOutlivesTimeouts(t *testing.T) {
	const limit = 300 * time.Millisecond
	var unencrypted http.Protocols
	unencrypted.SetUnencryptedHTTP2(true)
	for name, transport := range map[string]*http.Transport{"HTTP/1.1": {}, "HTTP/2.0": {Protocols: &unencrypted}} {
		t.Run(name, func(t *testing.T) {
			service := &fake{stream: func(stream watchStream) error {
				select {
				case <-stream.Context().Done():
					return stream.Context().Err()
				case <-time.After(3 * limit):
					return stream.Send(statusAt("late"))
				}
			}}
			d := openDoor(t, service, Options{Timeout: limit, writing: limit}, func(s *Server) {
				s.Protocols = new(http.Protocols)
				s.Protocols.SetHTTP1(true)
				s.Protocols.SetUnencryptedHTTP2(true)
				s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout = limit, limit, limit, limit
			})
			f := follow(t, d, transport, "Accept", mediaEvents)
			if f.response.Proto != name {
				t.Fatalf("the answer came over %s", f.response.Proto)
			}
			if first, late := f.event(), f.event(); first["id"] != "first" || late["id"] != "late" {
				t.Errorf("events are %v and %v", first, late)
			}
			if last := f.event(); last["event"] != "error" || !strings.Contains(last["data"], "connect again") {
				t.Errorf("a stream that the service ends says %v", last)
			}
		})
	}
}

// TestHeartbeats proves that a quiet stream is not silent, and that no heartbeat gets into a message.
func TestHeartbeats(t *testing.T) {
	const many = 200
	heard := make(chan struct{})
	service := &fake{stream: func(stream watchStream) error {
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-heard:
		}
		for i := range many {
			if err := stream.Send(statusAt(strconv.Itoa(i))); err != nil {
				return err
			}
		}
		return nil
	}}
	d := openDoor(t, service, Options{heartbeat: 100 * time.Microsecond})
	f := follow(t, d, &http.Transport{}, "Accept", mediaEvents)
	if first := f.event(); first["event"] != "status" {
		t.Fatalf("the first event is %v", first)
	}
	for range 3 {
		if beat := f.event(); len(beat) != 1 || beat[""] == "" {
			t.Fatalf("on a quiet stream comes %v", beat)
		}
	}
	close(heard)
	for next := 0; next < many; {
		event := f.event()
		if event[""] != "" {
			continue
		}
		if event["id"] != strconv.Itoa(next) {
			t.Fatalf("event is %v, want the one of %d", event, next)
		}
		next++
	}
}

// endless sends large messages for as long as it can, and tells when a stream has ended.
func endless() (_ *fake, ended <-chan string) {
	ends := make(chan string, 10)
	return &fake{stream: func(stream watchStream) error {
		message := statusAt("large")
		message.Status.UnsettledReason = strings.Repeat("x", 1<<20)
		for {
			if err := stream.Send(message); err != nil {
				ends <- peerIn(stream.Context())
				return err
			}
		}
	}}, ends
}

// TestSlowClients proves that a client that does not read is given up, and holds up nobody else meanwhile.
func TestSlowClients(t *testing.T) {
	service, ended := endless()
	d := openDoor(t, service, Options{writing: time.Second})
	slow := dialRaw(t, d)
	write(t, slow, "GET /exporting/watch HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
	f := follow(t, d, &http.Transport{}, "Accept", mediaEvents)
	f.event()
	for fast := true; fast; {
		if event := f.event(); len(event["data"]) < 1<<20 {
			t.Fatalf("the client that reads gets %v", event)
		}
		select {
		case <-ended: // the slow one's: this one goes on
			fast = false
		default:
		}
	}
	for range 50 { // more than was under way to it
		if event := f.event(); event["id"] != "large" {
			t.Fatalf("the client that reads then gets %v", event)
		}
	}
	left, err := io.Copy(io.Discard, slow)
	if err != nil || left == 0 {
		t.Errorf("the slow client gets %d bytes and %v, want what was under way and the end", left, err)
	}
}

// TestWatchEndsWithItsClient proves that the service learns that a client has left.
func TestWatchEndsWithItsClient(t *testing.T) {
	ended := make(chan error, 1)
	service := &fake{stream: func(stream watchStream) error {
		<-stream.Context().Done()
		ended <- stream.Context().Err()
		return nil
	}}
	f := follow(t, openDoor(t, service, Options{}), &http.Transport{})
	f.line()
	if err := f.response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the stream went on")
	}
}

// TestDraining proves that streams do not keep a server from stopping, and that their clients learn why they end.
func TestDraining(t *testing.T) {
	draining, drain := context.WithCancel(t.Context())
	defer drain()
	service := &fake{stream: func(stream watchStream) error { <-stream.Context().Done(); return nil }}
	d := openDoor(t, service, Options{Draining: draining})
	one, two := follow(t, d, &http.Transport{}, "Accept", mediaEvents), follow(t, d, &http.Transport{})
	one.event()
	two.line()

	drain()
	event := one.event()
	line := decode(t, two.line())
	if event["event"] != "error" || !strings.Contains(event["data"], "SHUTTING_DOWN") {
		t.Errorf("the event at the end is %v", event)
	}
	if diff := cmp.Diff(map[string]any{"error": decode(t, event["data"])}, line); diff != "" {
		t.Errorf("line at the end (-event's +got):\n%s", diff)
	}
	if one.event() != nil || two.line() != "" {
		t.Error("a stream went on")
	}
	got := send(t, http.MethodGet, d.url+pathWatch, nil)
	if got.code != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" ||
		!strings.Contains(got.body, "SHUTTING_DOWN") {
		t.Errorf("a new stream is answered with %d %s", got.code, got.body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := d.server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// TestStatusThatCannotBeSent proves that a stream ends with a word where a message has no JSON. Only in the process can
// such a message get as far as here.
func TestStatusThatCannotBeSent(t *testing.T) {
	channel, seen := new(inprocgrpc.Channel), make(chan struct{})
	exportgatev1.RegisterExportingServiceServer(channel, &fake{stream: func(stream watchStream) error {
		<-seen
		return stream.Send(&exportgatev1.WatchStatusResponse{Cursor: "\xff"})
	}})
	f := follow(t, openDoor(t, nil, Options{Conn: channel}), &http.Transport{}, "Accept", mediaEvents)
	f.event()
	close(seen)
	if event := f.event(); event["event"] != "error" || !strings.Contains(event["data"], "encode a status") {
		t.Errorf("event is %v, want an error", event)
	}
	if more := f.event(); more != nil {
		t.Errorf("after the error comes %v", more)
	}
}

// TestCursorThatIsNoHeader proves that a cursor cannot break an event open.
func TestCursorThatIsNoHeader(t *testing.T) {
	for _, cursor := range []string{"", "a\nevent: evil", "ü"} {
		event, err := events{}.response(statusAt(cursor))
		if err != nil || strings.Contains(string(event), "id:") || strings.Count(string(event), "\n") != 4 {
			t.Errorf("with the cursor %q: event is %q, %v; want one without an id", cursor, event, err)
		}
	}
}
