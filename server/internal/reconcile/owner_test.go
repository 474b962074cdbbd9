package reconcile_test

import (
	"errors"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
	"github.com/exportgate/exportgate/server/internal/hold"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// Who may touch its own holds alone is refused whatever touches another's, also where it is only asked what would happen,
// and nothing comes of it.
func TestOwnOnly(t *testing.T) {
	pause := func(req reconcile.PauseRequest) func(*rig) error {
		return func(r *rig) error {
			if req.Renew != "" {
				state, _ := r.ledger.State()
				h, _ := state.Find("backup")
				if e, ended := state.Last("backup"); ended {
					h = e.Hold
				}
				req.Renew = h.UID
			}
			_, err := r.Pause(r.t.Context(), req)
			return err
		}
	}
	resume := func(req reconcile.ResumeRequest) func(*rig) error {
		return func(r *rig) error {
			_, err := r.Resume(r.t.Context(), req)
			return err
		}
	}
	const you = "you"
	tests := map[string]struct {
		ended bool // whether the hold has expired
		act   func(*rig) error
	}{
		"renew by name":   {false, pause(reconcile.PauseRequest{Hold: "backup", Phase: hard, Owner: you, OwnOnly: true})},
		"replace":         {false, pause(reconcile.PauseRequest{Hold: "backup", Phase: soft, Owner: you, OwnOnly: true})},
		"renew":           {false, pause(reconcile.PauseRequest{Renew: "its uid", Owner: you, OwnOnly: true})},
		"renew what was":  {true, pause(reconcile.PauseRequest{Renew: "its uid", Owner: you, OwnOnly: true})},
		"anonymous":       {false, pause(reconcile.PauseRequest{Phase: hard, Owner: you, OwnOnly: true})},
		"would renew":     {false, pause(reconcile.PauseRequest{Hold: "backup", Phase: hard, Owner: you, OwnOnly: true, ValidateOnly: true})},
		"would replace":   {false, pause(reconcile.PauseRequest{Hold: "backup", Phase: soft, Owner: you, OwnOnly: true, ValidateOnly: true})},
		"would renew uid": {false, pause(reconcile.PauseRequest{Renew: "its uid", Owner: you, OwnOnly: true, ValidateOnly: true})},
		"release":         {false, resume(reconcile.ResumeRequest{Hold: "backup", Owner: you, OwnOnly: true})},
		"release what was": {
			true, resume(reconcile.ResumeRequest{Hold: "backup", Owner: you, OwnOnly: true}),
		},
		"would release":      {false, resume(reconcile.ResumeRequest{Hold: "backup", Owner: you, OwnOnly: true, ValidateOnly: true})},
		"would release this": {true, resume(reconcile.ResumeRequest{Hold: "backup", Owner: you, OwnOnly: true, ValidateOnly: true})},
		"resume":             {false, resume(reconcile.ResumeRequest{Owner: you, OwnOnly: true})},
		"force":              {false, resume(reconcile.ResumeRequest{Force: true, Owner: you, OwnOnly: true})},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, exportingtest.New(3, 3), func(r *rig) {
				t := r.t
				r.hold(t, "backup", hard)
				if test.ended {
					wait(2 * time.Hour)
				}
				before, _ := r.ledger.State()
				if err := test.act(r); !is[*hold.NotOwnerError](err) {
					t.Errorf("error %v", err)
				}
				if after, _ := r.ledger.State(); after.Revision != before.Revision {
					t.Errorf("it changed the ledger from %+v to %+v", before, after)
				}
				r.show(t, before.Target())
			})
		})
	}
}

// A broker that is down is no reason to tell whose hold it is otherwise.
func TestOwnOnlyIsToldFirst(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.hold(t, "backup", hard)
		r.cluster.SetFault(1, exportingtest.Down)
		began := time.Now()
		_, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: "backup", Phase: soft, Owner: "you", OwnOnly: true})
		if !is[*hold.NotOwnerError](err) || time.Since(began) > time.Second {
			t.Errorf("error %v after %v", err, time.Since(began))
		}
	})
}

