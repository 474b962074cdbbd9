package gateway

import (
	"net/http"
	"slices"
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
		event := string(slices.Concat(events{}.response(cursor, []byte("{"), []byte("}"))...))
		if strings.Contains(event, "id:") || strings.Count(event, "\n") != 4 || !strings.HasSuffix(event, "data: {}\n\n") {
			t.Errorf("with the cursor %q: event is %q; want one without an id", cursor, event)
		}
	}
}
