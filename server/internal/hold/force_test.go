package hold

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func uids(ended []Ended) []string {
	var all []string
	for _, e := range ended {
		all = append(all, e.Hold.UID)
	}
	return all
}

func TestForce(t *testing.T) {
	l, memory := opened(t)
	a, b := placed(t, l, "a", soft, 0), placed(t, l, Operator, hard, 0)
	ended, recorded := l.Force(t.Context(), "me")
	if !recorded || !slices.Equal(uids(ended), []string{a.UID, b.UID}) || l.Forced() {
		t.Errorf("recorded %v, forced %v, ended %+v", recorded, l.Forced(), ended)
	}
	state := lastIn(t, memory)
	if diff := compare(ended, state.History); diff != "" || len(state.Holds) != 0 || state.Undo == nil || state.Undo.Restore != nil {
		t.Errorf("undo %+v, holds %+v, history (-told +written):\n%s", state.Undo, state.Holds, diff)
	}
	for _, e := range ended {
		if e.How != Forced || e.By != "me" {
			t.Errorf("ended: %+v", e)
		}
	}
	if ended, recorded := l.Force(t.Context(), "me"); len(ended) != 0 || !recorded {
		t.Errorf("again: recorded %v, ended %+v", recorded, ended)
	}
}

// lost is a ledger with a hold, whose store it can neither read nor write, and another ledger that can.
func lost(t *testing.T) (l, other *Ledger, store *faulty, ours Hold) {
	t.Helper()
	store = &faulty{Memory: NewMemory()}
	l, other = openedOn(t, store), openedOn(t, store.Memory)
	ours = placed(t, l, "ours", soft, time.Hour)
	refresh(t, other)
	store.err = errDisk
	if err := l.Refresh(t.Context()); err == nil {
		t.Fatal("it can be read")
	}
	return l, other, store, ours
}

// Where nothing can be written a resume by force counts here alone. It is written as soon as that works, and ends what it
// was to end, not what others have placed meanwhile.
func TestForceWhileLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, other, store, ours := lost(t)
		at := time.Now()
		ended, recorded := l.Force(t.Context(), "me")
		if recorded || !slices.Equal(uids(ended), []string{ours.UID}) || !l.Forced() {
			t.Errorf("recorded %v, forced %v, ended %+v", recorded, l.Forced(), ended)
		}
		state, _ := l.State()
		if goal, enforce := state.Goal(); goal.Phase != exports || !enforce || len(state.Holds) != 0 {
			t.Errorf("state %+v", state)
		}
		<-time.After(time.Minute)
		theirs := placed(t, other, "theirs", hard, 0)

		<-time.After(time.Minute)
		store.err = nil
		state = refresh(t, l)
		if l.Forced() || l.Stale() != nil {
			t.Errorf("forced %v, stale %v", l.Forced(), l.Stale())
		}
		want := ended[0]
		want.At = at
		if diff := compare([]Ended{want}, state.History); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		if diff := compare([]Hold{theirs}, state.Holds); diff != "" || state.Undo != nil {
			t.Errorf("undo %+v, holds (-want +got):\n%s", state.Undo, diff)
		}
		if diff := compare(state, refresh(t, other)); diff != "" {
			t.Errorf("the other has not that state:\n%s", diff)
		}
	})
}

// A hold that has ended by force does not come back by what is asked for after that, even if that is what finds out that
// the store is back.
func TestPauseAfterForceWhileLost(t *testing.T) {
	l, _, store, ours := lost(t)
	l.Force(t.Context(), "me")
	store.err = nil
	again, err := l.Place(t.Context(), request(l, "ours", soft, 0))
	if err != nil || again.Renewed || again.Hold.UID == ours.UID {
		t.Fatalf("error %v, placed %+v", err, again)
	}
	state := refresh(t, l)
	if diff := compare([]Hold{again.Hold}, state.Holds); diff != "" || l.Forced() {
		t.Errorf("forced %v, holds (-want +got):\n%s", l.Forced(), diff)
	}
	if e, _ := state.LastUID(ours.UID); e.How != Forced {
		t.Errorf("ended: %+v", e)
	}
}