// One's own holds are as ever.
func TestOwnersOwn(t *testing.T) {
	bubble(t, exportingtest.New(3, 3), func(r *rig) {
		t := r.t
		r.hold(t, "another's", hard)
		own := reconcile.PauseRequest{Hold: "mine", Phase: soft, Owner: "me", OwnOnly: true}
		placed, err := r.Pause(t.Context(), own)
		if err != nil || placed.Hold.Owner != "me" {
			t.Fatalf("error %v, placed %+v", err, placed.Hold)
		}
		for what, req := range map[string]reconcile.PauseRequest{
			"by name": own, "by uid": {Renew: placed.Hold.UID, Owner: "me", OwnOnly: true},
		} {
			if renewed, err := r.Pause(t.Context(), req); err != nil || renewed.Hold.UID != placed.Hold.UID {
				t.Errorf("renew %s: error %v, renewed %+v", what, err, renewed.Hold)
			}
		}
		for _, validate := range []bool{true, false, false} { // The last repeats the answer.
			req := reconcile.ResumeRequest{Hold: "mine", Owner: "me", OwnOnly: true, ValidateOnly: validate}
			if _, err := r.Resume(t.Context(), req); err != nil {
				t.Errorf("release, validate %v: %v", validate, err)
			}
		}
		_, err = r.Resume(t.Context(), reconcile.ResumeRequest{Hold: "never", Owner: "me", OwnOnly: true})
		if !is[*reconcile.HoldNotFoundError](err) {
			t.Errorf("release what never was: %v", err)
		}
		r.holds(t, "another's")
	})
}

// A caller's own limit cuts what it asks for, and what it would get without asking.
func TestMaxTTLOfACaller(t *testing.T) {
	tests := map[string]struct {
		id        string
		ttl, most time.Duration
		want      time.Duration
	}{
		"less than it may":    {"backup", 10 * time.Minute, 30 * time.Minute, 10 * time.Minute},
		"more than it may":    {"backup", 2 * time.Hour, 30 * time.Minute, 30 * time.Minute},
		"the default is more": {"backup", 0, 30 * time.Minute, 30 * time.Minute},
		"the default is less": {"backup", 0, 2 * time.Hour, time.Hour},
		"more than anybody":   {"backup", 48 * time.Hour, 36 * time.Hour, 24 * time.Hour},
		"no end":              {hold.Operator, 0, 30 * time.Minute, 30 * time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, exportingtest.New(3, 3), func(r *rig) {
				t := r.t
				result, err := r.Pause(t.Context(), reconcile.PauseRequest{Hold: test.id, Phase: hard, TTL: test.ttl, MaxTTL: test.most, Owner: "me"})
				if err != nil {
					t.Fatal(err)
				}
				if got := result.Hold.Expires.Sub(result.Hold.Created); got != test.want {
					t.Errorf("it lives %v, want %v", got, test.want)
				}
				wait(10 * time.Minute)
				began := time.Now()
				result, err = r.Pause(t.Context(), reconcile.PauseRequest{Renew: result.Hold.UID, TTL: 48 * time.Hour, MaxTTL: test.most, Owner: "me"})
				if test.want == 10*time.Minute {
					if !is[*reconcile.HoldExpiredError](err) {
						t.Errorf("renew: %v", err)
					}
					return
				}
				if err != nil || result.Hold.Expires.Sub(began) > test.most {
					t.Errorf("renew: error %v, %+v", err, result.Hold)
				}
			})
		})
	}
}

// trespass is somebody who touches, or tries to, what others hold: refused, and nothing comes of it.
func (s *stage) trespass(a act) string {
	s.model.target(time.Now())
	c := s.model[a.id]
	if c == nil || c.open {
		return "" // It may be free, or its end be told: that is nobody's then.
	}
	if soon := time.Until(c.expires); !c.expires.IsZero() && soon < time.Second {
		return ""
	}
	_, paused := s.servers[a.server].Pause(s.t.Context(), reconcile.PauseRequest{
		Hold: a.id, Phase: a.phase, TTL: a.ttl, Owner: "a stranger", OwnOnly: true, ValidateOnly: a.keep,
	})
	_, renewed := s.servers[a.server].Pause(s.t.Context(), reconcile.PauseRequest{Renew: c.uid, TTL: a.ttl, Owner: "a stranger", OwnOnly: true})
	_, resumed := s.servers[a.server].Resume(s.t.Context(), reconcile.ResumeRequest{Hold: a.id, Owner: "a stranger", OwnOnly: true})
	for _, err := range []error{paused, renewed, resumed} {
		if !is[*hold.NotOwnerError](err) && (!s.lost || !is[*hold.UnavailableError](err)) {
			return "a stranger was told " + errors.Join(err, errors.New("of "+a.id)).Error()
		}
	}
	return ""
}
