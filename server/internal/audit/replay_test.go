package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// ledger opens a ledger of which a log is told.
func ledger(t *testing.T, store hold.Store, l *Log) *hold.Ledger {
	t.Helper()
	opened, err := hold.Open(t.Context(), store, "memory", l.Change)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func place(t *testing.T, l *hold.Ledger, id string, ttl time.Duration) {
	t.Helper()
	state, _ := l.State()
	_, err := l.Place(t.Context(), hold.Placing{
		ID: id, Phase: exporting.PhasePaused, Owner: "me", TTL: ttl, Restore: hold.Phases{"0": exporting.PhaseExporting},
		Foreign: exporting.PhaseExporting, Held: state.Target(),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func release(t *testing.T, l *hold.Ledger, id string) {
	t.Helper()
	state, _ := l.State()
	h, _ := state.Find(id)
	if _, err := l.Release(t.Context(), hold.Releasing{ID: id, Judged: h.UID, By: "me"}); err != nil {
		t.Fatal(err)
	}
}

// replays checks that logs lead to what a ledger has written.
func replays(t *testing.T, l *hold.Ledger, logs ...io.Reader) {
	t.Helper()
	got, err := Replay(logs...)
	if err != nil {
		t.Fatal(err)
	}
	if diff := compare(l.Recorded(), got); diff != "" {
		t.Errorf("(-ledger +replayed):\n%s", diff)
	}
}

// What a ledger forgets, the replay forgets: what is too much, what is too old, and what has ended so long ago that it was
// never remembered.
func TestReplayForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := options(t)
		l := opening(t, o)
		h := ledger(t, hold.NewMemory(), l)
		place(t, h, "old", time.Minute)
		<-time.After(40 * 24 * time.Hour)
		for i := range 230 {
			id := fmt.Sprint("hold-", i%7)
			place(t, h, id, time.Hour)
			release(t, h, id)
		}
		if n := len(h.Recorded().History); n != 200 {
			t.Fatalf("the ledger remembers %d", n)
		}
		closing(t, l)
		replays(t, h, readers(t, o.Path)...)
	})
}

// Of several servers over one ledger each logs what it wrote, and all of them together lead to the ledger, in whichever
// order they are given, and where one is given twice.
func TestReplayOfSeveralServers(t *testing.T) {
	store := hold.NewMemory()
	var paths []string
	var ledgers []*hold.Ledger
	var logs []*Log
	for i := range 3 {
		o, _ := options(t)
		o.Server = fmt.Sprint("server-", i)
		logs = append(logs, opening(t, o))
		paths, ledgers = append(paths, o.Path), append(ledgers, ledger(t, store, logs[i]))
	}
	for i := range 30 {
		h := ledgers[i%3]
		if err := h.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprint("hold-", i%4)
		if state, _ := h.State(); hasHold(state, id) {
			release(t, h, id)
		} else {
			place(t, h, id, 0)
		}
	}
	for i := range logs {
		closing(t, logs[i])
		if err := ledgers[i].Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	replays(t, ledgers[0], readers(t, paths...)...)
	replays(t, ledgers[0], readers(t, paths[2], paths[0], paths[1], paths[0])...)
	if _, err := Replay(readers(t, paths[0], paths[2])...); !isGap(err) {
		t.Errorf("without one of them: error %v", err)
	}
}

func hasHold(s hold.State, id string) bool {
	_, live := s.Find(id)
	return live
}

func isGap(err error) bool {
	_, is := errors.AsType[*GapError](err)
	return is
}

// A log that begins in the middle, and one of a server that died before it could say what it did, begin anew with what they
// found. Where another server's changes are missing, it says so.
func TestReplayBeginsAnew(t *testing.T) {
	tests := []struct {
		name string
		term uint64 // in which the server goes on; it began in the first
		lose func(t *testing.T, store hold.Store, l *Log, o Options) *Log
		gap  bool
	}{
		{"the first files are gone", 1, func(t *testing.T, store hold.Store, l *Log, o Options) *Log {
			t.Helper()
			l.Event(Own{Message: strings.Repeat("x", maxText)})
			l.Event(Own{Message: strings.Repeat("x", maxText)}) // The file is full now.
			place(t, ledger(t, store, l), "b", 0)
			closing(t, l)
			if err := os.Remove(files(t, o.Path)[0]); err != nil {
				t.Fatal(err)
			}
			return opening(t, o)
		}, false},
		{"the server died", 1, func(t *testing.T, store hold.Store, l *Log, o Options) *Log {
			t.Helper()
			closing(t, l)
			place(t, ledger(t, store, l), "b", 0)
			return opening(t, o)
		}, false},
		{"another server died, and this one drives from then on", 2, writtenElsewhere, false},
		{"another server's log is missing", 1, writtenElsewhere, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o, _ := options(t)
			o.MaxBytes = 3000
			l := opening(t, o)
			store := hold.NewMemory()
			h := ledger(t, store, l)
			if err := h.Take(t.Context(), 1, "a"); err != nil {
				t.Fatal(err)
			}
			place(t, h, "a", 0)
			l = test.lose(t, store, l, o)
			h = ledger(t, store, l)
			if err := h.Take(t.Context(), test.term, "a"); err != nil {
				t.Fatal(err)
			}
			place(t, h, "d", 0)
			closing(t, l)
			logs := readers(t, files(t, o.Path)...)
			if test.gap {
				if _, err := Replay(logs...); !isGap(err) {
					t.Errorf("error %v", err)
				}
				return
			}
			replays(t, h, logs...)
		})
	}
}

// writtenElsewhere is a change that no log tells of.
func writtenElsewhere(t *testing.T, store hold.Store, l *Log, _ Options) *Log {
	t.Helper()
	other, err := hold.Open(t.Context(), store, "memory")
	if err != nil {
		t.Fatal(err)
	}
	place(t, other, "c", 0)
	return l
}

// A write of which nobody can tell whether it happened counts if no other line has its revision.
func TestReplayOfDoubt(t *testing.T) {
	line := func(revision uint64, driver string, uncertain bool) string {
		return fmt.Sprintf(`{"kind":"change","change":{"before":%d,"after":%d,"driver":%q,"uncertain":%t}}`+"\n", revision-1, revision, driver, uncertain)
	}
	later := `{"kind":"change","change":{"before":2,"after":3,"term":7}}` + "\n"
	for _, logs := range [][]string{
		{line(1, "a", false) + line(2, "ours", true), later},
		{line(2, "theirs", true), line(1, "a", false) + line(2, "ours", false), later},
		{line(1, "a", false) + line(2, "ours", false), line(2, "theirs", true) + later},
		{`{"kind":"ledger","change":{"before":2,"after":2,"base":{"revision":2,"driver":"ours"}}}` + "\n", line(2, "theirs", true) + later},
	} {
		var all []io.Reader
		for _, log := range logs {
			all = append(all, strings.NewReader(log))
		}
		s, err := Replay(all...)
		if err != nil || s.Revision != 3 || s.Term != 7 {
			t.Errorf("%q: %+v, %v", logs, s, err)
		}
		s, err = Replay(all[:0]...)
		if err != nil || s.Revision != 0 {
			t.Errorf("nothing: %+v, %v", s, err)
		}
	}
}

func TestReplayRefuses(t *testing.T) {
	change := func(of string) string { return `{"kind":"change","change":{` + of + `}}` + "\n" }
	tests := []struct{ name, log, want string }{
		{"types of another program", `{"kind":"change","seq":"one"}`, "line 1"},
		{"a jump", change(`"before":0,"after":2`), "none of a ledger"},
		{"the last revision there is", change(`"before":18446744073709551615,"after":0`), "none of a ledger"},
		{"a word that is unknown", change(`"before":0,"after":1,"ended":[{"how":"evaporated","continuity":"INTACT"}]`), "evaporated"},
		{"a verdict that is unknown", change(`"before":0,"after":1,"ended":[{"how":"released","continuity":"FINE"}]`), "FINE"},
		{"a base of another revision", change(`"before":4,"after":5,"base":{"revision":3}`), "revision 3"},
		{
			"a ledger that was another", change(`"before":0,"after":1,"driver":"a"`) + change(`"before":1,"after":2,"base":{"revision":1,"driver":"b"}`),
			"do not lead to",
		},
		{"a ledger that was found to be another", change(`"before":0,"after":1`) + change(`"before":1,"after":1,"base":{"revision":1,"driver":"b"}`), "do not lead to"},
		{"a line without end", strings.Repeat("x", MaxLine+1), "too long"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Replay(strings.NewReader(test.log)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// What went to standard error completes a log.
func TestReplayOfStandardError(t *testing.T) {
	o, b := options(t)
	l := opening(t, o)
	store := hold.NewMemory()
	h := ledger(t, store, l)
	place(t, h, "a", 0)
	closing(t, l)
	place(t, h, "b", 0)
	replays(t, h, append(readers(t, o.Path), strings.NewReader("something else\n"+b.stderr.String()))...)
}

// Foreign bytes neither crash a replay nor lead to a ledger that no ledger could be.
func FuzzReplay(f *testing.F) {
	f.Add([]byte(`{"kind":"change","change":{"before":0,"after":1,"holds":[{"what":"placed","hold":{"id":"a","uid":"u","phase":"PAUSED"}}]}}`))
	f.Add([]byte(`{"kind":"change","change":{"before":1,"after":2,"base":{"revision":1,"holds":[{"id":"a","uid":"u","phase":"PAUSED"}]},` +
		`"ended":[{"how":"released","at":"2026-11-24T12:00:00Z","continuity":"INTACT","hold":{"id":"a","uid":"u","phase":"PAUSED"}}]}}`))
	f.Add([]byte("audit: {\"kind\":\"change\",\"change\":{\"before\":0,\"after\":1,\"forgotten\":[\"u\"]}}\n{\"kind\":\"ev"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Replay(strings.NewReader(string(data)))
		if err != nil {
			return
		}
		for i := range s.Holds {
			if i > 0 && s.Holds[i-1].ID > s.Holds[i].ID {
				t.Errorf("holds %q and %q are not in order", s.Holds[i-1].ID, s.Holds[i].ID)
			}
		}
		for i := range s.History {
			if how := s.History[i].How; how != 0 && how.String() == hold.End(0).String() {
				t.Errorf("hold %q has ended in a way that there is not: %d", s.History[i].Hold.ID, how)
			}
		}
	})
}
