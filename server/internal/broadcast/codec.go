package broadcast

import (
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// codec is gRPC's own for protobuf, but for the messages of a watch.
type codec struct {
	encoding.CodecV2

	statuses *Encoding
}

// NewCodec returns a codec for a gRPC server. It encodes as gRPC's own does, in the same format, but a status that many streams
// send only once. It keeps the bytes of one status.
func NewCodec() encoding.CodecV2 {
	return &codec{encoding.GetCodecV2(grpcproto.Name), NewEncoding(func(status *exportgatev1.Status) ([]byte, error) {
		return proto.Marshal(&exportgatev1.WatchStatusResponse{Status: status})
	})}
}

// Marshal makes a response of two encodings, one with nothing but the status and one of the rest: in protobuf's format, parts
// of a message in a row are the message. The bytes of the status go back to no pool, and so need no count of references.
func (c *codec) Marshal(v any) (mem.BufferSlice, error) {
	response, ok := v.(*exportgatev1.WatchStatusResponse)
	if !ok || response.GetStatus() == nil {
		return c.CodecV2.Marshal(v)
	}
	status, err := c.statuses.Of(response.GetStatus())
	if err != nil {
		return nil, err
	}
	rest, err := c.CodecV2.Marshal(Rest(response))
	if err != nil {
		return nil, err
	}
	return append(mem.BufferSlice{mem.SliceBuffer(status)}, rest...), nil
}
