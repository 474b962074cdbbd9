package proxies

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/exportgate/exportgate/server/servertest"
	"google.golang.org/grpc/codes"
)

// history is what callers asked for and were told, by the names that it concerns.
type history struct {
	began time.Time
	names []string // all that are used

	mu         sync.Mutex
	calls      int
	open       int // calls of which it is not known whether they did anything
	operations map[string][]porcupine.Operation
	uids       map[string][]string // that callers were told
	unexpected []string
}

func newHistory(names []string) *history {
	return &history{
		began: time.Now(), names: names, operations: map[string][]porcupine.Operation{}, uids: map[string][]string{},
	}
}

// call is a call that is under way.
type call struct {
	*history

	client int
	from   time.Duration
}

// begin begins a call, unless there were as many as there may be.
func (h *history) begin(client, most int) (call, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls >= most {
		return call{}, false
	}
	h.calls++
	return call{h, client, time.Since(h.began)}, true
}

// known is a uid of a name that was told lately, where there is one.
func (h *history) known(name string, choose func(n int) int) (uid string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	uids := h.uids[name]
	uids = uids[max(0, len(uids)-3):]
	if len(uids) == 0 {
		return "", false
	}
	return uids[choose(len(uids))], true
}

// add adds an operation on a name, with the time from when the call began until now. One without an answer is over at once
// for the checker: the model remembers that it may still take effect.
func (c call) add(name string, in input, out output) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in.from, in.by = c.from, time.Since(c.began)
	if out.told == nothing {
		in.by = in.from
		c.open++
	}
	c.operations[name] = append(c.operations[name], porcupine.Operation{
		ClientId: c.client, Input: in, Output: out, Call: int64(in.from), Return: int64(in.by),
	})
	if out.told == done && out.uid != "" && !slices.Contains(c.uids[name], out.uid) {
		c.uids[name] = append(c.uids[name], out.uid)
	}
}

// missed takes note of an answer that should never be given.
func (c call) missed(in verb, o servertest.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unexpected = append(c.unexpected, fmt.Sprintf("%v: %s was answered %v", c.from, in, o))
}

// refused reports whether it is clear that a call did nothing.
func refused(o servertest.Outcome) bool {
	switch o.Reason {
	case "INCOMPLETE_TOPOLOGY":
		return true
	case "STORE_UNAVAILABLE":
		return o.Metadata["written"] == "no"
	case "":
		return errors.Is(o.Err, syscall.ECONNREFUSED) ||
			o.Code == codes.Unavailable && strings.Contains(o.Message, "connection refused")
	}
	return false
}

// unclear reports whether it is not known what a call did, and may still do.
func unclear(o servertest.Outcome) bool {
	switch o.Reason {
	case "STORE_UNAVAILABLE", "SHUTTING_DOWN": // Those that wait are told so too.
		return true
	case "":
		return o.Err != nil || o.Code == codes.Unavailable || o.Code == codes.DeadlineExceeded || o.Code == codes.Canceled
	}
	return false
}

// ended is how a call ended that is not answered as it wished, by the reason that it was told.
func (c call) ended(name string, in input, o servertest.Outcome, answers map[string]told) {
	answer, expected := answers[o.Reason]
	switch {
	case refused(o):
	case unclear(o):
		c.add(name, in, output{told: nothing})
	case expected:
		c.add(name, in, output{told: answer})
	default:
		c.missed(in.verb, o)
	}
}

// paused takes note of the answer to a pause, or to a renewal.
func (c call) paused(name string, in input, o servertest.Outcome) {
	if o.OK() {
		c.add(name, in, output{done, o.Hold.GetUid()})
		return
	}
	answers := map[string]told{"REPLICAS_NOT_SETTLED": effective, "SUPERSEDED": effective, "HOLD_EXPIRED": effective}
	if in.verb == renew {
		answers["HOLD_EXPIRED"], answers["HOLD_BROKEN"], answers["HOLD_NOT_FOUND"] = expired, broken, notFound
	}
	c.ended(name, in, o, answers)
}

// released takes note of the answer to a resume by name.
func (c call) released(name string, o servertest.Outcome) {
	in := input{verb: release}
	if o.OK() {
		c.add(name, in, output{done, o.Hold.GetUid()})
		return
	}
	c.ended(name, in, o, map[string]told{
		"REPLICAS_NOT_SETTLED": effective, "SUPERSEDED": effective,
		"HOLD_BROKEN": broken, "HOLD_EXPIRED": expired, "HOLD_NOT_FOUND": notFound,
	})
}

// resumed takes note of the answer to a plain resume: it tells of the anonymous hold, and which others live.
func (c call) resumed(operator string, o servertest.Outcome) {
	in := input{verb: release}
	if o.OK() {
		c.add(operator, in, output{done, o.Hold.GetUid()})
	} else {
		c.ended(operator, in, o, map[string]told{
			"REPLICAS_NOT_SETTLED": effective, "SUPERSEDED": effective, "HELD_BY_OTHERS": effective,
		})
		if refused(o) || unclear(o) {
			return
		}
	}
	others := strings.Split(o.Metadata["holds"], ",")
	for _, name := range c.names {
		switch {
		case name == operator:
		case slices.Contains(others, name):
			c.add(name, in, output{told: othersLive})
		default:
			c.add(name, in, output{told: othersDone})
		}
	}
}

// forced takes note of the answer to a resume by force. One that the ledger does not know of yet comes into it later, or
// never. One that had nothing to end does not say whether the ledger knows of it.
func (c call) forced(o servertest.Outcome) {
	if !o.OK() && !refused(o) && !unclear(o) && o.Reason != "REPLICAS_NOT_SETTLED" && o.Reason != "SUPERSEDED" {
		c.missed(force, o)
	}
	for _, name := range c.names {
		out := output{told: done}
		for _, h := range o.Forced {
			if h.GetId() == name {
				out.uid = h.GetUid()
			}
		}
		switch {
		case o.OK() && len(o.Forced) == 0 && o.Status.GetStale() == "":
			out.told = perhaps
		case !o.OK() || len(o.Forced) == 0 || len(o.Unrecorded) > 0:
			out = output{told: nothing}
		}
		if !refused(o) {
			c.add(name, input{verb: force}, out)
		}
	}
}
