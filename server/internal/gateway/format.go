package gateway

import (
	"fmt"
	"slices"

	"google.golang.org/grpc/status"
)

// format is how a stream of statuses is written. Each frame is whole: it is sent at once, and never mixed with another.
type format interface {
	// media is the media type.
	media() string
	// response is the frame of a message with a cursor, whose JSON is given in parts.
	response(cursor string, message ...[]byte) [][]byte
	// failure is the last frame of a stream that ends for a reason.
	failure(st *status.Status) []byte
	// heartbeat is a frame that says nothing; nil where the format has none.
	heartbeat() []byte
}

// lines is newline-delimited JSON, each line as grpc-gateway writes its streams and the OpenAPI document describes them.
// It has no heartbeat: many readers of lines take an empty one for broken JSON.
type lines struct{}

func (lines) media() string { return mediaLines }

func (lines) response(_ string, message ...[]byte) [][]byte {
	return slices.Concat([][]byte{[]byte(`{"result":`)}, message, [][]byte{[]byte("}\n")})
}

func (lines) failure(st *status.Status) []byte {
	return fmt.Appendf(nil, "{\"error\":%s}\n", statusJSON(st))
}

func (lines) heartbeat() []byte { return nil }

// events is Server-Sent Events. protobuf's JSON has no newlines, and so is one line of data. Each event says after how
// many milliseconds to come back if the stream breaks: what the last one said counts.
type events struct{}

// comeBack is for a stream that breaks without a word.
const comeBack = 2000

func (events) media() string { return mediaEvents }

func (events) response(cursor string, message ...[]byte) [][]byte {
	event := fmt.Appendf(nil, "retry: %d\n", comeBack)
	if cursor != "" && printable(cursor) { // else it could not come back in a header
		event = fmt.Appendf(event, "id: %s\n", cursor)
	}
	event = append(event, "event: status\ndata: "...)
	return slices.Concat([][]byte{event}, message, [][]byte{[]byte("\n\n")})
}

func (events) failure(st *status.Status) []byte {
	const second = 1000
	return fmt.Appendf(nil, "retry: %d\nevent: error\ndata: %s\n\n", retryAfter(st)*second, statusJSON(st))
}

func (events) heartbeat() []byte { return []byte(": still here\n\n") }
