package proxies

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// A driver is frozen while what it asks of a broker is on its way, is followed by another one, and the broker gets it at
// last. The successor corrects that in its next pass, and the one that wakes up does nothing more.
func TestStrayWrite(t *testing.T) {
	const victim, host = 1, "127.0.0.2"
	const resume, pause = "/actuator/partitions/resumeExporting", "/actuator/partitions/softPauseExporting"
	tests := map[string]struct {
		strays, corrects string
		prepare          func(*fleet) // what was there before
		begin            func(*proxy) servertest.Outcome
		then             func(*fleet, *proxy) // after a successor has finished that
		in, out          embedded.Phase       // where all replicas are then, and what the stray write makes of one broker's
		holds            []string
	}{
		"resume": {
			strays: resume, corrects: pause, in: embedded.SoftPaused, out: embedded.Exporting, holds: []string{"new"},
			prepare: func(f *fleet) { f.ok(f.proxies[0].pause("old")) },
			begin:   func(p *proxy) servertest.Outcome { return p.resume("old") },
			then:    func(f *fleet, p *proxy) { f.ok(p.pause("new")) },
		},
		"pause": {
			strays: pause, corrects: resume, in: embedded.Exporting, out: embedded.SoftPaused,
			prepare: func(*fleet) {},
			begin:   func(p *proxy) servertest.Outcome { return p.pause("old") },
			then:    func(f *fleet, p *proxy) { f.ok(p.resume("old")) },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := assemble(t, options{})
			test.prepare(f)
			old := f.driver(f.proxies...)
			others := f.others(old)

			old.gate.hold(host)
			answer := make(chan servertest.Outcome, 1)
			go func() { answer <- test.begin(others[0]) }()
			f.eventually("the request is on its way", func() error {
				writes := old.gate.since(time.Time{}, true)
				if !slices.ContainsFunc(writes, func(r request) bool { return r.host == host && r.path == test.strays }) {
					return fmt.Errorf("it wrote %+v", writes)
				}
				return nil
			})
			must(t, old.running().freeze())

			successor := f.driver(others...)
			over := time.Now() // What was sent before it was frozen has come by now, but for what is held back.
			f.ok(<-answer)
			test.then(f, others[1])
			f.settles(test.in, others, test.holds...)
			f.passes(successor, time.Now(), 8) // The same is not written twice within a second.
			strays := time.Now()
			old.gate.open()
			f.eventually("the stray write is corrected", func() error {
				writes := f.brokers.Broker(victim).Writes()
				last := writes[len(writes)-1]
				if last.Path != test.corrects || last.Time.Before(strays) {
					return fmt.Errorf("the last write was %+v", last)
				}
				return nil
			})
			f.settles(test.in, others, test.holds...)
			f.corrected(victim, strays, test.strays, test.corrects)
			f.inPass(successor, host, strays)

			must(t, old.running().thaw())
			f.passes(old, time.Now(), 5)
			f.settles(test.in, f.proxies, test.holds...)
			f.silent(old, over)
		})
	}
}

// corrected checks by a broker's log that a stray write was followed by its correction alone.
func (f *fleet) corrected(broker int, since time.Time, strays, corrects string) {
	f.Helper()
	var paths []string
	for _, w := range f.brokers.Broker(broker).Writes() {
		if w.Time.After(since) {
			paths = append(paths, w.Path)
		}
	}
	if !slices.Equal(paths, []string{strays, corrects}) {
		f.Errorf("the broker was asked for %v", paths)
	}
}

// inPass checks that a server corrected a broker in the first pass that could see the stray write: one read may have begun
// before it, one shows it, and the drive reads once more before it writes.
func (f *fleet) inPass(p *proxy, host string, since time.Time) {
	f.Helper()
	writes := p.gate.since(since, true)
	if len(writes) == 0 {
		f.Fatalf("%s corrected nothing", p.name)
	}
	reads := 0
	for _, r := range p.gate.since(since, false) {
		if r.host == host && r.came.Before(writes[0].came) && r.path == "/actuator/partitions" {
			reads++
		}
	}
	if reads > 3 {
		f.Errorf("%s read the broker %d times before it corrected it", p.name, reads)
	}
}
