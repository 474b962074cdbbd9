package embedded

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestDisks(t *testing.T) {
	for name, test := range map[string]struct {
		faults []Fault
		want   string // free bytes of the data's volume
	}{
		"half full":    {nil, "17179869184"},
		"almost full":  {[]Fault{FillDisk(1.25)}, "4.294967296E+08"},
		"full":         {[]Fault{FillDisk(0)}, "0"},
		"not told":     {[]Fault{FillDisk(math.NaN())}, "NaN"},
		"other faults": {[]Fault{Swallow(), FillDisk(25), FillDisk(50)}, "8.589934592E+09"},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, single("8.9"))
			c.Broker(0).SetFaults(test.faults...)
			want := []string{
				`disk_free_bytes{path="/usr/local/zeebe/."} 68719476736`,
				`disk_free_bytes{path="/usr/local/zeebe/data"} ` + test.want,
				`disk_total_bytes{path="/usr/local/zeebe/."} 137438953472`,
				`disk_total_bytes{path="/usr/local/zeebe/data"} 34359738368`,
			}
			whole := strings.Split(get(t, c.Broker(0), "/prometheus").Body, "\n")
			for _, line := range want {
				if !slices.Contains(whole, line) {
					t.Errorf("no line %s in:\n%s", line, strings.Join(whole, "\n"))
				}
			}
			// Who names metrics gets no others.
			named := strings.Split(get(t, c.Broker(0), "/prometheus?includedNames=disk_free_bytes,disk_total_bytes").Body, "\n")
			named = slices.DeleteFunc(named, func(line string) bool { return line == "" || strings.HasPrefix(line, "# ") })
			if !slices.Equal(named, want) {
				t.Errorf("named:\n%s", strings.Join(named, "\n"))
			}
		})
	}
}
