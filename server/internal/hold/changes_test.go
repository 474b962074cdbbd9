package hold

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

func TestLedgerPlace(t *testing.T) {
	l, memory := opened(t)
	first, err := l.Place(t.Context(), request(l, "a", soft, time.Hour))
	if err != nil || first.Renewed {
		t.Fatalf("error %v, placed %+v", err, first)
	}
	again, err := l.Place(t.Context(), request(l, "a", soft, 2*time.Hour))
	if err != nil || !again.Renewed || again.Hold.UID != first.Hold.UID || !again.Hold.Expires.After(first.Hold.Expires) {
		t.Errorf("error %v, renewed %+v", err, again)
	}
	other, err := l.Place(t.Context(), request(l, "a", hard, 0))
	if err != nil || other.Renewed || other.Hold.UID == first.Hold.UID {
		t.Errorf("error %v, replaced %+v", err, other)
	}
	overtaken := request(l, "b", soft, 0)
	overtaken.Held = soft
	if _, err := l.Place(t.Context(), overtaken); !errors.Is(err, ErrOvertaken) {
		t.Errorf("error %v", err)
	}
	if diff := compare([]Hold{other.Hold}, lastIn(t, memory).Holds); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
}

func TestLedgerRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, memory := opened(t)
		h := placed(t, l, "a", soft, time.Hour)
		<-time.After(time.Minute)
		renewed, err := l.Renew(t.Context(), Renewing{UID: h.UID, TTL: time.Hour})
		if err != nil || renewed == nil || !renewed.Expires.Equal(h.Expires.Add(time.Minute)) {
			t.Fatalf("error %v, renewed %+v", err, renewed)
		}
		if diff := compare([]Hold{*renewed}, lastIn(t, memory).Holds); diff != "" {
			t.Errorf("written (-want +got):\n%s", diff)
		}
		if renewed, err := l.Renew(t.Context(), Renewing{UID: "a", TTL: time.Hour}); err != nil || renewed != nil {
			t.Errorf("an id: error %v, renewed %+v", err, renewed)
		}
		<-time.After(time.Hour)
		if renewed, err := l.Renew(t.Context(), Renewing{UID: h.UID, TTL: time.Hour}); err != nil || renewed != nil {
			t.Errorf("once it is over: error %v, renewed %+v", err, renewed)
		}
	})
}

// A release again repeats the first, as long as that is remembered.
func TestLedgerRelease(t *testing.T) {
	l, memory := opened(t)
	h := placed(t, l, "a", soft, 0)
	if err := l.Settle(t.Context(), 0, map[string]Continuous{h.UID: {Complete: true}}); err != nil {
		t.Fatal(err)
	}
	first, err := l.Release(t.Context(), Releasing{
		ID: "a", Judged: h.UID, By: "me", Verdict: Unknown, Findings: []string{"the leader of partition 1 cannot be read"},
	})
	if err != nil || !first.Now || first.Ended == nil || first.Ended.Continuity != Unknown || len(first.Ended.Hold.Record.Evidence) != 1 {
		t.Fatalf("error %v, released %+v", err, first.Ended)
	}
	if diff := compare(lastIn(t, memory), first.State); diff != "" || first.State.Undo == nil {
		t.Errorf("written is not what was told:\n%s", diff)
	}
	again, err := l.Release(t.Context(), Releasing{ID: "a", By: "you", Verdict: Intact})
	if err != nil || again.Now || !cmp.Equal(first, again, cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Now" }, cmp.Ignore())) {
		t.Errorf("again: error %v, %s", err, compare(first, again))
	}
	if never := released(t, l, "b"); never.Ended != nil || never.Now {
		t.Errorf("one that never was: %+v", never)
	}
	if state := lastIn(t, memory); state.Revision != first.State.Revision {
		t.Errorf("revision %d, and was %d", state.Revision, first.State.Revision)
	}
}

// What was found at the last moment breaks the hold that ends, and says why.
func TestLedgerReleaseBroken(t *testing.T) {
	l, _ := opened(t)
	h := placed(t, l, "a", soft, 0)
	if err := l.Settle(t.Context(), 0, map[string]Continuous{h.UID: {Complete: true}}); err != nil {
		t.Fatal(err)
	}
	r, err := l.Release(t.Context(), Releasing{
		ID: "a", Judged: h.UID, By: "me", Verdict: Broken, Findings: []string{"the leader read EXPORTING"},
	})
	if err != nil || r.Ended.Continuity != Broken || !r.Ended.Hold.Record.Broken || len(r.Ended.Hold.Record.Evidence) != 1 {
		t.Errorf("error %v, released %+v", err, r.Ended)
	}
}

