package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

func (a act) pauseRequest() reconcile.PauseRequest {
	req := reconcile.PauseRequest{Hold: a.id, Phase: a.phase, TTL: a.ttl, Owner: "model"}
	if a.id == hold.Operator && a.broker == 0 {
		req.TTL = 0
	}
	if a.keep {
		req.OnFailure = reconcile.Keep
	}
	return req
}

func (s *stage) pause(a act) string {
	req := a.pauseRequest()
	began := time.Now()
	s.model.target(began)
	old := s.model[a.id]
	if s.model[hold.Operator] == nil && a.id != hold.Operator && s.paused {
		s.model[hold.Operator] = &claim{open: true, disturbed: true} // It may be adopted.
	}
	result, err := s.servers[a.server].Pause(s.t.Context(), req)
	failed, unsettled := errors.AsType[*reconcile.NotSettledError](err)
	switch {
	case is[*hold.UnavailableError](err):
		return s.unavailable(err)
	case err != nil && !unsettled:
		if refused := is[*exporting.IncompleteTopologyError](err) || is[*exporting.UnsafeTransitionError](err) ||
			is[*reconcile.HoldExpiredError](err) || old != nil && old.open && is[*reconcile.SupersededError](err); !refused {
			return fmt.Sprintf("pause: %v", err)
		}
		if is[*reconcile.HoldExpiredError](err) || is[*reconcile.SupersededError](err) || old != nil && old.phase == a.phase && old.open {
			s.open(a.id)
		}
		return ""
	case unsettled && !s.faulty && old != nil && !old.open && old.phase == a.phase:
		return fmt.Sprintf("a renewal, and every broker is well: %v", err)
	case unsettled:
		s.open(a.id)
		s.left = false // It is wanted now, and goes on.
		if failed.Outcome == reconcile.OutcomeUnenforced {
			return fmt.Sprintf("a pause that was asked for is not enforced: %v", err)
		}
		if failed.Outcome == reconcile.OutcomeReverted && old == nil && !s.faulty {
			return fmt.Sprintf("pause: %v", err)
		}
		state, _ := s.servers[a.server].ledger.State()
		if _, live := state.Find(a.id); failed.Outcome == reconcile.OutcomeKept && !live && time.Since(began) < a.ttl {
			return fmt.Sprintf("hold %s was to be kept; the ledger: %+v", a.id, state)
		}
		return ""
	}
	// Success: every broker truly shows at least what was asked for, and the hold is there until it was promised.
	for i, phase := range s.cluster.Phases() {
		if phase < a.phase {
			return fmt.Sprintf("paused successfully, but broker %d is %v", i, phase)
		}
	}
	s.left = false
	h := result.Hold
	renewal := old != nil && !old.open && old.phase == a.phase && (old.expires.IsZero() || began.Before(old.expires))
	if renewal && h.UID != old.uid {
		return fmt.Sprintf("hold %s got another uid by a renewal", a.id)
	}
	least := began.Add(req.TTL)
	switch {
	case req.TTL == 0 && !h.Expires.IsZero(), renewal && !h.Expires.IsZero() && (old.expires.IsZero() || h.Expires.Before(old.expires)),
		req.TTL != 0 && !h.Expires.IsZero() && h.Expires.Before(least.Add(-time.Second)):
		return fmt.Sprintf("hold %s expires at %v, too early", a.id, h.Expires)
	}
	if renewal {
		old.expires = h.Expires
		return ""
	}
	s.model[a.id] = &claim{
		uid: h.UID, phase: h.Phase, expires: h.Expires, settled: h.Settled, stored: s.cluster.Stored(),
		disturbed: old != nil && old.disturbed && h.Created.Before(began),
	}
	return ""
}

// again renews a hold by its name.
func (s *stage) again(a act) string {
	c := s.model[a.id]
	if c == nil {
		return ""
	}
	a.phase = c.phase
	if c.open {
		a.phase = soft // Nobody knows.
	}
	return s.pause(a)
}

// unavailable judges a refusal because of the store: nothing has changed then.
func (s *stage) unavailable(err error) string {
	if s.lost {
		return ""
	}
	return fmt.Sprintf("the store is there, and yet: %v", err)
}

func (s *stage) open(id string) {
	if s.model[id] == nil {
		s.model[id] = &claim{}
	}
	s.model[id].open = true
}

func (s *stage) renew(a act) string {
	began := time.Now()
	s.model.target(began)
	c := s.model[a.id]
	if c == nil || c.open {
		_, err := s.servers[a.server].Pause(s.t.Context(), reconcile.PauseRequest{Renew: "nobody"})
		if !is[*reconcile.HoldNotFoundError](err) && (!s.lost || !is[*hold.UnavailableError](err)) {
			return fmt.Sprintf("renewed nobody's hold: %v", err)
		}
		return ""
	}
	result, err := s.servers[a.server].Pause(s.t.Context(), reconcile.PauseRequest{Renew: c.uid, TTL: a.ttl})
	switch {
	case is[*hold.UnavailableError](err):
		return s.unavailable(err)
	case is[*reconcile.NotSettledError](err): // It was renewed all the same.
		s.open(a.id)
		if failed, _ := errors.AsType[*reconcile.NotSettledError](err); failed.Outcome == reconcile.OutcomeUnenforced && !s.left {
			return fmt.Sprintf("nobody resumed: %v", err)
		}
	case is[*reconcile.HoldExpiredError](err) && !c.expires.IsZero() && time.Since(began) >= a.ttl:
		delete(s.model, a.id)
	case err != nil:
		return fmt.Sprintf("renew: %v", err)
	case !c.expires.IsZero() && !result.Hold.Expires.IsZero() && result.Hold.Expires.Before(c.expires):
		return "a renewal shortened a hold"
	default:
		c.expires = result.Hold.Expires
	}
	return ""
}

