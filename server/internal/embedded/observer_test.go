package embedded

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRequestsAreToldBeforeTheyAreServed(t *testing.T) {
	var mu sync.Mutex
	var told []string
	var c *Cluster
	o := single("8.9")
	o.OnRequest = func(broker int, r Request) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprintf("%d: %s %s?%s %s", broker, r.Method, r.Path, r.Query, c.Replicas()[0].Phase))
	}
	c = start(t, o)
	post(t, c.Broker(0), "/partitions/pauseExporting")
	c.Broker(0).SetFaults(Status(http.StatusInternalServerError))
	get(t, c.Broker(0), "/partitions?a=b")
	want := []string{
		"0: POST /actuator/partitions/pauseExporting? EXPORTING",
		"0: GET /actuator/partitions?a=b PAUSED",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// Every change is told, whatever brought it about, and nothing that is none.
func TestPhasesAreToldWheneverTheyChange(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			var told []string // guarded by the cluster's lock
			c := start(t, Options{
				Partitions: 1, Version: version,
				OnPhase: func(now Replica, before Phase) {
					told = append(told, fmt.Sprintf("%d: %s>%s", now.Broker, before, now.Phase))
				},
			})
			want := func(what string, changes ...string) {
				t.Helper()
				c.mu.Lock()
				defer c.mu.Unlock()
				slices.Sort(told)
				if diff := cmp.Diff(changes, told); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
				told = nil
			}
			want("the start", "0: >EXPORTING", "1: >EXPORTING", "2: >EXPORTING")
			ask(t, c, SoftPaused)
			want("a pause", "0: EXPORTING>SOFT_PAUSED", "1: EXPORTING>SOFT_PAUSED", "2: EXPORTING>SOFT_PAUSED")
			ask(t, c, SoftPaused)
			want("the same again")

			b := c.Broker(1)
			b.Stop()
			if err := b.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			want("a restart")
			b.Stop()
			if err := b.LoseDisk(); err != nil {
				t.Fatal(err)
			}
			if err := b.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if version == "8.10" { // The phase is in the configuration, which the others have.
				want("a lost disk")
				return
			}
			want("a lost disk", "1: SOFT_PAUSED>EXPORTING")
		})
	}
}
