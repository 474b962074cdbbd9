package main

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// connection is what a server does on one connection of a watch.
type connection struct {
	cursor string   // expected
	sends  []string // cursors
	ends   error
}

// TestFollow loses connections in every way that passes, and then in one that does not.
func TestFollow(t *testing.T) {
	connections := []connection{
		{"", []string{"1", "2"}, status.Error(codes.Unavailable, "going away")},
		{"2", []string{"3"}, nil},
		{"3", nil, status.Error(codes.Unavailable, "not up yet")},
		{"3", nil, status.Error(codes.Internal, "stream terminated")},
		{"3", []string{"4"}, status.Error(codes.PermissionDenied, "not any more")},
	}
	next := 0
	service := connect(t, serve(t, &fake{watch: func(cursor string, stream watchStream) error {
		now := connections[next]
		next++
		if cursor != now.cursor {
			t.Errorf("connection %d goes on from %q, want %q", next, cursor, now.cursor)
		}
		for _, c := range now.sends {
			if err := stream.Send(&exportgatev1.WatchStatusResponse{Cursor: c}); err != nil {
				return err
			}
		}
		return now.ends
	}}))
	arriving := make(chan news, 100)
	source := stream{service, time.Minute, time.Millisecond}
	err := source.follow(t.Context(), arriving)
	if status.Code(err) != codes.PermissionDenied || next != len(connections) {
		t.Errorf("ended after %d connections with %v", next, err)
	}
	close(arriving)
	var got []string
	for n := range arriving {
		if n.lost != nil {
			got = append(got, status.Convert(n.lost).Message())
			if n.again <= 0 || n.again > maxReconnectDelay {
				t.Errorf("connects again after %s", n.again)
			}
			continue
		}
		got = append(got, n.answer.GetCursor())
	}
	want := []string{"1", "2", "going away", "3", "the server ended the watch", "not up yet", "stream terminated", "4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestFollowEndsAtOnce proves that a server which never delivered is no reason to try for ever.
func TestFollowEndsAtOnce(t *testing.T) {
	tests := []struct {
		name  string
		watch func(cursor string, stream watchStream) error
		want  codes.Code
	}{
		{"silent", func(_ string, stream watchStream) error {
			<-stream.Context().Done()
			return stream.Context().Err()
		}, codes.DeadlineExceeded},
		{"away", func(string, watchStream) error {
			return status.Error(codes.Unavailable, "going away")
		}, codes.Unavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			source := stream{connect(t, serve(t, &fake{watch: test.watch})), 50 * time.Millisecond, time.Millisecond}
			if err := source.follow(t.Context(), nil); status.Code(err) != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// TestFollowEndsWithItsContext proves that neither a wait for the server nor one for who looks holds it up.
func TestFollowEndsWithItsContext(t *testing.T) {
	for _, sends := range []int{0, 1, 2} {
		ctx, cancel := context.WithCancel(t.Context())
		service := connect(t, serve(t, &fake{watch: func(_ string, stream watchStream) error {
			for range sends {
				if err := stream.Send(&exportgatev1.WatchStatusResponse{}); err != nil {
					return err
				}
			}
			cancel()
			<-stream.Context().Done()
			return stream.Context().Err()
		}}))
		source := stream{service, time.Minute, time.Minute}
		if err := source.follow(ctx, make(chan news)); err != nil { // nobody takes the news
			t.Errorf("%d: got %v", sends, err)
		}
	}
}