func (s *stage) resume(a act) string {
	began := time.Now()
	s.model.target(began)
	c := s.model[a.id]
	drained := c != nil && !c.open && (c.phase == soft || began.Sub(c.settled) > 30*time.Second)
	passed := drained && c.passed(s.cluster.Stored())
	result, err := s.servers[a.server].Resume(s.t.Context(), reconcile.ResumeRequest{Hold: a.id})
	if is[*hold.UnavailableError](err) {
		return s.unavailable(err)
	}
	if is[*reconcile.NotSettledError](err) {
		delete(s.model, a.id)
		return ""
	}
	_, broken := errors.AsType[*reconcile.HoldBrokenError](err)
	switch {
	case a.id == hold.Operator && !is[*reconcile.HeldByOthersError](err) && err != nil:
		return fmt.Sprintf("resume: %v", err)
	case a.id == hold.Operator:
		if err == nil {
			s.paused = false
		}
	case c == nil:
		if err == nil && result.Hold == nil {
			return "released a hold that never was"
		}
		return ""
	case c.open && is[*reconcile.HoldNotFoundError](err):
		delete(s.model, a.id)
		return ""
	case c.open:
	case err == nil && passed:
		return fmt.Sprintf("hold %s is told to be intact, but positions passed: %v at first, then %v", a.id, c.stored, s.cluster.Stored())
	case broken && !c.disturbed && !s.faulty:
		return fmt.Sprintf("a false alarm: %v", err)
	case err != nil && !broken:
		return fmt.Sprintf("resume %s: %v", a.id, err)
	}
	delete(s.model, a.id)
	if s.model.target(time.Now()) == exports {
		s.paused = false
	}
	return ""
}

// force ends every hold, whatever is lost. Where the store is, it does not know of that until it is found.
func (s *stage) force(a act) string {
	s.model.target(time.Now())
	result, err := s.servers[a.server].Resume(s.t.Context(), reconcile.ResumeRequest{Force: true})
	switch {
	case err != nil && !is[*reconcile.NotSettledError](err):
		return fmt.Sprintf("force: %v", err)
	case err == nil && result.Unrecorded != s.lost:
		return fmt.Sprintf("force: unrecorded is %v", result.Unrecorded)
	}
	wait(20 * time.Second) // What was asked for earlier, here or by another server that lost its store, may be applied once more.
	for i, phase := range s.cluster.Phases() {
		if err == nil && phase != exports && !s.faulty { // One that swallows what it took has an earlier request win.
			return fmt.Sprintf("resumed successfully by force, but broker %d is %v", i, phase)
		}
	}
	s.left = s.left && s.lost // Where the holds come back, so does that.
	if s.lost {
		ended := s.unknown[a.server]
		if ended == nil {
			ended = model{}
		}
		maps.Copy(ended, s.model)
		s.unknown[a.server] = ended
	}
	s.model, s.paused = model{}, false
	return ""
}

// passed reports whether a position moved for good. What a hard pause still lets through is no breach: it lands before the
// hold counts.
func (c *claim) passed(stored []int64) bool {
	for i, position := range stored {
		if position > c.stored[i]+lateFlush {
			return true
		}
	}
	return false
}

// lateFlush is more than exporters buffer at ten records a second.
const lateFlush = 60

// crashIn kills the server during a call.
func (s *stage) crashIn(a act) {
	server := s.servers[a.server]
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if a.what == "crash in pause" {
			_, _ = server.Pause(ctx, a.pauseRequest())
			return
		}
		_, _ = server.Resume(ctx, reconcile.ResumeRequest{Hold: a.id})
	}()
	wait(a.life)
	s.open(a.id)
	s.model[a.id].disturbed = true
	if s.paused {
		s.open(hold.Operator) // It may have been adopted.
	}
	s.crash(a.server)
	cancel()
	<-done
}

// check compares the ledger and the brokers with the model, when all is quiet.
func (s *stage) check() string {
	now := time.Now()
	s.model.target(now)
	state, _ := s.servers[0].ledger.State()
	for id, c := range s.model {
		h, live := state.Find(id)
		switch {
		case c.open && !live:
			delete(s.model, id)
		case c.open:
			c.phase, c.expires = h.Phase, h.Expires
			if h.Settled.IsZero() {
				return fmt.Sprintf("hold %s has not settled", id)
			}
		case !live:
			return fmt.Sprintf("hold %s is lost; the ledger: %+v", id, state)
		case h.Phase != c.phase || !h.Expires.Equal(c.expires) || h.UID != c.uid:
			return fmt.Sprintf("hold %s is %+v, and ought to be %+v", id, h, c)
		}
	}
	for i := range state.Holds {
		if s.model[state.Holds[i].ID] == nil {
			return fmt.Sprintf("hold %s was invented; the ledger: %+v", state.Holds[i].ID, state)
		}
	}
	target := s.model.target(now)
	phases := s.cluster.Phases()
	if target == exports && s.paused {
		return "" // Nobody here asked for that, and nobody here may end it.
	}
	if s.left && !slices.ContainsFunc(phases, func(p exporting.Phase) bool { return p != exports }) {
		return ""
	}
	if slices.ContainsFunc(phases, func(p exporting.Phase) bool { return p != target }) {
		return fmt.Sprintf("the holds ask for %v, the brokers are %v; the ledger: %+v", target, phases, state)
	}
	return ""
}
