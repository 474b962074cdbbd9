// Package broadcast makes a status that many streams send cost little more than one: each door encodes it once, and on its
// way through the process it is not copied.
//
// All of it rests on one rule: a [exportgatev1.WatchStatusResponse], and whatever it points to, is not changed after it was
// sent. The events and the cursor, which are small, may differ from stream to stream.
package broadcast

import (
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// Encoding encodes statuses, and keeps the bytes of the last one. Nearly all streams send that one; for a stream that is
// behind, its own is encoded anew. Its methods may be called by many goroutines at once.
type Encoding struct {
	encode func(*exportgatev1.Status) ([]byte, error)

	mu   sync.Mutex
	of   *exportgatev1.Status
	last func() ([]byte, error) // encodes it, once; nil at first
}

// NewEncoding returns an encoding that keeps nothing yet.
func NewEncoding(encode func(*exportgatev1.Status) ([]byte, error)) *Encoding {
	return &Encoding{encode: encode}
}

// Of returns the bytes of a status, which are shared and must not be changed. Whoever asks while they are being made waits
// for them. An error is kept as bytes are.
func (e *Encoding) Of(status *exportgatev1.Status) ([]byte, error) { return e.once(status)() }

// once does not encode itself: streams with another status would wait for its lock.
func (e *Encoding) once(status *exportgatev1.Status) func() ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.last == nil || e.of != status {
		e.of, e.last = status, sync.OnceValues(func() ([]byte, error) { return e.encode(status) })
	}
	return e.last
}

// Rest is a response without its status. What is left is shared with the response.
func Rest(response *exportgatev1.WatchStatusResponse) *exportgatev1.WatchStatusResponse {
	rest := new(exportgatev1.WatchStatusResponse)
	share(rest, response)
	rest.Status = nil
	return rest
}

// share makes a message the same as another, with which it then shares all that is large. It goes over the fields by
// reflection, so that one that is added to the contract is not lost here.
func share(out, in *exportgatev1.WatchStatusResponse) {
	proto.Reset(out)
	to := out.ProtoReflect()
	in.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		to.Set(field, value)
		return true
	})
}
