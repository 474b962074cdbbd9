package servertest_test

import (
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/servertest"
)

// Calls whose message does not come are not kept, whichever they are: nobody knows whose they are, so that no other limit counts
// them.
func TestCallsWithoutMessage(t *testing.T) {
	t.Parallel()
	h := servertest.Start(t, servertest.Options{})
	conn := dialGRPC(t, h)
	for _, method := range []string{
		exportgatev1.ExportingService_Pause_FullMethodName, exportgatev1.ExportingService_WatchStatus_FullMethodName,
		grpc_health_v1.Health_Check_FullMethodName, grpc_health_v1.Health_Watch_FullMethodName,
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
			if err != nil {
				t.Fatal(err)
			}
			err = stream.RecvMsg(new(exportgatev1.PauseResponse))
			if took := time.Since(began); status.Code(err) != codes.Canceled || took < 9*time.Second || took > 20*time.Second {
				t.Errorf("after %s: %v", took, err)
			}
		})
	}
}

// Watches of the health are for everybody, and leave room: for others, and for questions.
func TestHealthWatches(t *testing.T) {
	t.Parallel()
	h := servertest.Start(t, servertest.Options{})
	client := grpc_health_v1.NewHealthClient(dialGRPC(t, h))
	for i := range 201 {
		stream, err := client.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		want := codes.OK
		if i == 200 {
			want = codes.ResourceExhausted
		}
		if _, err := stream.Recv(); status.Code(err) != want {
			t.Fatalf("watch %d: %v, want %s", i, err, want)
		}
	}
	if _, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Errorf("a question: %v", err)
	}
}
