package hold

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

const full = "broker 1 has 1.0 GiB of 100 GiB free"

func TestGuard(t *testing.T) {
	l, memory := opened(t)
	a, b := placed(t, l, "a", soft, time.Hour), placed(t, l, Operator, hard, 0)
	if err := l.Settle(t.Context(), 0, map[string]Continuous{a.UID: {Complete: true}}); err != nil {
		t.Fatal(err)
	}
	ended, recorded, err := l.Guard(t.Context(), 0, full)
	if err != nil || !recorded || !slices.Equal(uids(ended), []string{a.UID, b.UID}) || l.Forced() {
		t.Errorf("error %v, recorded %v, forced %v, ended %+v", err, recorded, l.Forced(), ended)
	}
	state := lastIn(t, memory)
	if diff := compare(ended, state.History); diff != "" || len(state.Holds) != 0 || state.Undo == nil || state.Undo.Restore != nil {
		t.Errorf("undo %+v, holds %+v, history (-told +written):\n%s", state.Undo, state.Holds, diff)
	}
	for _, e := range ended { // Also one that was never settled, and of which nothing was known.
		if e.How != Guarded || e.By != full || e.Continuity != Broken || !slices.Equal(e.Hold.Record.Evidence, []string{full}) {
			t.Errorf("ended: %+v", e)
		}
	}
	ended, recorded, err = l.Guard(t.Context(), 0, full)
	if again := lastIn(t, memory); err != nil || !recorded || len(ended) != 0 || again.Revision != state.Revision {
		t.Errorf("again: error %v, recorded %v, ended %+v, revision %d after %d", err, recorded, ended, again.Revision, state.Revision)
	}
}

// A pause that nobody holds fills the disk no less, and neither does one that a failed pause is about to go back to.
func TestGuardEndsWhatIsNotHeld(t *testing.T) {
	t.Run("foreign", func(t *testing.T) {
		l, memory := opened(t)
		ended, recorded, err := l.Guard(t.Context(), 0, full)
		if state := lastIn(t, memory); err != nil || !recorded || len(ended) != 0 || state.Undo == nil || state.Undo.Restore != nil {
			t.Errorf("error %v, recorded %v, ended %+v, undo %+v", err, recorded, ended, state.Undo)
		}
	})
	t.Run("a revert to it", func(t *testing.T) {
		l, memory := opened(t)
		p := request(l, "a", hard, 0)
		p.Restore = Phases{"0": soft, "1": soft}
		h, err := l.Place(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Refuse(t.Context(), 0, map[string]Refusal{h.Hold.UID: {}}, "no"); err != nil {
			t.Fatal(err)
		}
		if state := lastIn(t, memory); state.Undo == nil || state.Undo.Restore == nil {
			t.Fatalf("undo %+v: nothing is reverted", state.Undo)
		}
		if _, _, err := l.Guard(t.Context(), 0, full); err != nil {
			t.Fatal(err)
		}
		if state := lastIn(t, memory); state.Undo == nil || state.Undo.Restore != nil {
			t.Errorf("undo %+v", state.Undo)
		}
	})
}

// Only the server that drives ends holds, as long as anybody can tell who that is.
func TestGuardOfAnEarlierTerm(t *testing.T) {
	l, other, store, ours := lost(t)
	store.err = nil
	if err := other.Take(t.Context(), 7, "other"); err != nil {
		t.Fatal(err)
	}
	refresh(t, l)
	if ended, recorded, err := l.Guard(t.Context(), 6, full); !errors.Is(err, ErrEarlierTerm) || recorded || len(ended) != 0 {
		t.Errorf("error %v, recorded %v, ended %+v", err, recorded, ended)
	}
	if state := lastIn(t, store.Memory); len(state.Holds) != 1 || l.Forced() {
		t.Fatalf("forced %v, state %+v", l.Forced(), state)
	}
	store.err = errDisk
	_ = l.Refresh(t.Context())
	if ended, recorded, err := l.Guard(t.Context(), 0, full); err != nil || recorded || !slices.Equal(uids(ended), []string{ours.UID}) {
		t.Errorf("lost: error %v, recorded %v, ended %+v", err, recorded, ended)
	}
}

// Where nothing can be written the guard's word counts here alone, and is written as it was said once that works.
func TestGuardWhileLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, store, ours := lost(t)
		ended, recorded, err := l.Guard(t.Context(), 0, full)
		if err != nil || recorded || !l.Forced() || !slices.Equal(uids(ended), []string{ours.UID}) {
			t.Errorf("error %v, recorded %v, forced %v, ended %+v", err, recorded, l.Forced(), ended)
		}
		if state, _ := l.State(); len(state.Holds) != 0 || state.Undo == nil || state.Undo.Restore != nil {
			t.Errorf("state %+v", state)
		}
		<-time.After(time.Minute)
		store.err = nil
		state := refresh(t, l)
		if diff := compare(ended, state.History); diff != "" || l.Forced() || len(state.Holds) != 0 {
			t.Errorf("forced %v, holds %+v, history (-told +written):\n%s", l.Forced(), state.Holds, diff)
		}
	})
}

// A server that stops leaves the holds to whoever serves next.
func TestGuardOfAServerThatStops(t *testing.T) {
	l, _, _, _ := lost(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if ended, recorded, err := l.Guard(ctx, 0, full); err == nil || recorded || len(ended) != 0 || l.Forced() {
		t.Errorf("error %v, recorded %v, forced %v, ended %+v", err, recorded, l.Forced(), ended)
	}
}
