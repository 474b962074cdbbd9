package audit

import (
	"time"

	"github.com/exportgate/exportgate/server/internal/hold"
)

// Kind is what a line tells of.
type Kind string

// The kinds.
const (
	// KindIntent is a call that is about to change something: nothing was touched yet.
	KindIntent Kind = "intent"
	// KindOutcome is what came of it, before its answer.
	KindOutcome Kind = "outcome"
	// KindRefused is a call that was turned away, or how many more there were.
	KindRefused Kind = "refused"
	// KindChange is a change that this server wrote to the ledger.
	KindChange Kind = "change"
	// KindLedger is the whole ledger as this server found it when it started: a server that dies may have changed it and not
	// said so.
	KindLedger Kind = "ledger"
	// KindEvent is what this server noticed, or did by itself.
	KindEvent Kind = "event"
)

// Line is one line of the log. What does not apply to its kind is left out.
type Line struct {
	// Time is when it was made, in UTC, and Seq its number since this server was started. A number that is missing is a line
	// that could not be written and went to standard error.
	Time   time.Time `json:"time"`
	Kind   Kind      `json:"kind"`
	Server string    `json:"server"`
	Seq    uint64    `json:"seq"`

	// Who calls, for what is done for a call: intent, outcome, refused, and change where a call caused it.
	RequestID string `json:"request_id,omitempty"`
	TraceID   string `json:"trace_id,omitempty"`
	Caller    string `json:"caller,omitempty"`
	Role      string `json:"role,omitempty"`
	Address   string `json:"address,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	Door      string `json:"door,omitempty"`

	// What is asked for, for intent, outcome and refused. An event has the hold that it happened to.
	Operation  string      `json:"operation,omitempty"`
	Hold       string      `json:"hold,omitempty"`
	Reason     string      `json:"reason,omitempty"`
	Parameters *Parameters `json:"parameters,omitempty"`

	// What came of it, for outcome and refused: a google.rpc.Code, the reason of an ErrorInfo, and the message. Message is also
	// an event in words.
	Code        string  `json:"code,omitempty"`
	ErrorReason string  `json:"error_reason,omitempty"`
	Message     string  `json:"message,omitempty"`
	Seconds     float64 `json:"duration_seconds,omitempty"`

	// What the cluster was like as of the last reads: Before for intent and outcome, After for outcome.
	Before *Snapshot `json:"before,omitempty"`
	After  *Snapshot `json:"after,omitempty"`

	// Suppressed is how many more calls were turned away than have lines, since Since, by their addresses.
	Suppressed map[string]uint64 `json:"suppressed,omitempty"`
	Since      time.Time         `json:"since,omitzero"`

	// Cause of a change is "call" or "server". A ledger that was found has a Change with nothing but its Base.
	Cause  string        `json:"cause,omitempty"`
	Change *LedgerChange `json:"change,omitempty"`

	// Event is what kind of event it is.
	Event string `json:"event,omitempty"`
}

// Parameters are those of a pause or a resume that were given, apart from the hold and the reason.
type Parameters struct {
	Soft         bool   `json:"soft,omitempty"`
	TTL          string `json:"ttl,omitempty"`
	Renew        string `json:"renew,omitempty"`
	OnFailure    string `json:"on_failure,omitempty"`
	Force        bool   `json:"force,omitempty"`
	ValidateOnly bool   `json:"validate_only,omitempty"`
}

// Snapshot is what the cluster is like.
type Snapshot struct {
	// Target and Observed are phases, in words.
	Target   string `json:"target"`
	Observed string `json:"observed"`
	// Holds that live, by id.
	Holds []string `json:"holds"`
}

// LedgerChange is what one write changed. Applied to the ledger of the revision before, it leads to the one after.
type LedgerChange struct {
	// Before and After are revisions.
	Before uint64 `json:"before"`
	After  uint64 `json:"after"`
	// Uncertain is true if another server wrote the revision after that, and nobody can tell whether this write was the one
	// in between. If no other line has its revision, it was.
	Uncertain bool `json:"uncertain,omitempty"`
	// Base is the whole ledger before. It is there where a replay may have to begin: in the first change of a file, after a
	// change whose line could not be written, and when another server begins to drive.
	Base *hold.State `json:"base,omitempty"`
	// Holds that are new or other than they were, Ended those that have ended, and Forgotten the uids that are gone from the
	// ledger: from what lives, and from what it remembers.
	Holds     []HoldChange `json:"holds,omitempty"`
	Ended     []HoldEnded  `json:"ended,omitempty"`
	Forgotten []string     `json:"forgotten,omitempty"`
	// What is made of a resume at the brokers, what is to be undone, who drives, and in which term, from then on. Cluster is
	// there where that changed.
	Stance  hold.Stance   `json:"stance,omitempty"`
	Undo    *hold.Undo    `json:"undo,omitempty"`
	Term    uint64        `json:"term,omitempty"`
	Driver  string        `json:"driver,omitempty"`
	Cluster *hold.Cluster `json:"cluster,omitempty"`
}

// HoldChange is a live hold, whole, as it is after a change.
type HoldChange struct {
	// What happened to it: "placed", "returned" (the one that replaced it was withdrawn), "settled", "broken", "renewed", or
	// "changed", which is more evidence of its continuity.
	What string    `json:"what"`
	Hold hold.Hold `json:"hold"`
}

// HoldEnded is a hold that has ended, whole, as the ledger remembers it.
type HoldEnded struct {
	// How and Continuity are words; By is whom or what.
	How        string        `json:"how"`
	By         string        `json:"by,omitempty"`
	At         time.Time     `json:"at"`
	Continuity string        `json:"continuity"`
	Refusal    *hold.Refusal `json:"refusal,omitempty"`
	Hold       hold.Hold     `json:"hold"`
}
