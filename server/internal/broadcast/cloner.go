package broadcast

import (
	"github.com/fullstorydev/grpchan/inprocgrpc"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// Cloner is for an in-process channel, which copies what passes through it twice, so that neither side can change what the
// other sees. It passes the messages of a watch on as they are, and leaves all others to the channel's own.
type Cloner struct{ inprocgrpc.ProtoCloner }

var _ inprocgrpc.Cloner = Cloner{}

// Clone implements [inprocgrpc.Cloner].
func (c Cloner) Clone(in any) (any, error) {
	if response, ok := in.(*exportgatev1.WatchStatusResponse); ok {
		return response, nil
	}
	return c.ProtoCloner.Clone(in)
}

// Copy implements [inprocgrpc.Cloner].
func (c Cloner) Copy(out, in any) error {
	response, isResponse := in.(*exportgatev1.WatchStatusResponse)
	received, takesResponse := out.(*exportgatev1.WatchStatusResponse)
	if !isResponse || !takesResponse {
		return c.ProtoCloner.Copy(out, in)
	}
	share(received, response)
	return nil
}
