package broadcast

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// TestCodec proves that any client reads what gRPC's own codec would have sent it.
func TestCodec(t *testing.T) {
	tests := map[string]proto.Message{
		"whole":            whole(t),
		"the status alone": &exportgatev1.WatchStatusResponse{Status: whole(t).GetStatus()},
		"an empty status":  &exportgatev1.WatchStatusResponse{Status: &exportgatev1.Status{}, Cursor: "a.1"},
		"without a status": &exportgatev1.WatchStatusResponse{Cursor: "a.1", Events: whole(t).GetEvents()},
		"empty":            &exportgatev1.WatchStatusResponse{},
		"another message":  &exportgatev1.GetStatusResponse{Status: whole(t).GetStatus()},
	}
	ours, theirs := NewCodec(), encoding.GetCodecV2(grpcproto.Name)
	if ours.Name() != theirs.Name() {
		t.Errorf("name is %q, want %q", ours.Name(), theirs.Name())
	}
	for name, message := range tests {
		t.Run(name, func(t *testing.T) {
			for _, reader := range []encoding.CodecV2{ours, theirs} {
				data, err := ours.Marshal(message)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := data.Len(), proto.Size(message); got != want {
					t.Errorf("it takes %d bytes, want %d", got, want)
				}
				got := message.ProtoReflect().New().Interface()
				if err := reader.Unmarshal(data, got); err != nil {
					t.Fatal(err)
				}
				data.Free()
				if diff := cmp.Diff(message, got, protocmp.Transform()); diff != "" {
					t.Errorf("message (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestCodecSharesTheStatus proves that streams which differ in their events send the same bytes of a status.
func TestCodecSharesTheStatus(t *testing.T) {
	c := NewCodec()
	status := whole(t).GetStatus()
	first := func(response *exportgatev1.WatchStatusResponse) *byte {
		data, err := c.Marshal(response)
		if err != nil {
			t.Fatal(err)
		}
		defer data.Free()
		return &data[0].ReadOnlyData()[0]
	}
	one := first(&exportgatev1.WatchStatusResponse{Status: status, Cursor: "a.1"})
	if two := first(&exportgatev1.WatchStatusResponse{Status: status, Cursor: "a.2"}); one != two {
		t.Error("the status was encoded twice")
	}
	if other := first(&exportgatev1.WatchStatusResponse{Status: whole(t).GetStatus()}); one == other {
		t.Error("another status has the same bytes")
	}
}

func TestCodecThatFails(t *testing.T) {
	for name, message := range map[string]*exportgatev1.WatchStatusResponse{
		"status": {Status: &exportgatev1.Status{UnsettledReason: "\xff"}},
		"rest":   {Status: &exportgatev1.Status{}, Cursor: "\xff"},
	} {
		if data, err := NewCodec().Marshal(message); err == nil {
			t.Errorf("%s: text that is no UTF-8 was sent as %q", name, data.Materialize())
		}
	}
}
