package audit

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// Whatever happens to a ledger, and however often its server is started anew and its log put aside, the log leads to the
// same ledger.
func TestLogReplaysToItsLedger(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		// The bubble needs a testing.T, and what is drawn in it must not fail there: draw first.
		steps := rapid.SliceOfN(rapid.Custom(drawStep), 1, 60).Draw(rt, "steps")
		most := rapid.SampledFrom([]int64{0, 1, 3000}).Draw(rt, "max")
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = playAll(t, steps, most) })
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

// step is something that happens.
type step struct {
	What     string
	ID       string
	Phase    exporting.Phase
	Foreign  exporting.Phase
	Duration time.Duration
	Flag     bool
}

func drawStep(t *rapid.T) step {
	pauses := []exporting.Phase{exporting.PhaseSoftPaused, exporting.PhasePaused}
	return step{
		What: rapid.SampledFrom([]string{
			"wait", "place", "place", "revert", "release", "force", "guard", "tick", "refuse", "settle", "note", "drop", "stand", "renew", "prove", "take", "bind",
			"recant", "doubt", "lose", "find", "restart",
		}).Draw(t, "what"),
		ID:       rapid.SampledFrom([]string{"a", "b", "c", hold.Operator}).Draw(t, "id"),
		Phase:    rapid.SampledFrom(pauses).Draw(t, "phase"),
		Foreign:  rapid.SampledFrom(append(pauses, exporting.PhaseExporting)).Draw(t, "foreign"),
		Duration: rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, time.Hour, 20 * 24 * time.Hour}).Draw(t, "duration"),
		Flag:     rapid.Bool().Draw(t, "flag"),
	}
}

// world is a ledger, its store and its log.
type world struct {
	*testing.T

	store  *unsure
	opts   Options
	log    *Log
	ledger *hold.Ledger
	term   uint64
}

// unsure is a store that may not be sure of what it has written.
type unsure struct {
	*hold.Memory

	next bool
	lost bool
}

func (u *unsure) Read(ctx context.Context) (hold.Record, error) {
	if u.lost {
		return hold.Record{}, errDisk
	}
	return u.Memory.Read(ctx)
}

func (u *unsure) Swap(ctx context.Context, next hold.Record) error {
	err := u.Memory.Swap(ctx, next)
	if err == nil && u.next {
		u.lost = true
		return &hold.UncertainError{Err: errDisk}
	}
	return err
}

func playAll(t *testing.T, steps []step, most int64) string {
	t.Helper()
	o, b := options(t)
	o.MaxBytes = most
	w := &world{T: t, store: &unsure{Memory: hold.NewMemory()}, opts: o}
	w.start()
	for _, s := range steps {
		w.play(s)
	}
	w.store.Fail(nil, nil)
	if err := w.ledger.Refresh(t.Context()); err != nil {
		return err.Error()
	}
	if err := w.log.Close(); err != nil {
		return err.Error()
	}
	paths := files(t, o.Path)
	got, err := Replay(readers(t, paths...)...)
	if err != nil {
		return err.Error()
	}
	if diff := compare(w.ledger.Recorded(), got); diff != "" {
		return fmt.Sprintf("%d files (-ledger +replayed):\n%s", len(paths), diff)
	}
	// The last file alone is enough, if the ledger has changed since it was begun.
	if got, err = Replay(readers(t, paths[len(paths)-1])...); err != nil || got.Revision > 0 && compare(w.ledger.Recorded(), got) != "" {
		return fmt.Sprintf("the last file alone: %v:\n%s", err, compare(w.ledger.Recorded(), got))
	}
	if b.failed > 0 {
		return "on standard error: " + b.stderr.String()
	}
	return ""
}

func (w *world) start() {
	w.Helper()
	var err error
	if w.log, err = Open(w.opts); err != nil {
		w.Fatal(err)
	}
	if w.ledger, err = hold.Open(w.Context(), w.store, "memory", w.log.Change); err != nil {
		w.Fatal(err)
	}
	w.log.Found(w.ledger.Recorded())
}

