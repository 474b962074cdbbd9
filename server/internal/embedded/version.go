package embedded

import (
	"fmt"
	"regexp"
	"strconv"
)

// version is a broker's version. What brokers can do depends on it alone.
type version struct {
	major, minor, patch int
	pre                 string // "alpha5"; empty for releases
}

// latePatch stands in where a version names only its line: late enough for all that was ported back to the line.
const latePatch = 27

// parseVersion reads "8.9", "8.5.1" or "8.10.0-alpha5".
func parseVersion(text string) (version, error) {
	match := regexp.MustCompile(`^(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?(?:-([0-9A-Za-z.]+))?$`).FindStringSubmatch(text)
	if match == nil {
		return version{}, fmt.Errorf("version %q: want one like 8.9, 8.5.1 or 8.10.0-alpha5", text)
	}
	v := version{pre: match[4]}
	v.major, _ = strconv.Atoi(match[1]) // at most three digits, as the pattern says
	v.minor, _ = strconv.Atoi(match[2])
	v.patch, _ = strconv.Atoi(match[3])
	if match[3] == "" && !v.planned() {
		v.patch = latePatch
	}
	return v, nil
}

// String is the version as brokers say it, "8.9.27".
func (v version) String() string {
	text := fmt.Sprintf("%d.%d.%d", v.major, v.minor, v.patch)
	if v.pre != "" {
		text += "-" + v.pre
	}
	return text
}

// from reports whether the version is of the line 8.minor or of a later one.
func (v version) from(minor int) bool {
	return v.major > 8 || v.major == 8 && v.minor >= minor
}

// planned brokers keep the exporting state in the cluster's configuration and change it by plans (zeebe-facts.md 3.4).
func (v version) planned() bool { return v.from(10) }

// softPause was ported back to the middle of several lines, together with the envelope that answers every call with 200
// (zeebe-facts.md 1.5).
func (v version) softPause() bool {
	if v.from(6) {
		return true
	}
	first := map[int]int{2: 27, 3: 11, 4: 7, 5: 1}
	patch, ported := first[v.minor]
	return v.major == 8 && ported && v.patch >= patch
}

// envelope reports whether POST exporting answers 200 with the true status inside: the generation between 8.5.1 and
// 8.9, and the alphas of 8.10 (zeebe-facts.md 1.1, 1.3).
func (v version) envelope() bool {
	return v.softPause() && !v.planned() || v.planned() && v.pre != ""
}

// clockAndHealth in GET partitions are newer than the records of 8.5 (zeebe-facts.md 4.1).
func (v version) clockAndHealth() bool { return v.from(6) }

// clusterEndpoint came with the dynamic configuration of the cluster.
func (v version) clusterEndpoint() bool { return v.from(4) }

// exportersEndpoint came with the dynamic configuration of exporters.
func (v version) exportersEndpoint() bool { return v.from(6) }
