package servertest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// answer is what came back from the HTTP door.
type answer struct {
	code   int
	header http.Header
	body   string
}

// exchange sends a request to the HTTP door. Headers are names and values in turn.
func exchange(t *testing.T, h *servertest.Harness, method, target string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+h.Server.HTTPAddr().String()+target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// with starts a server with settings over a cluster.
func with(t *testing.T, cluster embedded.Options, settings map[string]string) *servertest.Harness {
	t.Helper()
	return servertest.Start(t, servertest.Options{Cluster: cluster, Settings: settings})
}

// Settings that can be seen from outside have their effect.
func TestSettings(t *testing.T) {
	t.Parallel()
	tests := map[string]func(try){
		"management.endpoints.web.base-path": func(t try) {
			h := with(t.T, embedded.Options{}, map[string]string{"management.endpoints.web.base-path": "/orchestration/actuator"})
			if a := exchange(t.T, h, "POST", "/orchestration/actuator/exporting/pause/"); a.code != http.StatusOK {
				t.Errorf("got %+v", a)
			}
			if a := exchange(t.T, h, "POST", "/actuator/exporting/resume"); a.code != http.StatusNotFound {
				t.Errorf("the default path answers %+v", a)
			}
		},
		"management.exporting.response": func(t try) {
			h := with(t.T, embedded.Options{}, map[string]string{"management.exporting.response": "no-content"})
			if a := exchange(t.T, h, "POST", "/actuator/exporting/pause"); a.code != http.StatusNoContent || a.body != "" {
				t.Errorf("got %+v", a)
			}
			if a := exchange(t.T, h, "POST", "/actuator/exporting/resume", "Prefer", "return=representation"); a.code != http.StatusOK ||
				!strings.HasPrefix(a.body, `{"body":null,"status":204,"contentType":null,"report":{`) {
				t.Errorf("got %+v", a)
			}
		},
		"server.port off": func(t try) {
			h := with(t.T, embedded.Options{}, map[string]string{"server.port": "-1"})
			if h.Server.HTTPAddr() != nil || !h.Route(t, servertest.GRPC).GetStatus(t.Context()).OK() {
				t.Error("the HTTP door is open, or the other is not")
			}
		},
		"grpc.port off": func(t try) {
			h := with(t.T, embedded.Options{}, map[string]string{"grpc.port": "-1"})
			if h.Server.GRPCAddr() != nil || !h.Route(t, servertest.HTTP).GetStatus(t.Context()).OK() {
				t.Error("the gRPC door is open, or the other is not")
			}
		},
		"zeebe.version": func(t try) { // It forces the way that brokers are driven, against what they are.
			h := with(t.T, embedded.Options{Version: "8.10"}, map[string]string{"zeebe.version": "8.4.2"})
			o := h.Route(t, servertest.GRPC).Pause(t.Context(), soft())
			if o.Code != codes.FailedPrecondition || o.Reason != unsupported || o.Metadata["version"] != "8.4.2" {
				t.Errorf("got %v", o)
			}
		},
		"exporting.on-failure": func(t try) {
			h := with(t.T, embedded.Options{}, map[string]string{"exporting.on-failure": "keep", "exporting.timeout": "4s"})
			h.Cluster.Broker(1).SetFaults(embedded.Swallow())
			o := h.Route(t, servertest.HTTP).Pause(t.Context(), hard())
			if o.Reason != notSettled || o.Metadata["outcome"] != "kept" {
				t.Errorf("got %v", o)
			}
		},
		"exporting.timeout": func(t try) { // It clamps what callers ask for.
			h := with(t.T, embedded.Options{}, map[string]string{"exporting.timeout": "4s"})
			h.Cluster.Broker(1).SetFaults(embedded.Swallow())
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second) // The harness's own timeout is 20s.
			defer cancel()
			if o := h.Route(t, servertest.HTTP).Pause(ctx, hard()); o.Reason != notSettled {
				t.Errorf("got %v", o)
			}
		},
		"exporting.confirm-interval": func(t try) {
			h := with(t.T, embedded.Options{}, map[string]string{"exporting.confirm-interval": "700ms"})
			began := time.Now()
			o := h.Route(t, servertest.GRPC).Pause(t.Context(), hard())
			if took := time.Since(began); !o.OK() || took < 700*time.Millisecond {
				t.Errorf("got %v after %v", o, took)
			}
		},
		"exporting.reconcile-interval": func(t try) { // Until it is over nobody notices a broker that lost its disk.
			h := with(t.T, embedded.Options{}, map[string]string{"exporting.reconcile-interval": "1h"})
			route := h.Route(t, servertest.GRPC)
			t.expectSuccess(h, route.Pause(t.Context(), soft()), embedded.SoftPaused) // A hard one would be looked at until it has drained.
			t.loseDisk(h.Cluster.Broker(1))
			before := reads(h)[1]
			servertest.Await(t, "the status has looked three times", func() bool {
				return route.GetStatus(t.Context()).OK() && reads(h)[1] >= before+3
			})
			if !has(h, 1, embedded.Exporting) {
				t.Errorf("broker 1 was paused again: %+v", h.Cluster.Replicas())
			}
		},
		"zeebe.concurrency": func(t try) { // Brokers that are asked one after the other are not asked at once.
			h := with(t.T, embedded.Options{}, map[string]string{"zeebe.concurrency": "1"})
			for _, b := range h.Cluster.Brokers() {
				b.SetFaults(embedded.OnReads(embedded.Slow(50 * time.Millisecond)))
			}
			began := time.Now()
			t.awaitReads(h)
			var asked []time.Time
			for _, b := range h.Cluster.Brokers() {
				for _, r := range b.Requests() {
					if path.Base(r.Path) == "partitions" && r.Time.After(began) {
						asked = append(asked, r.Time)
					}
				}
			}
			slices.SortFunc(asked, time.Time.Compare)
			for i := range asked[1:] {
				if apart := asked[i+1].Sub(asked[i]); apart < 40*time.Millisecond {
					t.Errorf("two brokers were asked within %v", apart)
				}
			}
		},
		"grpc.address": func(t try) {
			h := with(t.T, embedded.Options{}, map[string]string{"grpc.address": "0.0.0.0"})
			for address, everywhere := range map[net.Addr]bool{h.Server.GRPCAddr(): true, h.Server.HTTPAddr(): false} {
				if at, err := netip.ParseAddrPort(address.String()); err != nil || at.Addr().IsUnspecified() != everywhere {
					t.Errorf("a door is at %v", address)
				}
			}
		},
		"exporting.allow-soft-to-hard": func(t try) {
			h := with(t.T, embedded.Options{}, map[string]string{"exporting.allow-soft-to-hard": "true"})
			route := h.Route(t, servertest.HTTP)
			if o := route.Pause(t.Context(), soft()); !o.OK() {
				t.Fatal(o)
			}
			if o := route.Pause(t.Context(), hard()); !o.OK() || !h.AllIn(embedded.Paused) {
				t.Errorf("got %v", o)
			}
		},
		"zeebe.request-timeout": func(t try) {
			h := with(t.T, embedded.Options{}, map[string]string{"zeebe.request-timeout": "300ms"})
			h.Cluster.Broker(1).SetFaults(embedded.Hang())
			servertest.Await(t, "the hanging broker is named with the timeout", func() bool {
				reason := h.Route(t, servertest.GRPC).GetStatus(t.Context()).Status.GetUnsettledReason()
				return strings.Contains(reason, "no answer within 300ms")
			})
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(try{T: t})
		})
	}
}

