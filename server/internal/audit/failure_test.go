package audit

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/hold"
)

// A disk that is full refuses pauses, and nothing else.
func TestFullDisk(t *testing.T) {
	tests := []struct {
		name    string
		request proto.Message
		allow   bool
		refused bool
	}{
		{"a pause", &exportgatev1.PauseRequest{Hold: "backup-42"}, false, true},
		{"a pause, where that is configured", &exportgatev1.PauseRequest{}, true, false},
		{"a check of a pause", &exportgatev1.PauseRequest{ValidateOnly: true}, false, false},
		{"a renewal", &exportgatev1.PauseRequest{Renew: "uid"}, false, false},
		{"a resume", &exportgatev1.ResumeRequest{}, false, false},
		{"a resume of everything", &exportgatev1.ResumeRequest{Force: true}, false, false},
		{"no message", nil, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o, b := options(t)
			o.Path, o.RefusePauses = "/dev/full", !test.allow
			l := opening(t, o)
			c := &Call{Request: test.request, Changes: true}
			_, err := l.Intent(t.Context(), c)
			if _, is := errors.AsType[*UnavailableError](err); is != test.refused || err != nil && !is {
				t.Fatalf("error %v", err)
			}
			want := []Kind{KindIntent}
			if err == nil {
				l.Change(t.Context(), hold.Change{After: hold.State{Revision: 1}})
				l.Outcome(c, nil)
				want = append(want, KindChange, KindOutcome)
			}
			closing(t, l)
			if diff := compare(want, kinds(parse(t, b.stderr.String()))); diff != "" || b.failed != len(want) {
				t.Errorf("%d failed; on standard error (-want +got):\n%s", b.failed, diff)
			}
			state := l.State()
			if state.Err == nil || state.Lost != uint64(len(want)) || strings.Count(b.logged.String(), "cannot be written") != 1 {
				t.Errorf("state %+v, logged %q", state, b.logged.String())
			}
		})
	}
}

// As soon as lines can be written they are.
func TestHeals(t *testing.T) {
	o, b := options(t)
	l := opening(t, o)
	note(t, l, "before")
	directory := filepath.Dir(o.Path)
	if err := os.Rename(directory, directory+".away"); err != nil {
		t.Fatal(err)
	}
	if err := l.await(&Line{Kind: KindEvent, Message: "lost"}); err == nil || l.State().Err == nil {
		t.Errorf("error %v, state %+v", err, l.State())
	}
	if err := os.Rename(directory+".away", directory); err != nil {
		t.Fatal(err)
	}
	note(t, l, "after")
	if s := l.State(); s.Err != nil || s.Lost != 1 {
		t.Errorf("state %+v", s)
	}
	closing(t, l)
	if diff := compare([]string{"before", "after"}, messages(read(t, o.Path))); diff != "" {
		t.Errorf("in the file (-want +got):\n%s", diff)
	}
	if diff := compare([]string{"lost"}, messages(parse(t, b.stderr.String()))); diff != "" {
		t.Errorf("on standard error (-want +got):\n%s", diff)
	}
	if !strings.Contains(b.logged.String(), "can be written again") {
		t.Errorf("logged %q", b.logged.String())
	}
}

// disk is a sink that fails, or does not answer.
type disk struct {
	mu    sync.Mutex
	data  strings.Builder
	write func(line []byte) (int, error)
	keep  func() error // sync
}

// does says what writes and syncs are from now on; nil is what they ought to be.
func (d *disk) does(write func([]byte) (int, error), keep func() error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.write, d.keep = write, keep
}

func (d *disk) ready() (opened, error) { return opened{}, nil }
func (d *disk) full(int) bool          { return false }
func (d *disk) rotate()                {}
func (d *disk) close()                 {}

func (d *disk) sync() error {
	d.mu.Lock()
	keep := d.keep
	d.mu.Unlock()
	if keep != nil {
		return keep()
	}
	return nil
}

func (d *disk) Write(line []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.write != nil {
		n, err := d.write(line)
		d.data.Write(line[:n])
		return n, err
	}
	return d.data.Write(line)
}

