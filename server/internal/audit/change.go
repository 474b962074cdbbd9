package audit

import (
	"context"
	"reflect"
	"slices"

	"github.com/exportgate/exportgate/server/internal/hold"
)

// What causes a change of the ledger.
const (
	causeCall   = "call"
	causeServer = "server"
)

// Change logs a change that this server wrote to the ledger. It does not wait for the disk; but the outcome of the call that
// caused it does not get there before it. It is a [hold.Observer].
func (l *Log) Change(ctx context.Context, c hold.Change) {
	line := &Line{Kind: KindChange, Cause: causeServer}
	if call, is := ctx.Value(callKey{}).(*Call); is {
		line = call.line(KindChange)
		line.Operation, line.Hold, line.Reason, line.Parameters = "", "", "", nil // The intent has them.
		line.Cause = causeCall
	}
	line.Change = difference(&c.Before, &c.After)
	line.Change.Uncertain = c.Uncertain
	// A server that died may have changed the ledger and not said so; the one that follows it says what it found.
	l.send(&entry{line: line, before: &c.Before, rebase: c.Before.Term != c.After.Term})
}

// Found logs the ledger as this server found it when it started, if anything was ever written to it. It does not wait for
// the disk.
func (l *Log) Found(s hold.State) {
	if s.Revision == 0 {
		return
	}
	line := &Line{Kind: KindLedger, Change: &LedgerChange{Before: s.Revision, After: s.Revision}}
	l.send(&entry{line: line, before: &s, rebase: true})
}

// difference is what leads from one state to another.
func difference(before, after *hold.State) *LedgerChange {
	change := &LedgerChange{
		Before: before.Revision, After: after.Revision, Stance: after.Stance, Undo: after.Undo, Term: after.Term, Driver: after.Driver,
	}
	if !reflect.DeepEqual(before.Cluster, after.Cluster) {
		change.Cluster = &after.Cluster
	}
	remembered := uids(before)
	for i := range after.Holds {
		h := &after.Holds[i]
		if old, lived := before.FindUID(h.UID); !lived || !reflect.DeepEqual(old, *h) {
			change.Holds = append(change.Holds, HoldChange{what(&old, h, remembered[h.UID]), *h})
		}
	}
	for i := range after.History {
		if e := &after.History[i]; !remembered[e.Hold.UID] {
			change.Ended = append(change.Ended, told(e))
		}
	}
	change.Forgotten = forgotten(before, after)
	return change
}

// what happened to a live hold.
func what(old, h *hold.Hold, remembered bool) string {
	switch {
	case remembered:
		return "returned"
	case old.UID == "":
		return "placed"
	case h.Record.Broken && !old.Record.Broken:
		return "broken"
	case !h.Settled.IsZero() && old.Settled.IsZero():
		return "settled"
	case !h.Asked.Equal(old.Asked):
		return "renewed"
	}
	return "changed"
}

// uids are those of the holds that a state remembers.
func uids(s *hold.State) map[string]bool {
	known := make(map[string]bool, len(s.History))
	for i := range s.History {
		known[s.History[i].Hold.UID] = true
	}
	return known
}

// forgotten are the uids that a state remembers no more, in order: of holds that had ended, be it that one lives again, and
// of those that ended and were too much to remember.
func forgotten(before, after *hold.State) []string {
	remembered := uids(after)
	var gone []string
	for i := range before.History {
		if uid := before.History[i].Hold.UID; !remembered[uid] {
			gone = append(gone, uid)
		}
	}
	for i := range before.Holds {
		uid := before.Holds[i].UID
		if _, lives := after.FindUID(uid); !lives && !remembered[uid] {
			gone = append(gone, uid)
		}
	}
	return slices.Clip(gone)
}

// told is a hold that has ended as a line tells of it; [HoldEnded.remembered] is the way back.
func told(e *hold.Ended) HoldEnded {
	return HoldEnded{
		How: e.How.String(), By: e.By, At: e.At, Continuity: e.Continuity.String(), Refusal: e.Refusal, Hold: e.Hold,
	}
}
