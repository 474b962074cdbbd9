package hold

import (
	"slices"
	"strconv"
	"testing"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

func TestContinuityWords(t *testing.T) {
	for c, want := range map[Continuity]string{Pending: "PENDING", Intact: "INTACT", Broken: "BROKEN", Unknown: "UNKNOWN", 77: "PENDING"} {
		if c.String() != want {
			t.Errorf("%d is %s, want %s", c, c, want)
		}
	}
}

func TestVerdict(t *testing.T) {
	tests := []struct {
		record Continuous
		want   Continuity
	}{
		{Continuous{}, Pending},
		{Continuous{Baselines: Baselines{{Partition: 1}}}, Pending},
		{Continuous{Complete: true}, Intact},
		{Continuous{Broken: true}, Broken},
		{Continuous{Complete: true, Broken: true}, Broken},
	}
	for _, test := range tests {
		if got := test.record.Verdict(); got != test.want {
			t.Errorf("%+v: %v, want %v", test.record, got, test.want)
		}
	}
}

// Baselines come one by one, in any order, and the first one of a partition counts.
func TestBaselines(t *testing.T) {
	var empty Continuous
	first := empty.with([]Baseline{{"b", 1, 10}, {"", 2, 20}}, false)
	second := first.with([]Baseline{{"", 2, 99}, {"", 1, 30}, {"a", 3, 40}}, true)
	third := second.with(nil, false)
	if diff := compare(Baselines{{"", 2, 20}, {"b", 1, 10}}, first.Baselines); diff != "" || first.Complete {
		t.Errorf("complete %v, the first (-want +got):\n%s", first.Complete, diff)
	}
	want := Baselines{{"", 1, 30}, {"", 2, 20}, {"a", 3, 40}, {"b", 1, 10}}
	if diff := compare(want, third.Baselines); diff != "" || !third.Complete {
		t.Errorf("complete %v, all (-want +got):\n%s", third.Complete, diff)
	}
	for _, b := range want {
		if got, ok := third.Baseline(exporting.PartitionID{Tenant: b.Tenant, ID: b.Partition}); !ok || got != b.Position {
			t.Errorf("baseline of %v: %d, %v", b, got, ok)
		}
	}
	if got, ok := third.Baseline(exporting.PartitionID{ID: 3}); ok {
		t.Errorf("another tenant's partition has the baseline %d", got)
	}
}

// The first findings say how it began. Only what breaks a hold breaks it, for good.
func TestEvidence(t *testing.T) {
	var record Continuous
	record = record.found([]string{"a", "b", "a"}, false)
	if diff := compare(Continuous{Evidence: []string{"a", "b"}}, record); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	earlier := record
	for i := range 2 * maxEvidence {
		record = record.found([]string{strconv.Itoa(i)}, i == 3)
	}
	if len(record.Evidence) != maxEvidence || !slices.Equal(record.Evidence[:3], []string{"a", "b", "0"}) || !record.Broken {
		t.Errorf("broken %v, evidence %q", record.Broken, record.Evidence)
	}
	if earlier.Broken || len(earlier.Evidence) != 2 {
		t.Errorf("an earlier record was changed: %+v", earlier)
	}
}

// What two records have in common neither changes for the other.
func TestRecordsShareNothing(t *testing.T) {
	room := Continuous{Baselines: make(Baselines, 0, 10), Evidence: make([]string, 0, 10)}
	one := room.with([]Baseline{{"", 1, 10}}, false)
	one = one.found([]string{"one"}, true)
	other := room.with([]Baseline{{"", 1, 20}}, false)
	other = other.found([]string{"other"}, true)
	if one.Baselines[0].Position != 10 || one.Evidence[0] != "one" {
		t.Errorf("the other's: %+v", one)
	}
	one.Baselines = append(make(Baselines, 0, 10), one.Baselines...)
	one.with([]Baseline{{"", 0, 30}}, false)
	if one.Baselines[0].Position != 10 {
		t.Errorf("the next one's: %+v", one)
	}
	one.Evidence = append(make([]string, 0, 10), one.Evidence...)
	a, b := one.found([]string{"a"}, false), one.found([]string{"b"}, false)
	if a.Evidence[1] != "a" || b.Evidence[1] != "b" {
		t.Errorf("evidence %q and %q", a.Evidence, b.Evidence)
	}
}

func TestPassed(t *testing.T) {
	record := Continuous{Baselines: Baselines{{"", 1, 10}}}
	tests := []struct {
		name     string
		exported exporting.Position
		id       int32
		want     bool
	}{
		{"below", exporting.At(9), 1, false},
		{"at", exporting.At(10), 1, false},
		{"above", exporting.At(11), 1, true},
		{"not told", exporting.Position{Value: 11}, 1, false},
		{"a partition without a baseline", exporting.At(11), 2, false},
	}
	for _, test := range tests {
		r := exporting.Reading{Partition: exporting.PartitionID{ID: test.id}, Exported: test.exported}
		if got := record.Passed("3", &r); (got != "") != test.want {
			t.Errorf("%s: %q", test.name, got)
		}
	}
	r := exporting.Reading{Partition: exporting.PartitionID{ID: 1}, Exported: exporting.At(11)}
	if got, want := record.Passed("3", &r), "partition 1 on broker 3: the stored position 11 passed the baseline 10"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