func onDisk(t *testing.T, d *disk) (*Log, *besides) {
	t.Helper()
	o, b := options(t)
	l, err := open(o, d)
	if err != nil {
		t.Fatal(err)
	}
	return l, b
}

var errDisk = errors.New("no space left on device")

// A disk that is full in the middle of a line leaves a part of it, which spoils no other.
func TestPartOfALine(t *testing.T) {
	for _, part := range []int{0, 1, 30} {
		d := &disk{}
		l, _ := onDisk(t, d)
		note(t, l, "before")
		d.does(func(line []byte) (int, error) { return min(part, len(line)), errDisk }, nil)
		for range 2 {
			if err := l.await(&Line{Kind: KindEvent, Message: "lost"}); !errors.Is(err, errDisk) {
				t.Errorf("error %v", err)
			}
		}
		d.does(nil, nil)
		note(t, l, "after")
		closing(t, l)
		var got []string
		for line, err := range Lines(strings.NewReader(d.data.String())) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, line.Message)
		}
		if diff := compare([]string{"before", "after"}, got); diff != "" {
			t.Errorf("after %d bytes, in %q (-want +got):\n%s", part, d.data.String(), diff)
		}
	}
}

// A sync that fails fails every line that it was for.
func TestSyncFails(t *testing.T) {
	d := &disk{keep: func() error { return errDisk }}
	l, b := onDisk(t, d)
	if err := l.await(&Line{Kind: KindEvent, Message: "lost"}); !errors.Is(err, errDisk) || l.State().Err == nil {
		t.Errorf("error %v, state %+v", err, l.State())
	}
	closing(t, l)
	if got := messages(parse(t, b.stderr.String())); len(got) != 1 {
		t.Errorf("on standard error %v", got)
	}
}

// The change after one whose line was lost begins anew, however it was lost.
func TestChangeAfterALostOneBeginsAnew(t *testing.T) {
	change := func(l *Log, before uint64) {
		l.Change(t.Context(), hold.Change{Before: hold.State{Revision: before}, After: hold.State{Revision: before + 1}})
	}
	for _, fail := range []func(*disk){
		func(d *disk) { d.does(func([]byte) (int, error) { return 0, errDisk }, nil) },
		func(d *disk) { d.does(nil, func() error { return errDisk }) },
	} {
		d := &disk{}
		l, _ := onDisk(t, d)
		change(l, 0)
		note(t, l, "")
		fail(d)
		change(l, 1)
		if err := l.await(&Line{Kind: KindEvent}); err == nil {
			t.Error("nothing failed")
		}
		d.does(nil, nil)
		change(l, 2)
		change(l, 3)
		closing(t, l)
		var based []uint64
		for _, line := range parse(t, d.data.String()) {
			if line.Change != nil && line.Change.Base != nil {
				based = append(based, line.Change.Before)
			}
		}
		if diff := compare([]uint64{2}, based); diff != "" {
			t.Errorf("with their base (-want +got):\n%s", diff)
		}
	}
}

// Lines that come together are synced together, and none of them is told before.
func TestLinesAreSyncedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		syncs := 0
		d := &disk{}
		d.keep = func() error { syncs++; <-time.After(time.Second); return nil }
		l, _ := onDisk(t, d)
		began := time.Now()
		var calls sync.WaitGroup
		for i := range 100 {
			calls.Go(func() {
				<-time.After(time.Duration(i) * time.Millisecond)
				note(t, l, strconv.Itoa(i))
				if i > 0 && time.Since(began) < 2*time.Second {
					t.Errorf("line %d was told after %v", i, time.Since(began))
				}
			})
		}
		calls.Wait()
		closing(t, l)
		if syncs != 2 {
			t.Errorf("%d syncs, want 2", syncs)
		}
	})
}