// Brokers before 8.3 do not tell what the cluster is configured to be: the configured counts prove completeness, and nothing
// else does.
func TestCounts(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.2.30"}, func(t try) {
		_, route := t.start(embedded.Options{NullFollowers: true}, within("2s"))
		if o := route.Pause(t.Context(), hard()); o.Reason != incomplete || !strings.Contains(o.Message, "zeebe.replication-factor") {
			t.Errorf("without counts: %v", o)
		}
		h, route := t.start(embedded.Options{NullFollowers: true}, map[string]string{
			"zeebe.cluster-size": "3", "zeebe.partitions": "3", "zeebe.replication-factor": "3",
		})
		t.expectSuccess(h, route.Pause(t.Context(), soft()), embedded.SoftPaused)
		t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
	})
}

// With a broker missing in the configuration completeness is not proven, whatever the others answer.
func TestABrokerIsMissingInTheConfiguration(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"%d=%s", "%[2]s"} {
		cluster, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cluster.Close() })
		var two []string
		for i, address := range cluster.Addresses()[:2] {
			two = append(two, fmt.Sprintf(form, i, address))
		}
		h := with(t, embedded.Options{}, map[string]string{"zeebe.brokers": strings.Join(two, ","), "exporting.timeout": "1s"})
		o := h.Route(t, servertest.GRPC).Pause(t.Context(), hard())
		if o.Reason != incomplete || len(cluster.Writes()) > 0 {
			t.Errorf("%s: got %v, writes %v", form, o, cluster.Writes())
		}
	}
}

// The actuator endpoints tell what is there and how it is.
func TestActuatorEndpoints(t *testing.T) {
	t.Parallel()
	h := with(t, embedded.Options{Version: "8.10"}, nil)
	servertest.Await(t, "the brokers are known", func() bool {
		return strings.Contains(exchange(t, h, "GET", "/actuator/info").body, "8.10")
	})
	for path, want := range map[string]string{
		"": `"_links"`, "/health": `"status":"UP"`, "/health/liveness": `"status":"UP"`, "/health/readiness": `"status":"UP"`,
		"/exporting": `"target"`,
	} {
		a := exchange(t, h, "GET", "/actuator"+path, "Accept", "application/vnd.spring-boot.actuator.v3+json")
		if a.code != http.StatusOK || !json.Valid([]byte(a.body)) || !strings.Contains(a.body, want) ||
			!strings.HasPrefix(a.header.Get("Content-Type"), "application/vnd.spring-boot.actuator.v3+json") {
			t.Errorf("%s: got %+v", path, a)
		}
	}
	servertest.Await(t, "the metrics tell the phases", func() bool {
		a := exchange(t, h, "GET", "/actuator/prometheus")
		return a.code == http.StatusOK && strings.Contains(a.body, `exportgate_observed_phase{phase="EXPORTING"} 1`) &&
			strings.Contains(a.body, "exportgate_ledger_stale 0")
	})
}
