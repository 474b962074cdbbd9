package gateway

import (
	"google.golang.org/protobuf/encoding/protojson"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/broadcast"
)

// messages encodes what streams send. The status of a large cluster has megabytes of JSON and takes longest of all, and so
// it is encoded once for all streams, which may differ in the rest.
type messages struct{ statuses *broadcast.Encoding }

func newMessages() messages {
	return messages{broadcast.NewEncoding(func(status *exportgatev1.Status) ([]byte, error) {
		return protoJSON().MarshalAppend([]byte(`{"status":`), status)
	})}
}

// parts is the JSON of a message, in parts that are shared and must not be changed.
func (m messages) parts(response *exportgatev1.WatchStatusResponse) ([][]byte, error) {
	if response.GetStatus() == nil { // Then there is nothing to share.
		whole, err := protoJSON().Marshal(response)
		return [][]byte{whole}, err
	}
	status, err := m.statuses.Of(response.GetStatus())
	if err != nil {
		return nil, err
	}
	// As protoJSON has it, but without a status that is null.
	rest, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(broadcast.Rest(response))
	if err != nil {
		return nil, err
	}
	rest[0] = ',' // The brace is the status's.
	return [][]byte{status, rest}, nil
}
