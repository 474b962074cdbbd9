package zeebe

import "testing"

func TestVersion(t *testing.T) {
	for _, test := range []struct {
		text string
		want generation
		soft bool
	}{
		{"8.1.30", perBroker, false},
		{"8.2.26", perBroker, false},
		{"8.2.27", perBroker, true},
		{"8.3.10", perBroker, false},
		{"8.3.11", perBroker, true},
		{"8.4.6", perBroker, false},
		{"8.4.7", perBroker, true},
		{"8.5.0", perBroker, false},
		{"8.5.0-alpha2", perBroker, false},
		{"8.5.1", perBroker, true},
		{"8.5", perBroker, true},
		{"8.6.0", perBroker, true},
		{"v8.9.3", perBroker, true},
		{"8.9.0-SNAPSHOT", perBroker, true},
		{"8.10", planned, true},
		{"8.10.0-alpha5", planned, true},
		{"8.11.2+build.7", planned, true},
		{"9.0.0", planned, true},
		{"1.3.4", perBroker, false},
		{"", unknownGeneration, true},
		{"SNAPSHOT", unknownGeneration, true},
		{"8", unknownGeneration, true},
		{"8.9.x", unknownGeneration, true},
		{"8.99999", unknownGeneration, true},
		{"-8.9", unknownGeneration, true},
	} {
		v, ok := parseVersion(test.text)
		if ok != (test.want != unknownGeneration) {
			t.Errorf("parseVersion(%q) is ok: %t", test.text, ok)
		}
		if g, soft := v.generation(), v.softPause(); g != test.want || soft != test.soft {
			t.Errorf("%q is of generation %d, soft pause %t, want %d, %t", test.text, g, soft, test.want, test.soft)
		}
	}
}