// A disk that does not answer keeps nobody waiting for long, least of all a resume: who comes later does not wait at all. No
// line is lost, and once it answers all is well.
func TestDiskDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan struct{})
		d := &disk{keep: func() error { <-answers; return nil }}
		l, b := onDisk(t, d)
		began := time.Now()
		if _, err := l.Intent(t.Context(), pausing()); err == nil || time.Since(began) != patience {
			t.Errorf("a pause: %v after %v", err, time.Since(began))
		}
		if s := l.State(); s.Err == nil || !s.Since.Equal(began) {
			t.Errorf("state %+v", s)
		}
		began = time.Now()
		c := resuming()
		if _, err := l.Intent(t.Context(), c); err != nil {
			t.Errorf("a resume: %v", err)
		}
		l.Change(t.Context(), hold.Change{After: hold.State{Revision: 1}})
		l.Outcome(c, nil)
		if took := time.Since(began); took != 0 {
			t.Errorf("they waited for %v", took)
		}
		if diff := compare([]Kind{KindIntent, KindIntent, KindChange, KindOutcome}, kinds(parse(t, b.stderr.String()))); diff != "" {
			t.Errorf("on standard error (-want +got):\n%s", diff)
		}
		close(answers)
		synctest.Wait()
		note(t, l, "again")
		l.Change(t.Context(), hold.Change{Before: hold.State{Revision: 1}, After: hold.State{Revision: 2}})
		if s := l.State(); s.Err != nil {
			t.Errorf("state %+v", s)
		}
		closing(t, l)
		lines := parse(t, d.data.String())
		if last := lines[len(lines)-1]; last.Change == nil || last.Change.Base == nil {
			t.Errorf("the change after the one that was lost does not say what was before: %+v", last)
		}
		if logged := b.logged.String(); strings.Count(logged, "does not answer") != 1 || strings.Count(logged, "can be written again") != 1 {
			t.Errorf("logged %q", logged)
		}
	})
}

// More lines than the disk takes are not kept in memory.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan struct{})
		d := &disk{keep: func() error { <-answers; return nil }}
		l, b := onDisk(t, d)
		l.Event(Own{Kind: "first"})
		synctest.Wait()
		for range maxQueue + 10 {
			l.Event(Own{Kind: "more"})
		}
		if got := len(parse(t, b.stderr.String())); got != 10 {
			t.Errorf("%d lines on standard error, want 10", got)
		}
		close(answers)
		closing(t, l)
		if got := len(parse(t, d.data.String())); got != maxQueue+1 {
			t.Errorf("%d lines, want %d", got, maxQueue+1)
		}
	})
}

// Close waits for the disk, but not for ever, and what comes later is not lost.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan struct{})
		d := &disk{keep: func() error { <-answers; return nil }}
		l, b := onDisk(t, d)
		l.Event(Own{Kind: "early"})
		synctest.Wait()
		if err := l.Close(); err == nil {
			t.Error("closed, although the disk does not answer")
		}
		close(answers)
		closing(t, l)
		l.Event(Own{Kind: "late"})
		if err := l.await(&Line{Kind: KindOutcome}); !errors.Is(err, errClosed) {
			t.Errorf("error %v", err)
		}
		if got := kinds(parse(t, b.stderr.String())); len(got) != 2 {
			t.Errorf("on standard error %v", got)
		}
	})
}

// Where a file's disk failed in the middle of a batch, the lines before are not taken for kept, and the next batch is.
func TestSyncOfAFileFailsBeforeItIsOpenedAgain(t *testing.T) {
	o, _ := options(t)
	f := &file{path: o.Path}
	write := func(line string) error {
		if _, err := f.ready(); err != nil {
			return err
		}
		_, err := f.Write([]byte(line))
		return err
	}
	if err := write("a\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.os.Close(); err != nil { // As good as a disk that is gone: writes and syncs fail.
		t.Fatal(err)
	}
	if err := write("b\n"); err == nil {
		t.Error("written to a file that is closed")
	}
	if err := write("c\n"); err != nil {
		t.Error(err)
	}
	if err := f.sync(); err == nil {
		t.Error("the line before is said to be kept")
	}
	if err := errors.Join(write("d\n"), f.sync()); err != nil {
		t.Error(err)
	}
	f.close()
}
