package servertest_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// fate is what callers know of a hold.
type fate string

// The fates. A call that was cut off leaves a hold that lived to be released, and one that did not live to be placed: which
// of it came about the server's answers say later, and whatever they say has to stay so.
const (
	gone   fate = "gone"
	lives  fate = "lives"
	either fate = "lives or not"
)

// claim is a hold, as callers know it by what they were told.
type claim struct {
	id      string
	phase   embedded.Phase
	fate    fate
	uid     string    // of the last placing that was told
	expires time.Time // zero for never
}

// claims are all holds that there can be, and what may be told of them.
type claims struct {
	*testing.T

	guard *guard
	list  []*claim
}

func (c *claims) find(id string) *claim {
	for _, claim := range c.list {
		if claim.id == id {
			return claim
		}
	}
	return nil
}

// with lists those of a fate.
func (c *claims) with(f fate) []*claim {
	var list []*claim
	for _, claim := range c.list {
		if claim.fate == f {
			list = append(list, claim)
		}
	}
	return list
}

// cutOff reports whether a call was not answered by the server: it may have come to anything.
func cutOff(o servertest.Outcome) bool {
	return o.Err != nil || o.Reason == "" && (o.Code == codes.Unavailable || o.Code == codes.DeadlineExceeded)
}

// paused takes notice of what a pause was told.
func (c *claims) paused(claim *claim, o servertest.Outcome) {
	c.Helper()
	switch {
	case o.OK():
		c.adopt(claim, o.Hold)
	case cutOff(o), o.Reason == notSettled && o.Metadata["outcome"] == "continuing":
		c.begin(claim, either)
	case o.Reason == notSettled && o.Metadata["outcome"] == "kept":
		c.begin(claim, lives)
	case o.Reason == notSettled, o.Reason == incomplete, o.Reason == unsafeHard:
	default:
		c.Errorf("pausing %s, of which was known that it %s: %v", claim.id, claim.fate, o)
	}
}

// begin takes notice of a hold that is placed, or may be, and not settled yet.
func (c *claims) begin(claim *claim, f fate) {
	if claim.fate == gone {
		claim.uid, claim.expires = "", time.Time{}
	}
	if claim.fate != lives {
		claim.fate = f
	}
}

// resumed takes notice of what a release was told. It may be told of any end, but not of one that was none.
func (c *claims) resumed(claim *claim, o servertest.Outcome) {
	c.Helper()
	early := claim.expires.IsZero() || time.Now().Before(claim.expires)
	switch {
	case cutOff(o):
		if claim.fate == lives {
			claim.fate = either
		}
		return
	case claim.fate != lives, o.OK(), o.Reason == notSettled, o.Reason == heldBy, o.Reason == expired && !early,
		o.Reason == broken && o.Metadata["continuity"] == "UNKNOWN": // a broker is down
	default:
		c.Errorf("releasing %s, which expires at %v: %v", claim.id, claim.expires, o)
	}
	claim.fate = gone
}

// adopt takes notice of a hold that lives and has settled.
func (c *claims) adopt(claim *claim, h *exportgatev1.Hold) {
	c.Helper()
	switch {
	case claim.fate != gone && claim.uid != "" && claim.uid != h.GetUid():
		c.Errorf("hold %s was placed as %s and is %s now: one was lost", claim.id, claim.uid, h.GetUid())
	case claim.fate == gone && claim.uid == h.GetUid():
		c.Errorf("hold %s lives again, although its end was told", claim.id)
	case h.GetSettleTime() == nil || h.GetPhase() != phaseOf(claim.phase):
		c.Errorf("hold %s is not settled in %s: %v", claim.id, claim.phase, h)
	case h.GetContinuity() == exportgatev1.Continuity_CONTINUITY_BROKEN:
		c.Errorf("hold %s is called broken, and no replica exported: %v", claim.id, h.GetEvidence())
	}
	claim.fate, claim.uid, claim.expires = lives, h.GetUid(), time.Time{}
	if h.GetExpireTime() != nil {
		claim.expires = h.GetExpireTime().AsTime()
	}
	c.guard.forbid(claim.id, floor{claim.phase, claim.expires})
}

// check compares the ledger, as it was told between two instants when all was quiet, with what callers know, and learns
// from it what became of calls that were cut off.
func (c *claims) check(s *exportgatev1.Status, from, to time.Time) {
	c.Helper()
	told := map[string]*exportgatev1.Hold{}
	for _, h := range s.GetHolds() {
		told[h.GetId()] = h
		if c.find(h.GetId()) == nil {
			c.Errorf("nobody asked for this hold: %v", h)
		}
	}
	for _, claim := range c.list {
		h, live := told[claim.id]
		over := !claim.expires.IsZero() && claim.expires.Before(to)
		switch {
		case live && claim.fate == gone:
			c.Errorf("hold %s lives, although it was released: %v", claim.id, h)
		case live && !claim.expires.IsZero() && claim.expires.Before(from):
			c.Errorf("hold %s lives, although it has expired: %v", claim.id, h)
		case live:
			c.adopt(claim, h)
		case claim.fate == lives && !over:
			c.Errorf("hold %s (%s) was lost; it was to last until %v", claim.id, claim.uid, claim.expires)
			fallthrough
		default:
			claim.fate = gone
			c.guard.allow(claim.id)
		}
	}
	c.checkHistory(s)
}

// checkHistory looks whether what has ended is remembered, and as what it was.
func (c *claims) checkHistory(s *exportgatev1.Status) {
	c.Helper()
	history := map[string]*exportgatev1.EndedHold{}
	for _, e := range s.GetHistory() {
		history[e.GetHold().GetUid()] = e
	}
	for _, claim := range c.list {
		e, ended := history[claim.uid]
		switch {
		case claim.uid == "":
		case ended == (claim.fate == lives):
			c.Errorf("hold %s (%s) %s, and in the history it is %v", claim.id, claim.uid, claim.fate, e)
		case !ended:
		case e.GetEnd() == exportgatev1.HoldEnd_HOLD_END_EXPIRED && !e.GetEndTime().AsTime().Equal(claim.expires):
			c.Errorf("hold %s was to expire at %v: %v", claim.id, claim.expires, e)
		case e.GetHold().GetContinuity() == exportgatev1.Continuity_CONTINUITY_BROKEN:
			c.Errorf("hold %s is called broken, and no replica exported: %v", claim.id, e)
		}
	}
}
