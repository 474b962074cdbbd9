package identity_test

import (
	"bufio"
	"context"
	"net/http"
	"testing"
	"time"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/certs/certstest"
	"github.com/exportgate/exportgate/server/servertest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/exportgate/exportgate/server/servertest/peers/provider"
)

// watching opens a stream, and returns what waits for its next message.
func (c *client) watching(t *testing.T) (next func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	if c.door == servertest.GRPC {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", c.shows.headers.Get("Authorization"))
		stream, err := exportgatev1.NewExportingServiceClient(c.conn).WatchStatus(ctx, &exportgatev1.WatchStatusRequest{}, grpc.WaitForReady(true))
		if err != nil {
			t.Fatal(err)
		}
		return func() error { _, err := stream.Recv(); return err }
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/exporting/watch", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = c.shows.headers.Clone()
	got, err := c.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = got.Body.Close() })
	lines := bufio.NewReader(got.Body)
	return func() error { _, err := lines.ReadString('\n'); return err }
}

// TestRevocation: a token that is taken out of the file is of no use within seconds, while streams that it has opened last, as
// docs/security.md says; and a token that is put in is good without a restart.
func TestRevocation(t *testing.T) {
	t.Parallel()
	w := start(t, provider.Start(t))
	w.tokens.add(t, "leaver")
	w.await(t, "the new token is read", func() bool { return w.look(t, servertest.GRPC, w.static("leaver")).code == codes.PermissionDenied })
	viewer := w.static("viewer")
	var open []func() error
	for _, door := range servertest.Doors() {
		next := w.dial(t, door, viewer).watching(t)
		if err := next(); err != nil {
			t.Fatalf("a stream through %s does not begin: %v", door, err)
		}
		open = append(open, next)
	}
	w.tokens.revoke(t, "viewer")
	began := time.Now()
	w.await(t, "the token is refused", func() bool { return w.look(t, servertest.GRPC, viewer).code == codes.Unauthenticated })
	const soon = 10 * time.Second
	if took := time.Since(began); took > soon {
		t.Errorf("a token that was revoked was taken for %v", took)
	}
	w.expectBoth(t, "the token that was revoked", viewer, who)
	w.expectBoth(t, "another one", w.static("holder"), ok)
	w.place(t, "while-it-lasts")
	for _, next := range open {
		if err := next(); err != nil {
			t.Errorf("a stream that was open ended: %v", err)
		}
	}
	w.tokens.add(t, "viewer")
	w.await(t, "the next token is taken", func() bool { return w.look(t, servertest.HTTP, w.static("viewer")).code == codes.OK })
	w.expectBoth(t, "the token before it", viewer, who)
}

// TestBrokenTokenFile: a slip of the pen locks nobody out, lets nobody in, and is told.
func TestBrokenTokenFile(t *testing.T) {
	t.Parallel()
	w := start(t, provider.Start(t))
	failed := func() bool { return w.metric(t, "exportgate_tokens_reload_failed") == 1 }
	if failed() {
		t.Fatal("the file is told to be broken, and is not")
	}
	stray := w.tokens.add(t, "stray")
	certstest.WriteFile(t, w.tokens.path, []byte("stray "+stray+"\n")) // A token, where its hash belongs.
	w.await(t, "the broken file is told", failed)
	w.expectBoth(t, "a token from before", w.static("viewer"), ok)
	w.tokens.add(t, "late")
	w.await(t, "the file is told to be whole", func() bool { return !failed() })
	w.await(t, "the last token is taken", func() bool { return w.look(t, servertest.GRPC, w.static("late")).code == codes.PermissionDenied })
}