// What ended by force ends no second time by its own, and what had expired before was not ended by force.
func TestForceAndExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, store, ours := lost(t)
		store.err = nil
		brief := placed(t, l, "brief", soft, time.Minute)
		store.err = errDisk
		<-time.After(time.Minute)
		if ended, _ := l.Force(t.Context(), "me"); !slices.Equal(uids(ended), []string{ours.UID}) {
			t.Errorf("ended %+v", ended)
		}
		<-time.After(2 * time.Hour)
		store.err = nil
		state := refresh(t, l)
		for uid, want := range map[string]End{ours.UID: Forced, brief.UID: Expired} {
			if e, _ := state.LastUID(uid); e.How != want {
				t.Errorf("ended: %+v, want %v", e, want)
			}
		}
		if len(state.History) != 2 {
			t.Errorf("history %+v", state.History)
		}
	})
}

// Whoever was asked to resume by force proves it where nothing can be written. With the store it has to be proven again:
// others may have enforced what they did not know to have ended.
func TestForceIsProven(t *testing.T) {
	l, _, store, _ := lost(t)
	l.Force(t.Context(), "me")
	state, changed := l.State()
	if err := l.Prove(t.Context(), 0, state.Undo.Revision-1, true); err == nil {
		t.Error("it was written")
	}
	if state, _ := l.State(); state.Undo == nil || !state.Undo.Proven.IsZero() {
		t.Fatalf("an earlier proof counts: %+v", state.Undo)
	}
	_ = l.Prove(t.Context(), 0, state.Undo.Revision, false)
	if state, _ := l.State(); state.Undo == nil || state.Undo.Proven.IsZero() {
		t.Fatalf("not proven: %+v", state.Undo)
	}
	<-changed
	_ = l.Prove(t.Context(), 0, state.Undo.Revision, true)
	if state, _ := l.State(); state.Undo != nil || len(state.Holds) != 0 || !l.Forced() {
		t.Fatalf("not done: %+v", state)
	}
	store.err = nil
	if state := refresh(t, l); state.Undo == nil || !state.Undo.Proven.IsZero() {
		t.Errorf("with the store: %+v", state.Undo)
	}
}

// A second resume by force, for what the ledger still took for live at the first, adds to it, and is told of both.
func TestForceTwice(t *testing.T) {
	l, other, store, ours := lost(t)
	l.Force(t.Context(), "me")
	more := placed(t, other, "more", soft, 0)
	store.swap = func(context.Context, Record) error { return errDisk }
	store.err = nil
	refresh(t, l) // It learns of the other hold, and cannot write.
	if state, _ := l.State(); !l.Forced() || len(state.Holds) != 1 {
		t.Fatalf("forced %v, state %+v", l.Forced(), state)
	}
	if ended, recorded := l.Force(t.Context(), "you"); recorded || !slices.Equal(uids(ended), []string{more.UID, ours.UID}) {
		t.Errorf("recorded %v, ended %+v", recorded, ended)
	}
	store.swap = nil
	state := refresh(t, l)
	if len(state.Holds) != 0 || state.Undo == nil || l.Forced() {
		t.Errorf("forced %v, state %+v", l.Forced(), state)
	}
	for _, uid := range []string{ours.UID, more.UID} {
		if e, _ := state.LastUID(uid); e.How != Forced {
			t.Errorf("ended: %+v", e)
		}
	}
}

// A resume by force that comes while an earlier one is being written is not forgotten with that.
func TestForceDuringTheWriteOfAnother(t *testing.T) {
	l, _, store, _ := lost(t)
	l.Force(t.Context(), "me")
	store.err = nil
	ctx, leave := context.WithCancel(t.Context())
	leave()
	store.swap = func(writing context.Context, next Record) error {
		l.Force(ctx, "you") // It cannot wait for the write that is under way.
		return store.Memory.Swap(writing, next)
	}
	refresh(t, l)
	if !l.Forced() {
		t.Error("the second is forgotten")
	}
	store.swap = nil
	if refresh(t, l); l.Forced() {
		t.Error("it is never written")
	}
}

// A ledger that could never be read does not know what a resume by force ends, and ends it all the same once it can.
func TestForceWithoutEverHavingRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := NewMemory()
		other := openedOn(t, memory)
		placed(t, other, "earlier", soft, time.Hour)
		store := &faulty{Memory: memory, err: errDisk}
		l := openedOn(t, store)
		<-time.After(time.Second)
		if ended, recorded := l.Force(t.Context(), "me"); len(ended) != 0 || recorded {
			t.Errorf("recorded %v, ended %+v", recorded, ended)
		}
		<-time.After(time.Second)
		placed(t, other, "later", soft, time.Hour)
		store.err = nil
		refresh(t, l)
		state := lastIn(t, memory)
		if len(state.Holds) != 1 || state.Holds[0].ID != "later" || len(state.History) != 1 || state.History[0].How != Forced {
			t.Errorf("state %+v", state)
		}
	})
}
