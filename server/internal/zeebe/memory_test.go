package zeebe

import (
	"testing"
	"time"
)

func TestMemoryForgets(t *testing.T) {
	m := newMemory(version{})
	start := time.Unix(1_700_000_000, 0)
	m.meet([]endpoint{{address: "a"}, {address: "b"}}, start)
	m.meet([]endpoint{{address: "a"}}, start.Add(forgetAfter))
	if len(m.brokers) != 2 {
		t.Errorf("%d brokers are remembered, want 2", len(m.brokers))
	}
	m.meet([]endpoint{{address: "a"}}, start.Add(forgetAfter+1))
	if len(m.brokers) != 1 {
		t.Errorf("%d brokers are remembered, want 1", len(m.brokers))
	}
}

func TestMemoryProbes(t *testing.T) {
	m := newMemory(version{})
	now := time.Unix(1_700_000_000, 0)
	probes := func() int { return len(m.toProbe([]string{"a"}, now)) }
	if probes() != 1 || probes() != 0 {
		t.Error("an unknown broker is not asked once")
	}
	m.silent("a", now)
	if probes() != 0 {
		t.Error("a silent broker is asked at once")
	}
	now = now.Add(reprobe)
	if probes() != 1 {
		t.Error("a silent broker is never asked again")
	}
	m.silent("a", now)
	m.answered("a")
	if probes() != 1 || probes() != 0 {
		t.Error("a broker that answers again is not asked once")
	}
	m.with("a", func(r *record) { r.learnt, r.fresh = planned, true })
	now = now.Add(time.Hour)
	if probes() != 0 {
		t.Error("a known broker is asked")
	}
	m.forget("a")
	if probes() != 1 {
		t.Error("a broker that contradicted itself is not asked")
	}
}
