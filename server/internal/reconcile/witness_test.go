package reconcile

import (
	"strings"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// glimpse is a read of the only replica of a broker.
type glimpse struct {
	broker   exporting.BrokerID
	role     exporting.Role
	phase    exporting.Phase
	position int64
}

// What a series of reads under a soft hold, whose baseline is 100, is worth.
func TestWitness(t *testing.T) {
	const (
		lead, follow  = exporting.RoleLeader, exporting.RoleFollower
		exports, soft = exporting.PhaseExporting, exporting.PhaseSoftPaused
		hard, closed  = exporting.PhasePaused, exporting.PhaseClosed
	)
	tests := map[string]struct {
		reads  []glimpse
		broken string // what is found; empty: nothing
		remark string
	}{
		"stands still":                        {reads: []glimpse{{"0", lead, soft, 100}, {"0", lead, soft, 100}}},
		"a follower rises":                    {reads: []glimpse{{"1", follow, soft, 40}, {"1", follow, soft, 90}, {"1", follow, soft, 100}}},
		"is paused harder":                    {reads: []glimpse{{"0", lead, hard, 100}}},
		"is closed for a moment":              {reads: []glimpse{{"0", lead, closed, 100}, {"0", lead, soft, 100}}},
		"nobody knows its phase":              {reads: []glimpse{{"0", lead, exporting.PhaseUnknown, 100}, {"0", lead, soft, 100}}},
		"a leader passes":                     {reads: []glimpse{{"0", lead, soft, 101}}, broken: "the stored position 101 passed the baseline 100"},
		"a follower passes":                   {reads: []glimpse{{"1", follow, soft, 101}}, broken: "passed the baseline"},
		"a leader exports":                    {reads: []glimpse{{"0", lead, exports, 100}}, broken: "the leader read EXPORTING"},
		"a leader exports in one read":        {reads: []glimpse{{"0", lead, soft, 100}, {"0", lead, exports, 100}, {"0", lead, soft, 100}}, broken: "the leader read EXPORTING"},
		"a follower exports":                  {reads: []glimpse{{"1", follow, exports, 100}, {"1", follow, soft, 100}}, remark: "a follower, read EXPORTING"},
		"exports, having led before":          {reads: []glimpse{{"0", lead, soft, 100}, {"0", follow, exports, 100}}, broken: "led in the read before"},
		"leads, having exported before":       {reads: []glimpse{{"1", follow, exports, 100}, {"1", lead, soft, 100}}, broken: "it leads, and read EXPORTING in the read before", remark: "a follower, read EXPORTING"},
		"leads, having exported long before":  {reads: []glimpse{{"1", follow, exports, 100}, {"1", follow, soft, 100}, {"1", lead, soft, 100}}, remark: "a follower, read EXPORTING"},
		"exports, having led long before":     {reads: []glimpse{{"0", lead, soft, 100}, {"0", follow, soft, 100}, {"0", follow, exports, 100}}, remark: "a follower, read EXPORTING"},
		"a broker exports, another one leads": {reads: []glimpse{{"0", lead, soft, 100}, {"1", follow, exports, 100}}, remark: "a follower, read EXPORTING"},
		"another one leads":                   {reads: []glimpse{{"0", lead, soft, 100}, {"1", lead, soft, 100}}, remark: "is led by broker 1 now, no longer by 0"},
		"a leader falls":                      {reads: []glimpse{{"0", lead, soft, 100}, {"0", lead, soft, 60}}, remark: "the stored position fell from 100 to 60"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := NewWitness(time.Second)
			began := time.Now()
			h := hold.Hold{ID: "a", UID: "u", Phase: soft, Settled: began}
			h.Record = hold.Continuous{Baselines: []hold.Baseline{hold.NewBaseline(partition, 100)}, Complete: true}
			w.watch(&hold.State{Holds: []hold.Hold{h}}, began)
			for i, g := range test.reads {
				w.Heed(g.broker, began.Add(time.Duration(i+1)*time.Second), []exporting.Reading{g.reading()})
			}
			if found := strings.Join(w.findings("u"), "\n"); !matches(found, test.broken) {
				t.Errorf("found %q, want %q", found, test.broken)
			}
			if remarks := strings.Join(w.remarked(), "\n"); !matches(remarks, test.remark) {
				t.Errorf("remarked %q, want %q", remarks, test.remark)
			}
		})
	}
}

