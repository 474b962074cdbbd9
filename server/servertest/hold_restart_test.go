package servertest_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// stop stops the server, and not the brokers.
func (t try) stop(h *servertest.Harness) {
	t.Helper()
	if err := h.Stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}
}

// Holds are the ledger's, not the server's: the next one enforces them, whatever happened meanwhile, and knows what those
// that are over were worth.
func TestHoldsOutliveTheServer(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.5", "8.9", "8.10"}, func(t try) {
		h, route := t.start(embedded.Options{})
		over := route.Pause(t.Context(), place("over", embedded.SoftPaused))
		t.expectSuccess(h, over, embedded.SoftPaused)
		t.expectSuccess(h, route.Resume(t.Context(), release("over")), embedded.Exporting)
		backup := route.Pause(t.Context(), place("backup-1", embedded.SoftPaused))
		t.expectSuccess(h, backup, embedded.SoftPaused)

		h.Restart(t)
		t.awaitQuiet(h, embedded.SoftPaused)
		t.expectHolds(h, backup.Hold)
		again := h.Route(t, t.door).Resume(t.Context(), release("over"))
		t.expect(again, codes.OK, "")
		if again.Hold.GetUid() != over.Hold.GetUid() || again.Hold.GetContinuity() != exportgatev1.Continuity_CONTINUITY_INTACT {
			t.Errorf("hold %v that was released before the restart is told as %v", over.Hold, again.Hold)
		}

		t.stop(h)
		t.behind(h, embedded.Exporting)
		servertest.Await(t, "all export", func() bool { return h.AllIn(embedded.Exporting) })
		h.Restart(t)
		t.awaitQuiet(h, embedded.SoftPaused)
		t.expectHolds(h, backup.Hold)
		o := h.Route(t, t.door).Resume(t.Context(), release("backup-1"))
		t.expect(o, codes.FailedPrecondition, broken)
		if o.Metadata["continuity"] != "BROKEN" || !strings.Contains(o.Metadata["evidence"], "EXPORTING") {
			t.Errorf("the evidence is not told: %v", o)
		}
		t.awaitQuiet(h, embedded.Exporting)
	})
}

// A hold whose time is over while nobody serves ends all the same, as soon as somebody does.
func TestExpiryWithoutAServer(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.9", "8.10"}, func(t try) {
		h, route := t.start(embedded.Options{})
		o := route.Pause(t.Context(), lasting(place("backup-1", embedded.SoftPaused), 5*time.Second))
		t.expectSuccess(h, o, embedded.SoftPaused)
		t.stop(h)
		rest(t.Context(), time.Until(o.Hold.GetExpireTime().AsTime()))
		if !h.AllIn(embedded.SoftPaused) {
			t.Errorf("somebody resumed: %+v", h.Astray(embedded.SoftPaused))
		}
		h.Restart(t)
		t.awaitQuiet(h, embedded.Exporting)
		t.expect(h.Route(t, t.door).Resume(t.Context(), release("backup-1")), codes.FailedPrecondition, expired)
		e := t.expectEnded(h, "backup-1", exportgatev1.HoldEnd_HOLD_END_EXPIRED)
		if !e.GetEndTime().AsTime().Equal(o.Hold.GetExpireTime().AsTime()) {
			t.Errorf("hold %v ended as %v", o.Hold, e)
		}
	})
}

// A hold that was placed on a broken cluster to be kept is, also by the next server, until the cluster is well. One that was
// not to be kept is withdrawn by the next server.
func TestUnsettledHoldsOutliveTheServer(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.9", "8.10"}, func(t try) {
		h, route := t.start(embedded.Options{}, within("5s"))
		h.Cluster.Broker(1).SetFaults(embedded.Swallow())
		request := place("kept", embedded.SoftPaused)
		request.OnFailure = exportgatev1.OnFailure_ON_FAILURE_KEEP
		o := route.Pause(t.Context(), request)
		t.expectNotSettled(o, "1")
		if o.Metadata["outcome"] != "kept" || o.Metadata["hold"] != "kept" {
			t.Errorf("the outcome is not told: %v", o)
		}
		kept := t.status(h).GetHolds()
		if len(kept) != 1 || kept[0].GetSettleTime() != nil {
			t.Fatalf("the holds are %v", kept)
		}
		watch := h.Watch(t, servertest.Stream, "")
		ctx, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		cut := later(func() servertest.Outcome { return route.Pause(ctx, place("reverted", embedded.SoftPaused)) })
		t.awaitMessage(watch, func(m *exportgatev1.WatchStatusResponse) bool { return len(m.GetStatus().GetHolds()) == 2 })
		hangUp()
		<-cut
		h.Restart(t)
		servertest.Await(t, "the hold that was not to be kept is withdrawn", func() bool { return len(t.status(h).GetHolds()) == 1 })
		t.expectHolds(h, kept...)
		t.expectEnded(h, "reverted", exportgatev1.HoldEnd_HOLD_END_WITHDRAWN)
		t.heal(h)
		t.awaitQuiet(h, embedded.SoftPaused)
		t.expectHolds(h, kept...)
		t.expectSuccess(h, h.Route(t, t.door).Resume(t.Context(), release("kept")), embedded.Exporting)
	})
}

// Holds of one cluster must never be enforced on another: a server whose ledger belongs to another cluster ends, names both,
// and touches nothing.
func TestTheLedgerBelongsToOneCluster(t *testing.T) {
	t.Parallel()
	for _, held := range []string{"nothing", "anonymous", "named"} {
		t.Run(held, func(t *testing.T) {
			t.Parallel()
			t2 := try{t, "8.9", servertest.HTTP}
			path := t.TempDir() + "/exportgate.db"
			at := map[string]string{"store.path": path}
			first, route := t2.start(embedded.Options{}, at)
			t2.awaitQuiet(first, embedded.Exporting)
			switch held {
			case "anonymous":
				t2.expectSuccess(first, route.Pause(t.Context(), soft()), embedded.SoftPaused)
			case "named":
				t2.expectSuccess(first, route.Pause(t.Context(), place("backup-1", embedded.SoftPaused)), embedded.SoftPaused)
			}
			t2.awaitReads(first) // The ledger is bound by the end of a pass.
			t2.stop(first)

			other, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = other.Close() }()
			settings := servertest.Settings(t, other, servertest.Options{Settings: at})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			err = server.Run(ctx, servertest.Load(t, settings), slog.New(slog.NewTextHandler(t.Output(), nil)))
			if err == nil || ctx.Err() != nil {
				t.Fatalf("the server ran with another cluster's ledger: %v", err)
			}
			for _, name := range []string{first.Cluster.Addresses()[0], other.Addresses()[0], "store.path"} {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("the error does not name %s: %v", name, err)
				}
			}
			if writes := other.Writes(); len(writes) > 0 {
				t.Errorf("the other cluster's brokers were asked to change: %+v", writes)
			}

			first.Restart(t) // And the ledger is as it was.
			if want := map[string]int{"nothing": 0, "anonymous": 1, "named": 1}[held]; len(t2.status(first).GetHolds()) != want {
				t.Errorf("the holds are %v", t2.status(first).GetHolds())
			}
		})
	}
}
