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
	probes := func() int {
		now = now.Add(time.Millisecond)
		return len(m.toProbe([]string{"a"}, now))
	}
	wantOne := func(when string) {
		t.Helper()
		if first, second := probes(), probes(); first != 1 || second != 0 {
			t.Errorf("%s the broker is asked %d times and then %d times, want once", when, first, second)
		}
	}
	wantNone := func(when string) {
		t.Helper()
		if probes() != 0 {
			t.Errorf("%s the broker is asked", when)
		}
	}
	wantOne("at first")
	m.silent("a")
	now = now.Add(time.Hour)
	wantNone("while it is quiet")
	m.answered("a")
	wantOne("when it answers again")
	m.answered("a")
	wantNone("while somebody asks")
	m.showed("a", unknownGeneration)
	wantOne("when it did not tell")
	m.showed("a", unknownGeneration)
	wantOne("when it did not tell twice")
	m.showed("a", unknownGeneration)
	wantNone("when it did not tell often enough")
	now = now.Add(reprobe)
	wantOne("some time later")
	m.showed("a", planned)
	now = now.Add(time.Hour)
	wantNone("when it is known")
	m.forget("a")
	wantOne("when it contradicted itself")
}

// TestMemoryGeneration proves that a broker which does not tell counts as old only if it can be read.
func TestMemoryGeneration(t *testing.T) {
	m := newMemory(version{})
	generation := func() (g generation) {
		m.with("a", func(r *record) { g = r.generation() })
		return g
	}
	for range enough {
		if g := generation(); g != unknownGeneration {
			t.Errorf("the generation is %d before it did not tell often enough", g)
		}
		m.showed("a", unknownGeneration)
	}
	if g := generation(); g != unknownGeneration {
		t.Errorf("the generation is %d, though the broker was never read", g)
	}
	m.with("a", func(r *record) { r.guard.showed(nil, time.Now(), time.Now()) })
	if g := generation(); g != perBroker {
		t.Errorf("the generation is %d, want %d", g, perBroker)
	}
	m.showed("a", planned)
	m.silent("a")
	if g := generation(); g != planned {
		t.Errorf("the generation is %d after a silence, want what it was", g)
	}
}

func TestGenerationShown(t *testing.T) {
	for _, test := range []struct {
		status int
		body   string
		want   generation
	}{
		{200, `{"changes":[]}`, planned},
		{200, html, unknownGeneration},
		{200, `{}`, unknownGeneration},
		{204, ``, unknownGeneration},
		{302, ``, unknownGeneration},
		{404, springError, perBroker},
		{405, ``, perBroker},
		{403, ``, perBroker},
		{500, springError, unknownGeneration},
		{503, ``, unknownGeneration},
	} {
		if got := generationShown(answer{status: test.status, body: []byte(test.body)}); got != test.want {
			t.Errorf("%d %q shows %d, want %d", test.status, test.body, got, test.want)
		}
	}
}