var partition = exporting.PartitionID{ID: 1}

func (g glimpse) reading() exporting.Reading {
	return exporting.Reading{Partition: partition, Role: g.role, Phase: g.phase, Exported: exporting.At(g.position)}
}

// matches reports whether a text contains a part, or is empty where that is.
func matches(text, part string) bool {
	return (text == "") == (part == "") && strings.Contains(text, part)
}

// Reads from before a hold settled say nothing of it, not even beside one from after.
func TestWitnessForgivesWhatWasBefore(t *testing.T) {
	w := NewWitness(time.Second)
	began := time.Now()
	w.Heed("0", began, []exporting.Reading{glimpse{"0", exporting.RoleFollower, exporting.PhaseExporting, 100}.reading()})
	h := hold.Hold{ID: "a", UID: "u", Phase: exporting.PhasePaused, Settled: began}
	w.watch(&hold.State{Holds: []hold.Hold{h}}, began.Add(time.Second))
	w.Heed("0", began.Add(2*time.Second), []exporting.Reading{glimpse{"0", exporting.RoleLeader, exporting.PhasePaused, 100}.reading()})
	if found := w.findings("u"); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}

// Reads that were made while it was being written that a hold settled count.
func TestWitnessMissesNothingMeanwhile(t *testing.T) {
	w := NewWitness(time.Second)
	began := time.Now()
	w.Heed("0", began.Add(time.Second), []exporting.Reading{glimpse{"0", exporting.RoleLeader, exporting.PhaseExporting, 100}.reading()})
	h := hold.Hold{ID: "a", UID: "u", Phase: exporting.PhasePaused, Settled: began}
	w.watch(&hold.State{Holds: []hold.Hold{h}}, began)
	if found := w.findings("u"); len(found) != 1 {
		t.Errorf("found %q", found)
	}
}

// What was found is kept within bounds, and remarks are made once.
func TestWitnessIsBounded(t *testing.T) {
	w := NewWitness(time.Second)
	began := time.Now()
	h := hold.Hold{ID: "a", UID: "u", Phase: exporting.PhaseSoftPaused, Settled: began}
	h.Record = hold.Continuous{Baselines: []hold.Baseline{hold.NewBaseline(partition, 100)}, Complete: true}
	w.watch(&hold.State{Holds: []hold.Hold{h}}, began)
	for i := range 1000 {
		at := began.Add(time.Duration(i+1) * time.Second)
		w.Heed("0", at, []exporting.Reading{glimpse{"0", exporting.RoleLeader, exporting.PhaseSoftPaused, 101 + int64(i)}.reading()})
		w.Heed("1", at, []exporting.Reading{glimpse{"1", exporting.RoleFollower, exporting.PhaseExporting, 100}.reading()})
	}
	if found := w.findings("u"); len(found) != maxFound {
		t.Errorf("%d findings", len(found))
	}
	if remarks := w.remarked(); len(remarks) != 1 {
		t.Errorf("remarks %q", remarks)
	}
	h.Record.Broken = true
	w.watch(&hold.State{Holds: []hold.Hold{h}}, began)
	w.Heed("0", began.Add(time.Hour), []exporting.Reading{glimpse{"0", exporting.RoleLeader, exporting.PhaseSoftPaused, 2000}.reading()})
	if found := w.findings("u"); len(found) != 0 {
		t.Errorf("found %q once it was written that the hold is broken", found)
	}
}

// A partition that has drained, but cannot be noted, must not wake the loop again and again.
func TestWitnessIsDueInTheFuture(t *testing.T) {
	w := NewWitness(6 * time.Second)
	began := time.Now()
	h := hold.Hold{ID: "a", UID: "u", Phase: exporting.PhasePaused, Settled: began}
	w.watch(&hold.State{Holds: []hold.Hold{h}}, began)
	w.Heed("0", began, []exporting.Reading{glimpse{"0", exporting.RoleLeader, exporting.PhasePaused, 100}.reading()})
	for after, want := range map[time.Duration]time.Time{
		0: began.Add(6 * time.Second), 5 * time.Second: began.Add(6 * time.Second), 6 * time.Second: {}, time.Hour: {},
	} {
		if due := w.due(began.Add(after)); !due.Equal(want) {
			t.Errorf("after %v: due %v, want %v", after, due, want)
		}
	}
}
