package reconcile

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/exportgate/exportgate/server/internal/hold"
)

const (
	// tracerName says whose spans they are.
	tracerName = "github.com/exportgate/exportgate/server/internal/reconcile"
	// traceFor is how much of a drive has spans. A drive lasts as long as a broker is dead, and would be seen when it does not
	// matter any more, with everything that was read meanwhile.
	traceFor = time.Minute
	// maxTold is how many holds a span names, and how many calls it is linked to.
	maxTold = 32
)

// trace gives a drive that moves something a span: passes that only look have none, there is one every few seconds. It is
// nobody's child, as it serves many calls, or none: it is linked to those that wait when it ends. What it returns ends it.
func (r *Reconciler) trace(ctx context.Context, o *order) (context.Context, func(error)) {
	traced, span := r.tracer.Start(ctx, "reconcile", trace.WithNewRoot())
	if !span.IsRecording() {
		return ctx, func(error) {}
	}
	span.SetAttributes(attribute.String("exportgate.target", o.goal.Phase.String()),
		attribute.StringSlice("exportgate.holds", holdsOf(&o.state)))
	fade := time.AfterFunc(traceFor, func() {
		span.SetAttributes(attribute.Bool("exportgate.unfinished", true))
		r.link(span)
		span.End()
	})
	return fading{Context: traced, plain: ctx, until: time.Now().Add(traceFor)}, func(err error) {
		if !fade.Stop() {
			return // It has ended.
		}
		switch {
		case errors.Is(context.Cause(ctx), errOver):
			span.AddEvent(errOver.Error())
		case err != nil:
			span.SetStatus(codes.Error, err.Error())
		}
		r.link(span)
		span.End()
	}
}

// link names the calls that wait.
func (r *Reconciler) link(span trace.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	told := 0
	for _, waits := range r.waiting {
		if waits.IsValid() && told < maxTold {
			span.AddLink(trace.Link{SpanContext: waits})
			told++
		}
	}
}

// holdsOf are the ids of the live holds, or of some of them.
func holdsOf(state *hold.State) []string {
	var ids []string
	for i := range state.Holds[:min(len(state.Holds), maxTold)] {
		ids = append(ids, state.Holds[i].ID)
	}
	return ids
}

// fading is a context that has a span for a while.
type fading struct {
	context.Context

	plain context.Context // the same without the span
	until time.Time
}

// Value is that of one or the other.
func (f fading) Value(key any) any {
	if time.Now().After(f.until) {
		return f.plain.Value(key)
	}
	return f.Context.Value(key)
}