// play does a step. That the ledger refuses it is no failure: the log has to lead to the ledger all the same.
func (w *world) play(s step) {
	ctx := w.Context()
	state, _ := w.ledger.State()
	h, _ := state.Find(s.ID)
	var err error
	switch s.What {
	case "wait":
		<-time.After(s.Duration)
	case "place", "revert":
		p := hold.Placing{
			ID: s.ID, Phase: s.Phase, Owner: "me", Reason: "why", TTL: s.Duration, Foreign: s.Foreign, Held: state.Target(),
			Restore: hold.Phases{"0": s.Foreign, "1": exporting.PhaseExporting},
		}
		if s.What == "revert" {
			p.Deadline = time.Now().Add(s.Duration / 2)
		}
		_, err = w.ledger.Place(ctx, p)
	case "renew":
		_, err = w.ledger.Renew(ctx, hold.Renewing{UID: h.UID, TTL: s.Duration})
	case "release":
		_, err = w.ledger.Release(ctx, hold.Releasing{ID: s.ID, Judged: h.UID, By: "me", Verdict: hold.Unknown, Findings: []string{"unread"}})
	case "force":
		w.ledger.Force(ctx, "on-call")
	case "doubt":
		w.store.next = true
		_ = w.ledger.Recant(ctx)
		w.store.next = false
		w.ledger.Force(ctx, "on-call")
		w.store.lost = false
	case "lose":
		w.store.Fail(nil, errDisk)
	case "find":
		w.store.Fail(nil, nil)
		err = w.ledger.Refresh(ctx)
	case "restart":
		if err := w.log.Close(); err != nil {
			w.Error(err)
		}
		w.start()
	default:
		err = w.drive(ctx, s, &state, h.UID)
	}
	if err != nil && !isRefusal(err) {
		w.Errorf("%s: %v", s.What, err)
	}
}

// drive does a step of whoever drives the brokers.
func (w *world) drive(ctx context.Context, s step, state *hold.State, uid string) error {
	switch s.What {
	case "guard":
		_, _, err := w.ledger.Guard(ctx, w.term, "a disk runs full")
		return err
	case "tick":
		return w.ledger.Tick(ctx, w.term)
	case "refuse":
		return w.ledger.Refuse(ctx, w.term, map[string]hold.Refusal{uid: {Unsafe: []exporting.BrokerID{"1"}}}, "a broker refused")
	case "settle":
		return w.ledger.Settle(ctx, w.term, map[string]hold.Continuous{uid: {Complete: s.Flag}})
	case "note":
		found := hold.Found{Baselines: []hold.Baseline{{Tenant: "t", Partition: 1, Position: int64(s.Duration)}}, Complete: true}
		if s.Flag {
			found.Broken = []string{"it was passed"}
		}
		return w.ledger.Note(ctx, w.term, map[string]hold.Found{uid: found})
	case "drop":
		_, err := w.ledger.Drop(ctx, w.term, state.Revision)
		return err
	case "stand":
		_, err := w.ledger.Stand(ctx, w.term, state.Revision, hold.Leave)
		return err
	case "prove":
		if state.Undo != nil {
			return w.ledger.Prove(ctx, w.term, state.Undo.Revision, s.Flag)
		}
	case "take":
		w.term++
		return w.ledger.Take(ctx, w.term, "server-"+s.ID)
	case "bind":
		return w.ledger.Bind(ctx, &exporting.Topology{Names: []string{"http://zeebe-0", "http://zeebe-" + s.ID}})
	case "recant":
		return w.ledger.Recant(ctx)
	}
	return nil
}

func isRefusal(err error) bool {
	_, unavailable := errors.AsType[*hold.UnavailableError](err)
	return unavailable || errors.Is(err, hold.ErrOvertaken) || errors.Is(err, hold.ErrEarlierTerm)
}