// A verdict on one hold must not go with another that took its name meanwhile.
func TestLedgerReleaseOvertaken(t *testing.T) {
	l, _ := opened(t)
	judged := placed(t, l, "a", soft, 0)
	other := placed(t, l, "a", hard, 0)
	for _, uid := range []string{"", judged.UID} {
		if _, err := l.Release(t.Context(), Releasing{ID: "a", Judged: uid, By: "me", Verdict: Intact}); !errors.Is(err, ErrOvertaken) {
			t.Errorf("judged %q: %v", uid, err)
		}
	}
	if state, _ := l.State(); len(state.Holds) != 1 || state.Holds[0].UID != other.UID {
		t.Errorf("state %+v", state)
	}
}

func TestTake(t *testing.T) {
	l, memory := opened(t)
	steps := []struct {
		term   uint64
		driver string
		want   error
		writes bool
	}{
		{0, "", nil, false},
		{3, "first", nil, true},
		{3, "first", nil, false},
		{2, "late", ErrEarlierTerm, false},
		{5, "second", nil, true},
		{3, "first", ErrEarlierTerm, false},
	}
	for _, step := range steps {
		before := lastIn(t, memory).Revision
		if err := l.Take(t.Context(), step.term, step.driver); !errors.Is(err, step.want) {
			t.Errorf("%s takes term %d: %v, want %v", step.driver, step.term, err, step.want)
		}
		if wrote := lastIn(t, memory).Revision > before; wrote != step.writes {
			t.Errorf("%s takes term %d: written %v", step.driver, step.term, wrote)
		}
	}
	if state := lastIn(t, memory); state.Term != 5 || state.Driver != "second" {
		t.Errorf("term %d of %s", state.Term, state.Driver)
	}
}

// driven is a ledger in a bubble, with one hold that settled, which may be withdrawn, and one that has not.
func driven(t *testing.T) (l *Ledger, settled, pending Hold) {
	t.Helper()
	l, _ = opened(t)
	if err := l.Take(t.Context(), 7, "driver"); err != nil {
		t.Fatal(err)
	}
	settled = placed(t, l, Operator, soft, 0)
	if err := l.Settle(t.Context(), 7, map[string]Continuous{settled.UID: {}}); err != nil {
		t.Fatal(err)
	}
	p := request(l, "pending", hard, 0)
	p.Deadline = time.Now().Add(time.Minute)
	result, err := l.Place(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return l, settled, result.Hold
}

// What the driver writes, what becomes of it, and that none of it is written in a term that is over.
func TestDriver(t *testing.T) {
	tests := []struct {
		name  string
		drive func(ctx context.Context, l *Ledger, term uint64, settled, pending Hold) error
		check func(s State, settled, pending Hold) bool
	}{
		{"tick", func(ctx context.Context, l *Ledger, term uint64, _, _ Hold) error {
			<-time.After(time.Minute)
			return l.Tick(ctx, term)
		}, func(s State, _, pending Hold) bool {
			e, _ := s.LastUID(pending.UID)
			return e.How == Withdrawn && e.Refusal == nil && len(s.Holds) == 1 && s.Undo != nil
		}},
		{"settle", func(ctx context.Context, l *Ledger, term uint64, settled, pending Hold) error {
			return l.Settle(ctx, term, map[string]Continuous{settled.UID: {Complete: true}, pending.UID: {Complete: true}, "nobody": {}})
		}, func(s State, settled, pending Hold) bool {
			a, _ := s.FindUID(settled.UID)
			b, _ := s.FindUID(pending.UID)
			return !a.Record.Complete && b.Record.Complete && b.Settled.Equal(time.Now()) && b.Deadline.IsZero() && b.Restore == nil && s.Settled()
		}},
		{"refuse", func(ctx context.Context, l *Ledger, term uint64, settled, pending Hold) error {
			refusal := Refusal{Unsafe: []exporting.BrokerID{"0"}}
			return l.Refuse(ctx, term, map[string]Refusal{settled.UID: refusal, pending.UID: refusal}, "it would be unsafe")
		}, func(s State, settled, pending Hold) bool {
			e, _ := s.LastUID(pending.UID)
			return e.How == Withdrawn && e.By == "it would be unsafe" && e.Refusal != nil && len(e.Refusal.Unsafe) == 1 &&
				len(s.Holds) == 1 && s.Holds[0].UID == settled.UID
		}},
		{"note", func(ctx context.Context, l *Ledger, term uint64, settled, _ Hold) error {
			return l.Note(ctx, term, map[string]Found{
				settled.UID: {Baselines: []Baseline{{"", 1, 10}}, Complete: true, Broken: []string{"it was passed"}}, "nobody": {Complete: true},
			})
		}, func(s State, settled, pending Hold) bool {
			a, _ := s.FindUID(settled.UID)
			b, _ := s.FindUID(pending.UID)
			want := Continuous{Baselines: Baselines{{"", 1, 10}}, Complete: true, Broken: true, Evidence: []string{"it was passed"}}
			return cmp.Equal(want, a.Record) && cmp.Equal(Continuous{}, b.Record)
		}},
		{"drop", func(ctx context.Context, l *Ledger, term uint64, _, _ Hold) error {
			state, _ := l.State()
			dropped, err := l.Drop(ctx, term, state.Revision)
			if dropped == (err != nil) {
				return fmt.Errorf("dropped %v, error %w", dropped, err)
			}
			return err
		}, func(s State, settled, _ Hold) bool {
			e, _ := s.LastUID(settled.UID)
			return e.How == ResumedElsewhere && len(s.Holds) == 1 && s.Undo == nil
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, settled, pending := driven(t)
				before, _ := l.State()
				if err := test.drive(t.Context(), l, 6, settled, pending); !errors.Is(err, ErrEarlierTerm) {
					t.Errorf("in an earlier term: %v", err)
				}
				if state, _ := l.State(); !cmp.Equal(before, state, cmpopts.EquateEmpty()) {
					t.Errorf("written in an earlier term: %s", compare(before, state))
				}
				if err := test.drive(t.Context(), l, 7, settled, pending); err != nil {
					t.Fatal(err)
				}
				if state, _ := l.State(); !test.check(state, settled, pending) || state.Revision != before.Revision+1 {
					t.Errorf("state %+v", state)
				}
			})
		})
	}
}

