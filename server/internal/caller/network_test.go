package caller

import (
	"strings"
	"testing"
)

func TestNetwork(t *testing.T) {
	tests := map[string]string{
		"192.0.2.7:4711":                 "192.0.2.7",
		"192.0.2.7":                      "192.0.2.7",
		"[::ffff:192.0.2.7]:4711":        "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:4711":    "2001:db8:1:2::/64",
		"2001:db8:1:2::9":                "2001:db8:1:2::/64",
		"[fe80::1%eth0]:4711":            "fe80::/64",
		"bufconn":                        "bufconn",
		"":                               "",
		strings.Repeat("x", 1000) + ":1": strings.Repeat("x", 64),
	}
	for addr, want := range tests {
		if got := Network(addr); got != want {
			t.Errorf("Network(%q) is %q, want %q", addr, got, want)
		}
	}
}

func FuzzNetwork(f *testing.F) {
	f.Add("192.0.2.7:4711")
	f.Add("[2001:db8::1%eth0]:1")
	f.Fuzz(func(t *testing.T, addr string) {
		if got := Network(addr); len(got) > 64 {
			t.Errorf("Network(%q) is %q, which is too long to remember", addr, got)
		}
	})
}
