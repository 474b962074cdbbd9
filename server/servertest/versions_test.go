package servertest_test

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// Brokers are driven by what they are, and by nothing else.
func TestBrokersAreDrivenByVersion(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{})
		want := []string{"partitions/pauseExporting", "partitions/resumeExporting", "partitions/softPauseExporting"}
		if t.planned() {
			want = []string{"exporting/pause", "exporting/pause?soft=true", "exporting/resume"}
		}
		t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
		t.expectSuccess(h, route.Pause(t.Context(), soft()), embedded.SoftPaused)
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
		if got := operations(h.Cluster.Writes()); !slices.Equal(got, want) {
			t.Errorf("brokers were asked for %v, want %v", got, want)
		}
	})
}

// operations are what brokers were asked to do, each once, without the base path.
func operations(writes []embedded.Request) []string {
	asked := map[string]bool{}
	for _, w := range writes {
		operation := path.Join(path.Base(path.Dir(w.Path)), path.Base(w.Path))
		if w.Query != "" {
			operation += "?" + w.Query
		}
		asked[operation] = true
	}
	return slices.Sorted(maps.Keys(asked))
}

// Alphas of 8.10 still answer in the envelope of 8.9, whose HTTP status says nothing.
func TestAlphasOfPlannedBrokers(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.10.0-alpha3"}, func(t try) {
		h, route := t.start(embedded.Options{})
		t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
	})
}

// In the middle of an upgrade nothing is paused and nothing touched.
func TestPauseIsRefusedWhileVersionsAreMixed(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.9 and 8.10"}, func(t try) {
		h, route := t.start(embedded.Options{Versions: []string{"8.9", "8.10", "8.9"}})
		for _, request := range []*exportgatev1.PauseRequest{hard(), soft(), {ValidateOnly: true}} {
			o := route.Pause(t.Context(), request)
			t.expect(o, codes.Unavailable, mixed)
			if !strings.Contains(o.Message, "8.10") || !strings.Contains(o.Metadata["versions"], "8.10") {
				t.Errorf("the versions are not told: %v", o)
			}
		}
		t.expectUntouched(h)
	})
}

// In the middle of an upgrade a resume drives each broker its own way. The one that the brokers themselves refuse is
// named, and resumed when the upgrade is over.
func TestResumeDuringAnUpgrade(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.9"}, func(t try) {
		h, route := t.start(embedded.Options{}, within("5s"))
		t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
		t.upgrade(h, 1)
		t.expectNotSettled(route.Resume(t.Context(), resume()), "1")
		if !has(h, 0, embedded.Exporting) || !has(h, 1, embedded.Paused) || !has(h, 2, embedded.Exporting) {
			t.Errorf("each broker was not driven its own way: %+v", h.Cluster.Replicas())
		}
		if got := operations(h.Cluster.Broker(0).Writes()); !slices.Contains(got, "partitions/resumeExporting") {
			t.Errorf("broker 0 was asked for %v", got)
		}
		t.upgrade(h, 0)
		t.upgrade(h, 2)
		t.awaitQuiet(h, embedded.Exporting)
		t.expectSuccess(h, t.untilAvailable(route, hard()), embedded.Paused)
	})
}

// upgrade brings a broker to 8.10, which takes long enough for the server to notice.
func (t try) upgrade(h *servertest.Harness, broker int) {
	t.Helper()
	b := h.Cluster.Broker(broker)
	b.Stop()
	servertest.Await(t, "the server misses the broker", func() bool {
		return h.Route(t, t.door).GetStatus(t.Context()).Status.GetCluster().GetBrokers()[broker].GetError() != ""
	})
	if err := b.SetVersion("8.10"); err != nil {
		t.Fatal(err)
	}
	t.startBroker(b)
}

// Brokers without soft pause answer a soft pause as if all were well. Where the version is known nobody is asked.
func TestSoftPauseUnsupported(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.5.0", "8.4.6", "8.3.10", "8.2.26", "8.1.0"}, func(t try) {
		h := servertest.Start(t, servertest.Options{
			Cluster: embedded.Options{Version: t.version, DistinctHosts: true}, Discovery: servertest.ByGateway,
		})
		route := h.Route(t, t.door)
		for _, request := range []*exportgatev1.PauseRequest{soft(), {Soft: true, ValidateOnly: true}} {
			o := route.Pause(t.Context(), request)
			t.expect(o, codes.FailedPrecondition, unsupported)
			t.expectBrokers(o, "0,1,2")
		}
		t.expectUntouched(h)
		t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
	})
}

// Where nobody told the version, the first soft pause shows it, and leaves every replica as it was. A hard one may follow:
// what does not know soft pauses cannot be in one.
func TestSoftPauseIsFoundUnsupported(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.5.0", "8.4.6"}, func(t try) {
		h, route := t.start(embedded.Options{})
		t.expect(route.Pause(t.Context(), soft()), codes.FailedPrecondition, unsupported)
		t.awaitQuiet(h, embedded.Exporting)
		// The first that refused ended the pause; the others may not have been asked yet.
		o := route.Pause(t.Context(), soft())
		t.expect(o, codes.FailedPrecondition, unsupported)
		if o.Metadata["brokers"] == "" {
			t.Errorf("the failure names no broker: %v", o)
		}
		t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
	})
}