// A resume seen at the brokers counts for what it was judged by alone.
func TestDropOvertaken(t *testing.T) {
	l, memory := opened(t)
	placed(t, l, "a", soft, 0)
	state, _ := l.State()
	if dropped, err := l.Drop(t.Context(), 0, state.Revision); dropped || err != nil {
		t.Errorf("a named hold: dropped %v, error %v", dropped, err)
	}
	placed(t, l, Operator, soft, 0)
	before, _ := l.State()
	memory.Fail(nil, errDisk)
	if dropped, err := l.Drop(t.Context(), 0, before.Revision); dropped || !errors.Is(err, errDisk) {
		t.Errorf("no write: dropped %v, error %v", dropped, err)
	}
	memory.Fail(nil, nil)
	if dropped, err := l.Drop(t.Context(), 0, state.Revision); dropped || err != nil {
		t.Errorf("a later revision: dropped %v, error %v", dropped, err)
	}
	if state, _ = l.State(); len(state.Holds) != 2 {
		t.Errorf("holds %+v", state.Holds)
	}
}

// An undo is proven, and then looked after until it is done.
func TestProve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, memory := opened(t)
		if err := l.Take(t.Context(), 7, "driver"); err != nil {
			t.Fatal(err)
		}
		released(t, l, Operator)
		began, _ := l.State()
		revision := began.Undo.Revision
		steps := []struct {
			name           string
			term, revision uint64
			done           bool
			wantErr        error
			writes         bool
		}{
			{"an earlier undo", 7, revision - 1, true, nil, false},
			{"an earlier term", 6, revision, true, ErrEarlierTerm, false},
			{"proven", 7, revision, false, nil, true},
			{"proven again", 7, revision, false, nil, false},
			{"done", 7, revision, true, nil, true},
			{"done again", 7, revision, true, nil, false},
		}
		for _, step := range steps {
			before := lastIn(t, memory)
			<-time.After(time.Second)
			if err := l.Prove(t.Context(), step.term, step.revision, step.done); !errors.Is(err, step.wantErr) {
				t.Errorf("%s: %v", step.name, err)
			}
			after := lastIn(t, memory)
			if wrote := after.Revision > before.Revision; wrote != step.writes {
				t.Errorf("%s: written %v", step.name, wrote)
			}
			if step.writes && !step.done && (after.Undo == nil || !after.Undo.Proven.Equal(time.Now())) {
				t.Errorf("%s: %+v", step.name, after.Undo)
			}
		}
		if state := lastIn(t, memory); state.Undo != nil {
			t.Errorf("left to undo: %+v", state.Undo)
		}
	})
}
