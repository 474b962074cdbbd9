package servertest_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// Clusters of other shapes than three times three keep the same promises.
func TestShapes(t *testing.T) {
	t.Parallel()
	shapes := []struct {
		name    string
		options servertest.Options
		names   func(*servertest.Harness) string // of broker 1, where it is to be missed
	}{
		{"one broker", servertest.Options{Cluster: embedded.Options{Brokers: 1, Partitions: 1}}, nil},
		{"no copies", servertest.Options{Cluster: embedded.Options{ReplicationFactor: 1}}, byID},
		{"two of three", servertest.Options{Cluster: embedded.Options{ReplicationFactor: 2}}, nil},
		{"many", servertest.Options{Cluster: embedded.Options{Brokers: 5, Partitions: 12, ReplicationFactor: 3}}, nil},
		{"brokers without ids", servertest.Options{Discovery: servertest.ByURL}, func(h *servertest.Harness) string {
			return h.Cluster.Broker(1).Address()
		}},
		{"context path", servertest.Options{Cluster: embedded.Options{BasePath: "/orchestration/actuator"}}, nil},
		{"gateway", servertest.Options{
			Cluster: embedded.Options{DistinctHosts: true}, Discovery: servertest.ByGateway,
		}, byID},
		{"gateway and context path", servertest.Options{
			Cluster:   embedded.Options{DistinctHosts: true, BasePath: "/orchestration/actuator"},
			Discovery: servertest.ByGateway,
		}, nil},
		{"positions of followers unknown", servertest.Options{Cluster: embedded.Options{NullFollowers: true}}, nil},
	}
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			t.Parallel()
			everywhere(t, func(t try) {
				o := shape.options
				o.Cluster.Version = t.version
				if shape.names != nil {
					o.Settings = within("8s")
				}
				h := servertest.Start(t, o)
				route := h.Route(t, t.door)
				t.expectSuccess(h, route.Pause(t.Context(), soft()), embedded.SoftPaused)
				t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
				t.expectSuccess(h, route.Pause(t.Context(), hard()), embedded.Paused)
				t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
				if shape.names == nil {
					return
				}
				writes := len(h.Cluster.Writes())
				h.Cluster.Broker(1).Stop()
				t.expectIncomplete(route.Pause(t.Context(), hard()), shape.names(h))
				if len(h.Cluster.Writes()) > writes {
					t.Errorf("brokers were asked to change: %+v", h.Cluster.Writes()[writes:])
				}
			})
		})
	}
}

func byID(*servertest.Harness) string { return "1" }

// Partition ids repeat across tenants. Every replica of every tenant is paused, shown and named.
func TestTenants(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.10"}, func(t try) {
		h, route := t.start(embedded.Options{Tenants: []string{"blue", "green"}, Partitions: 2}, within("5s"))
		o := route.Pause(t.Context(), soft())
		t.expectSuccess(h, o, embedded.SoftPaused)
		var shown []string
		for _, p := range o.Status.GetPartitions() {
			shown = append(shown, fmt.Sprintf("%s/%d x%d", p.GetTenant(), p.GetId(), len(p.GetReplicas())))
		}
		if got := strings.Join(shown, " "); got != "blue/1 x3 blue/2 x3 green/1 x3 green/2 x3" {
			t.Errorf("the partitions shown are %s", got)
		}
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)

		h.Cluster.Broker(1).SetFaults(embedded.Swallow())
		o = route.Pause(t.Context(), hard())
		t.expectNotSettled(o, "1")
		tenants := map[string]bool{}
		for _, f := range o.Failures {
			tenants[f.GetTenant()] = true
		}
		if !tenants["blue"] || !tenants["green"] || !strings.Contains(o.Message, "green") {
			t.Errorf("the failure does not name the tenants: %v %v", o, o.Failures)
		}
		t.heal(h)
		t.awaitQuiet(h, embedded.Exporting)
	})
}

// Where no exporter is configured there is nothing to pause, and brokers that can prove that do not fail a pause.
func TestNoExporters(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.8", "8.9", "8.10"}, func(t try) {
		h, route := t.start(embedded.Options{NoExporters: true})
		for _, o := range []servertest.Outcome{
			route.Pause(t.Context(), hard()), route.Resume(t.Context(), resume()), route.Pause(t.Context(), soft()),
		} {
			t.expect(o, codes.OK, "")
			if s := o.Status; !s.GetSettled() || s.GetObserved() != exportgatev1.Phase_PHASE_CLOSED {
				t.Errorf("the status is %v", s)
			}
		}
		t.expect(route.Resume(t.Context(), resume()), codes.OK, "")
		if !h.AllIn(embedded.Closed) {
			t.Errorf("replicas without exporters are %+v", h.Cluster.Replicas())
		}
	})
}

// Brokers of 8.5 cannot prove it, so they fail it, by name.
func TestClosedExportersAreNamed(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.5"}, func(t try) {
		_, route := t.start(embedded.Options{NoExporters: true}, within("5s"))
		o := route.Pause(t.Context(), hard())
		t.expectNotSettled(o, "1")
		if !strings.Contains(o.Message, "EXPORTER_CLOSED") {
			t.Errorf("the message does not say EXPORTER_CLOSED: %v", o)
		}
	})
}
