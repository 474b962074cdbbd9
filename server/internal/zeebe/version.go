package zeebe

import (
	"cmp"
	"regexp"
	"strconv"
)

// generation is the way in which a broker takes a change of its exporting (zeebe-facts.md, the picture).
type generation uint8

const (
	// unknownGeneration brokers have not told yet; once they answer at all they count as perBroker.
	unknownGeneration generation = iota
	// perBroker brokers, 8.1 to 8.9, take it each for its own replicas.
	perBroker
	// planned brokers, 8.10 and later, carry it out together as a change of the cluster's configuration.
	planned
)

// version is a release of Zeebe. Its zero value is an unknown one.
type version struct {
	text                string
	major, minor, patch int
	patched             bool // the patch is known
}

var versionForm = regexp.MustCompile(`^v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?:[-+][0-9A-Za-z.+-]{0,40})?$`)

// parseVersion parses 8.9, 8.9.3 and 8.10.0-alpha5. What is not a version ("SNAPSHOT") is not known.
func parseVersion(text string) (version, bool) {
	m := versionForm.FindStringSubmatch(text)
	if m == nil {
		return version{}, false
	}
	number := func(digits string) int {
		n, _ := strconv.Atoi(digits) // The form allows digits only; none at all is 0.
		return n
	}
	return version{
		text: text, major: number(m[1]), minor: number(m[2]), patch: number(m[3]), patched: m[3] != "",
	}, true
}

// generation tells how brokers of this version are driven.
func (v version) generation() generation {
	switch {
	case v.text == "":
		return unknownGeneration
	case cmp.Or(cmp.Compare(v.major, 8), cmp.Compare(v.minor, 10)) >= 0:
		return planned
	}
	return perBroker
}

// softPause tells whether brokers of this version can pause softly; unknown ones may (zeebe-facts.md 1.5).
func (v version) softPause() bool {
	switch {
	case v.text == "":
		return true
	case v.major != 8:
		return v.major > 8
	}
	first, ok := map[int]int{2: 27, 3: 11, 4: 7, 5: 1}[v.minor]
	if !ok {
		return v.minor > 5
	}
	return !v.patched || v.patch >= first
}
