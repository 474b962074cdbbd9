package zeebe

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

func TestWriteCluster(t *testing.T) {
	for phase, change := range map[exporting.Phase]string{
		exporting.PhasePaused:     "POST /exporting/pause",
		exporting.PhaseSoftPaused: "POST /exporting/pause?soft=true",
		exporting.PhaseExporting:  "POST /exporting/resume",
	} {
		// From 8.10 on PAUSED may follow SOFT_PAUSED.
		b := newFakeBroker(t).new810("SOFT_PAUSED")
		c := newClient(t, nil, b)
		lever := leverOf(t, c)
		b.requests()
		if err := c.Write(t.Context(), lever, phase); err != nil {
			t.Errorf("%s: %v", phase, err)
		}
		if diff := cmp.Diff([]string{"GET /cluster", change}, b.requests()); diff != "" {
			t.Errorf("requests differ (-want +got):\n%s", diff)
		}
	}
}

func TestWriteClusterErrors(t *testing.T) {
	for _, test := range []struct {
		name    string
		request string
		status  int
		body    string
		says    string
		pending bool
		posts   []string
	}{
		{
			name: "a change is pending", request: "GET /cluster", status: 200,
			body: `{"brokers":[{"id":0,"partitions":[{"id":1}]}],"pendingChange":{"id":7,"status":"IN_PROGRESS",` +
				`"pending":[{"operation":"BROKER_ADD","brokerId":3}]}}`,
			says: "change 7 of their configuration (BROKER_ADD on broker 3), which waits for broker 3", pending: true,
		},
		{
			name: "nobody tells what is pending", request: "GET /cluster", status: 500, body: springError,
			says: "whether a change is pending is not known",
		},
		{
			name: "another change came first", request: "POST /exporting/pause", status: 500,
			body: `"CONCURRENT_MODIFICATION: another change"`,
			says: "CONCURRENT_MODIFICATION", pending: true, posts: []string{"POST /exporting/pause"},
		},
		{
			name: "it failed in 200", request: "POST /exporting/pause", status: 200,
			body: `{"body":"change 7 failed to apply","status":500,"contentType":null}`,
			says: "change 7 failed to apply", posts: []string{"POST /exporting/pause"},
		},
		{
			name: "no endpoint", request: "POST /exporting/pause", status: 404, body: "",
			says: "no exporting endpoint", posts: []string{"POST /exporting/pause"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newFakeBroker(t).new810("EXPORTING")
			c := newClient(t, nil, b)
			lever := leverOf(t, c)
			b.on(test.request, test.status, test.body)
			err := c.Write(t.Context(), lever, exporting.PhasePaused)
			wantError(t, err, test.says)
			var pending *exporting.PendingChangeError
			if errors.As(err, &pending) != test.pending {
				t.Errorf("error is %v, a PendingChangeError: %t, want %t", err, !test.pending, test.pending)
			}
			wantPosts(t, b, test.posts...)
		})
	}
}

// TestWriteClusterThroughAnother proves that a dead or hanging broker does not keep the others from taking the change.
func TestWriteClusterThroughAnother(t *testing.T) {
	dead, hanging, alive := newFakeBroker(t), newFakeBroker(t), newFakeBroker(t)
	brokers := []*fakeBroker{dead, hanging, alive}
	for _, b := range brokers {
		b.new810("EXPORTING")
	}
	c := newClient(t, func(o *Options) { o.RequestTimeout = 2 * time.Second }, brokers...)
	lever := leverOf(t, c)
	dead.server.Close()
	hanging.hangs("GET /cluster")
	c.memory.prefer(hanging.address())
	for _, b := range brokers {
		b.requests()
	}
	if err := c.Write(t.Context(), lever, exporting.PhasePaused); err != nil {
		t.Fatal(err)
	}
	wantPosts(t, dead)
	wantPosts(t, hanging)
	wantPosts(t, alive, "POST /exporting/pause")
}

// TestWriteClusterTakesTurns proves that a change which one broker does not take, in whatever way, is sent to another the
// next time, and that one which is taken stays where it is.
func TestWriteClusterTakesTurns(t *testing.T) {
	for name, refuse := range map[string]func(*fakeBroker){
		"hangs":   func(b *fakeBroker) { b.hangs("POST /exporting/pause") },
		"fails":   func(b *fakeBroker) { b.on("POST /exporting/pause", http.StatusInternalServerError, "") },
		"is HTML": func(b *fakeBroker) { b.on("POST /exporting/pause", http.StatusOK, html) },
	} {
		t.Run(name, func(t *testing.T) {
			first, second := newFakeBroker(t).new810("EXPORTING"), newFakeBroker(t).new810("EXPORTING")
			c := newClient(t, func(o *Options) { o.RequestTimeout = 200 * time.Millisecond }, first, second)
			lever := leverOf(t, c)
			c.memory.prefer(first.address())
			refuse(first)
			first.requests()
			if err := c.Write(t.Context(), lever, exporting.PhasePaused); err == nil {
				t.Fatal("a change that was not taken succeeded")
			}
			for range 2 {
				if err := c.Write(t.Context(), lever, exporting.PhasePaused); err != nil {
					t.Error(err)
				}
			}
			wantPosts(t, second, "POST /exporting/pause", "POST /exporting/pause")
		})
	}
}

func TestWriteClusterUnknown(t *testing.T) {
	c := newClient(t, nil, newFakeBroker(t))
	wantError(t, c.Write(t.Context(), exporting.Lever{ID: clusterLever, Planned: true}, exporting.PhaseExporting),
		"no broker of 8.10")
}
