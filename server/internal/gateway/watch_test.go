package gateway

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

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
		{"both, different", "?cursor=a:7", []string{"a:8"}, "a:8", 200, ""},
		{"both, an empty header", "?cursor=a:7", []string{""}, "a:7", 200, ""},
		{"both, no text", "?cursor=a:7", []string{"a\xff"}, "", 400, "UTF-8"},
		{"two headers", "", []string{"a:7", "a:8"}, "", 400, `says "a:7": give one`},
		{"two headers, one empty", "?cursor=a:6", []string{"", "a:7"}, "a:7", 200, ""},
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

// endedStream is one that has ended before it is sent a request, as one in the process may have that was refused.
type endedStream struct {
	grpc.ClientStream

	why error
}

func (endedStream) Header() (metadata.MD, error) { return nil, nil }
func (endedStream) SendMsg(any) error            { return io.EOF }
func (endedStream) CloseSend() error             { return nil }
func (s endedStream) RecvMsg(any) error          { return s.why }

// endedConn has nothing but streams that have ended.
type endedConn struct {
	grpc.ClientConnInterface

	why error
}

func (c endedConn) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return endedStream{why: c.why}, nil
}

// TestWatchThatEndedAtOnce proves that a client is told why a stream ended which took no request any more.
func TestWatchThatEndedAtOnce(t *testing.T) {
	d := openDoor(t, nil, Options{Conn: endedConn{why: status.Error(codes.PermissionDenied, "not you")}})
	if got := send(t, http.MethodGet, d.url+pathWatch, nil); got.code != http.StatusForbidden || !strings.Contains(got.body, "not you") {
		t.Errorf("answer is %d %s, want why it ended", got.code, got.body)
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
