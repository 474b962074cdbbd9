package reconcile_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// traced is a cluster that remembers to which span reads and writes belong.
type traced struct {
	*exportingtest.Cluster

	mu     sync.Mutex
	reads  map[trace.SpanID]int
	writes map[trace.SpanID]int
}

func (c *traced) note(of map[trace.SpanID]int, ctx context.Context) { //nolint:revive // It is looked into, not handed on.
	c.mu.Lock()
	defer c.mu.Unlock()
	of[trace.SpanContextFromContext(ctx).SpanID()]++
}

func (c *traced) Read(ctx context.Context, b exporting.Broker) ([]exporting.Reading, error) {
	c.note(c.reads, ctx)
	return c.Cluster.Read(ctx, b)
}

func (c *traced) Write(ctx context.Context, l exporting.Lever, p exporting.Phase) error {
	c.note(c.writes, ctx)
	return c.Cluster.Write(ctx, l, p)
}

// tracedRig is a server whose spans can be seen.
type tracedRig struct {
	*rig

	cluster  *traced
	provider trace.TracerProvider
	spans    *tracetest.InMemoryExporter
}

// withSpans runs a test in a bubble.
func withSpans(t *testing.T, test func(*tracedRig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &tracedRig{
			spans:   tracetest.NewInMemoryExporter(),
			cluster: &traced{Cluster: exportingtest.New(3, 3), reads: map[trace.SpanID]int{}, writes: map[trace.SpanID]int{}},
		}
		r.provider = sdktrace.NewTracerProvider(sdktrace.WithSyncer(r.spans))
		r.rig = runOn(t, r.cluster.Cluster, r.cluster, hold.NewMemory(), func(o *reconcile.Options) { o.Tracing = r.provider })
		defer r.end()
		test(r)
	})
}

// A drive that moves something is a span, with what it reads and writes below it, linked to the call that waits for it. While
// a hold is only looked after, and while there is none, there are no spans.
func TestDrivesHaveSpans(t *testing.T) {
	withSpans(t, func(r *tracedRig) {
		t := r.t
		wait(time.Minute)
		if ended := r.spans.GetSpans(); len(ended) != 0 {
			t.Fatalf("there are spans of a cluster that nobody touches: %+v", ended)
		}
		ctx, call := r.provider.Tracer("test").Start(t.Context(), "call")
		if _, err := r.Pause(ctx, reconcile.PauseRequest{Hold: "backup", Phase: soft, Owner: "test"}); err != nil {
			t.Fatal(err)
		}
		wait(time.Minute)
		ended := r.spans.GetSpans()
		if len(ended) != 1 {
			t.Fatalf("there are %d spans, want one of the drive", len(ended))
		}
		drive := &ended[0]
		if drive.Name != "reconcile" || drive.Parent.IsValid() || drive.Status.Code == codes.Error ||
			len(drive.Links) != 1 || !drive.Links[0].SpanContext.Equal(call.SpanContext()) {
			t.Errorf("the span is %+v", drive)
		}
		attributes := map[string]string{}
		for _, a := range drive.Attributes {
			attributes[string(a.Key)] = a.Value.String()
		}
		if attributes["exportgate.target"] != soft.String() || attributes["exportgate.holds"] != `["backup"]` {
			t.Errorf("the attributes are %v", attributes)
		}
		r.cluster.mu.Lock()
		defer r.cluster.mu.Unlock()
		of := drive.SpanContext.SpanID()
		if r.cluster.writes[of] != 3 || len(r.cluster.writes) != 1 || r.cluster.reads[of] < 6 {
			t.Errorf("below it are %d writes and %d reads; all writes %v", r.cluster.writes[of], r.cluster.reads[of], r.cluster.writes)
		}
	})
}

// A drive that cannot end has a span of its first minute, so that it is seen, and does not grow.
func TestEndlessDrivesHaveSpansThatEnd(t *testing.T) {
	withSpans(t, func(r *tracedRig) {
		t := r.t
		wait(10 * time.Second)
		r.cluster.SetFault(1, exportingtest.Swallow)
		_, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "backup", Phase: soft, OnFailure: reconcile.Keep, Owner: "test"})
		if err == nil {
			t.Fatal("it settled without a broker")
		}
		wait(2 * time.Minute)
		ended := r.spans.GetSpans()
		if len(ended) == 0 {
			t.Fatal("there is no span")
		}
		first := &ended[0]
		if took := first.EndTime.Sub(first.StartTime); took > time.Minute {
			t.Errorf("the span lasts %v", took)
		}
		of := first.SpanContext.SpanID()
		count := func() int {
			r.cluster.mu.Lock()
			defer r.cluster.mu.Unlock()
			return r.cluster.reads[of]
		}
		before := count()
		wait(5 * time.Minute)
		if after := count(); before == 0 || after != before {
			t.Errorf("it has %d reads, and then %d", before, after)
		}
	})
}
