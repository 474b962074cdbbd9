package servertest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// trouble is a way in which broker 1 does not follow.
type trouble struct {
	name string
	// faults of broker 1. Where there are none it is down.
	faults func() []embedded.Fault
	// anyBroker: from 8.10 on, where any broker takes the change, all have the fault.
	anyBroker bool
}

// unreadable are troubles by which a broker cannot be read.
func unreadable() []trouble {
	status := func(code int) func() []embedded.Fault { return is(embedded.Status(code)) }
	return []trouble{
		{name: "down"},
		{name: "hangs", faults: is(embedded.Hang())},
		{name: "answers 500", faults: status(http.StatusInternalServerError)},
		{name: "answers 302", faults: status(http.StatusFound)},
		{name: "answers an empty map", faults: is(embedded.Empty(20 * time.Millisecond))},
		{name: "answers HTML", faults: is(embedded.HTML())},
		{name: "answers garbage", faults: is(embedded.Garbage())},
		{name: "answers half of the truth", faults: is(embedded.Truncated())},
		{name: "answers too late", faults: is(embedded.Slow(2 * time.Second))},
	}
}

// disobedient are troubles of a broker that can be read, and whose replicas do not do what they are asked for.
func disobedient() []trouble {
	return []trouble{
		{name: "swallows the write", faults: is(embedded.Swallow())},
		{name: "shows phases of a role change", faults: func() []embedded.Fault {
			return []embedded.Fault{embedded.Swallow(), embedded.Flicker()}
		}},
		{name: "has closed its directors", faults: is(embedded.CloseDirectors())},
		{name: "follows after the time is over", faults: is(embedded.Late(6 * time.Second))},
		{name: "refuses writes", anyBroker: true, faults: is(embedded.OnWrites(embedded.Status(http.StatusInternalServerError)))},
		{name: "hangs at writes", anyBroker: true, faults: is(embedded.OnWrites(embedded.Hang()))},
		{name: "answers writes with HTML", anyBroker: true, faults: is(embedded.OnWrites(embedded.HTML()))},
	}
}

// showsOnce is a broker that shows the phase that it was asked for when it is read next, and never again.
func showsOnce() trouble {
	return trouble{name: "shows the phase for one read", faults: func() []embedded.Fault {
		return []embedded.Fault{embedded.ShowOnce()}
	}}
}

// is makes one fault that has no memory, and so may be many brokers'.
func is(f embedded.Fault) func() []embedded.Fault {
	return func() []embedded.Fault { return []embedded.Fault{f} }
}

// begin makes broker 1 misbehave.
func (tr trouble) begin(t try, h *servertest.Harness) {
	t.Helper()
	if tr.faults == nil {
		h.Cluster.Broker(1).Stop()
		return
	}
	for _, b := range h.Cluster.Brokers() {
		if b.ID() == 1 || tr.anyBroker && t.planned() {
			b.SetFaults(tr.faults()...)
		}
	}
}

// Where a broker cannot be read it is not known whether its replicas would follow: nothing is touched.
func TestPauseIsRefusedWhereABrokerCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, tr := range unreadable() {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			everywhere(t, func(t try) {
				h, route := t.start(embedded.Options{}, within("5s"))
				tr.begin(t, h)
				t.expectIncomplete(route.Pause(t.Context(), hard()), "1")
				t.expectUntouched(h)
				t.heal(h)
				t.expectSuccess(h, t.untilAvailable(route, soft()), embedded.SoftPaused)
			})
		})
	}
}

func TestPauseIsRefusedWhereAReplicaIsInactive(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{}, within("5s"))
		h.Cluster.Broker(2).SetFaults(embedded.InactiveReplica(1))
		t.expectIncomplete(route.Pause(t.Context(), hard()), "2")
		t.expectUntouched(h)
	})
}

// A replica that becomes inactive when the pause is under way has the phase, and does not keep it.
func TestPauseFailsWhereAReplicaBecomesInactive(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{}, within("5s"))
		h.Cluster.Broker(0).SetFaults(embedded.Late(500 * time.Millisecond))
		paused := later(func() servertest.Outcome { return route.Pause(t.Context(), hard()) })
		t.awaitWrite(h)
		h.Cluster.Broker(2).SetFaults(embedded.InactiveReplica(3))
		t.expectNotSettled(<-paused, "2")
		t.heal(h)
		t.awaitQuiet(h, embedded.Exporting)
	})
}

// Where a broker does not do what it was asked for, the pause fails, and is undone.
func TestPauseFailsWhereABrokerDoesNotFollow(t *testing.T) {
	t.Parallel()
	for _, tr := range disobedient() {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			everywhere(t, func(t try) {
				h, route := t.start(embedded.Options{}, within("5s"))
				tr.begin(t, h)
				t.expectNotSettled(route.Pause(t.Context(), hard()), "1")
				t.heal(h)
				t.awaitQuiet(h, embedded.Exporting)
			})
		})
	}
}

// From 8.10 on the broker is asked once for each of its replicas, one operation of the plan after the other. So that it
// shows the phase once alone, they come at once.
func TestPauseFailsWhereAPhaseIsShownOnce(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t try) {
		h, route := t.start(embedded.Options{ApplyDelay: -1}, within("5s"))
		showsOnce().begin(t, h)
		t.expectNotSettled(route.Pause(t.Context(), hard()), "1")
		t.heal(h)
		t.awaitQuiet(h, embedded.Exporting)
	})
}

// What passes by itself is waited for, and success is true then.
func TestPassingTroubleIsRetried(t *testing.T) {
	t.Parallel()
	passing := []struct {
		name  string
		fault func(broker int) embedded.Fault
	}{
		{"late", func(broker int) embedded.Fault { return embedded.Late(time.Duration(broker) * 400 * time.Millisecond) }},
		{"slow", func(int) embedded.Fault { return embedded.Slow(100 * time.Millisecond) }},
		{"flickers", func(int) embedded.Fault { return embedded.Flicker() }},
		{"a tenth fails", func(broker int) embedded.Fault { return embedded.FailSome(0.1, uint64(broker)+1) }},
		{"first reads are empty", func(int) embedded.Fault {
			return embedded.OnReads(embedded.First(4, embedded.Empty(time.Millisecond)))
		}},
		{"first writes fail", func(int) embedded.Fault {
			return embedded.OnWrites(embedded.First(2, embedded.Status(http.StatusBadGateway)))
		}},
	}
	for _, p := range passing {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			everywhere(t, func(t try) {
				h, route := t.start(embedded.Options{})
				for _, next := range []struct {
					call  func() servertest.Outcome
					phase embedded.Phase
				}{
					{func() servertest.Outcome { return route.Pause(t.Context(), hard()) }, embedded.Paused},
					{func() servertest.Outcome { return route.Pause(t.Context(), soft()) }, embedded.SoftPaused},
					{func() servertest.Outcome { return route.Resume(t.Context(), resume()) }, embedded.Exporting},
				} {
					for _, b := range h.Cluster.Brokers() {
						b.SetFaults(p.fault(b.ID()))
					}
					t.expectSuccess(h, next.call(), next.phase)
				}
			})
		})
	}
}
