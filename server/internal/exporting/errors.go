package exporting

import (
	"fmt"
	"slices"
	"strings"
)

// UnsafeTransitionError refuses a hard pause over a soft one where that can damage the brokers' pause files
// (zeebe-facts.md 3.5 f).
type UnsafeTransitionError struct {
	// Brokers that read, or may read, SOFT_PAUSED.
	Brokers []BrokerID
}

// Error names the brokers and the way out.
func (e *UnsafeTransitionError) Error() string {
	return fmt.Sprintf("a hard pause over a soft one can damage the pause file of brokers below 8.10, and %s read or may "+
		"read SOFT_PAUSED: resume first, then pause", joinBrokers(e.Brokers))
}

// SoftPauseUnsupportedError refuses a soft pause on brokers that do not have it (zeebe-facts.md 1.5).
type SoftPauseUnsupportedError struct {
	Brokers []BrokerID
	Version string // as far as it is known
}

// Error names the brokers and the way out.
func (e *SoftPauseUnsupportedError) Error() string {
	version := ""
	if e.Version != "" {
		version = " (" + e.Version + ")"
	}
	return fmt.Sprintf("%s%s cannot pause softly (it needs 8.2.27, 8.3.11, 8.4.7, 8.5.1 or later): pause hard instead, or "+
		"upgrade", joinBrokers(e.Brokers), version)
}

// PendingChangeError refuses a write while the brokers are changing their own configuration.
type PendingChangeError struct {
	Change  string     // in words
	Members []BrokerID // that it waits for, where known
}

// Error names the change and whom it waits for.
func (e *PendingChangeError) Error() string {
	if len(e.Members) == 0 {
		return "the brokers are busy with " + e.Change
	}
	return fmt.Sprintf("the brokers are busy with %s, which waits for %s", e.Change, joinBrokers(e.Members))
}

// IncompleteTopologyError refuses a pause because it is not proven that every replica can be paused.
type IncompleteTopologyError struct {
	Missing []string // each a replica, a broker or a fact, in words
}

// Error lists what is missing, as much as a person reads.
func (e *IncompleteTopologyError) Error() string {
	return "the topology is incomplete, nothing was touched: " + joinSome(e.Missing, "; ")
}

// MixedVersionsError refuses a pause while brokers of two generations are mixed.
type MixedVersionsError struct {
	Versions []string
}

// Error names the versions.
func (e *MixedVersionsError) Error() string {
	return fmt.Sprintf("brokers below and from 8.10 on are mixed (%s), nothing was touched: finish the upgrade first",
		strings.Join(e.Versions, ", "))
}

// some is how many names of a kind an error message lists before it counts the rest: what fits a terminal.
const some = 10

func joinSome(words []string, sep string) string {
	if len(words) <= some {
		return strings.Join(words, sep)
	}
	return fmt.Sprintf("%s%sand %d more", strings.Join(words[:some], sep), sep, len(words)-some)
}

func joinBrokers(ids []BrokerID) string {
	words := make([]string, len(ids))
	for i, id := range slices.SortedFunc(slices.Values(ids), CompareBrokers) {
		words[i] = string(id)
	}
	if len(words) == 1 {
		return "broker " + words[0]
	}
	return "brokers " + joinSome(words, ", ")
}
