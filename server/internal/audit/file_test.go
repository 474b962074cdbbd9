package audit

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// note logs events and waits until they are written.
func note(t *testing.T, l *Log, messages ...string) {
	t.Helper()
	for _, m := range messages {
		if err := l.await(&Line{Kind: KindEvent, Message: m}); err != nil {
			t.Errorf("%s: %v", m, err)
		}
	}
}

func messages(lines []*Line) []string {
	var all []string
	for _, line := range lines {
		all = append(all, line.Message)
	}
	return all
}

func TestFileIsForThisUser(t *testing.T) {
	o, _ := options(t)
	opening(t, o)
	info, err := os.Stat(o.Path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// A path that cannot be right is found when the server starts; nothing is made for it.
func TestMisplaced(t *testing.T) {
	o, _ := options(t)
	directory := filepath.Dir(o.Path)
	if err := os.WriteFile(filepath.Join(directory, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"missing/audit.log", "file/audit.log", ".", strings.Repeat("x", 300)} {
		o.Path = filepath.Join(directory, path)
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "audit.path") {
			t.Errorf("%s: error %v", path, err)
		}
	}
	if _, err := os.Stat(filepath.Join(directory, "missing")); err == nil {
		t.Error("a directory was made")
	}
}

// A full file is put aside whole, and as many of these are kept as is said; other people's files stay.
func TestRotation(t *testing.T) {
	tests := []struct{ keep, want int }{{1000, 20}, {3, 4}, {0, 1}}
	for _, test := range tests {
		t.Run(fmt.Sprint("keep ", test.keep), func(t *testing.T) {
			o, b := options(t)
			o.MaxBytes, o.Keep = 500, test.keep
			others := []string{o.Path + "-important", o.Path + ".gz", o.Path + "-2026"}
			for _, other := range others {
				if err := os.WriteFile(other, []byte("{}\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			l := opening(t, o)
			for i := range 20 {
				note(t, l, fmt.Sprint(i, strings.Repeat("x", 300)))
			}
			closing(t, l)
			for _, other := range others {
				if err := os.Remove(other); err != nil {
					t.Error(err)
				}
			}
			all := files(t, o.Path)
			lines := read(t, all...)
			if len(all) != test.want || len(lines) != test.want {
				t.Fatalf("%d files with %d lines, want %d, %d; standard error %q", len(all), len(lines), test.want, test.want, b.stderr.String())
			}
			for i, line := range lines {
				if want := uint64(20 - test.want + i + 1); line.Seq != want {
					t.Errorf("line %d is number %d, want %d", i, line.Seq, want)
				}
			}
			for _, path := range all {
				if info, err := os.Stat(path); err != nil || info.Size() > 500 || info.Mode() != 0o600 {
					t.Errorf("%s: %v, %d bytes, %v", path, err, info.Size(), info.Mode())
				}
			}
		})
	}
}

// A line that is larger than a file may be is written all the same, alone.
func TestRotationOfOneLine(t *testing.T) {
	o, _ := options(t)
	o.MaxBytes = 10
	l := opening(t, o)
	note(t, l, "a", "b")
	closing(t, l)
	if all := files(t, o.Path); len(all) != 2 || len(read(t, all...)) != 2 {
		t.Errorf("files %v", all)
	}
}

// Where a file cannot be put aside it grows, which is said once.
func TestRotationFails(t *testing.T) {
	if os.Getuid() == 0 {
		// Root may do what others may not, so a directory takes the place of the name instead: one that time leads to.
		testRotationFailsForRoot(t)
		return
	}
	o, b := options(t)
	o.MaxBytes = 10
	l := opening(t, o)
	directory := filepath.Dir(o.Path)
	if err := os.Chmod(directory, 0o500); err != nil {
		t.Fatal(err)
	}
	note(t, l, "a", "b", "c")
	if err := os.Chmod(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	grown(t, o.Path, b)
}

// testRotationFailsForRoot uses a name that is too long with the time, but not without.
func testRotationFailsForRoot(t *testing.T) {
	t.Helper()
	o, b := options(t)
	o.MaxBytes = 10
	o.Path = filepath.Join(filepath.Dir(o.Path), strings.Repeat("x", 250))
	l := opening(t, o)
	note(t, l, "a", "b", "c")
	grown(t, o.Path, b)
}

func grown(t *testing.T, path string, b *besides) {
	t.Helper()
	if got := messages(read(t, path)); len(got) != 3 || b.failed != 0 || strings.Count(b.logged.String(), "grows") != 1 {
		t.Errorf("messages %v, %d failed, logged %q", got, b.failed, b.logged.String())
	}
}

// Whoever moves the file away, or removes it, gets a new one with the next line, and the moved one is whole.
func TestMovedAway(t *testing.T) {
	o, _ := options(t)
	l := opening(t, o)
	note(t, l, "a")
	moved := o.Path + ".1"
	if err := os.Rename(o.Path, moved); err != nil {
		t.Fatal(err)
	}
	note(t, l, "b")
	if err := os.WriteFile(o.Path+".new", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(o.Path+".new", o.Path); err != nil { // Another file takes its place.
		t.Fatal(err)
	}
	note(t, l, "c")
	closing(t, l)
	if diff := compare([]string{"a"}, messages(read(t, moved))); diff != "" {
		t.Errorf("moved (-want +got):\n%s", diff)
	}
	if diff := compare([]string{"c"}, messages(read(t, o.Path))); diff != "" {
		t.Errorf("the last file (-want +got):\n%s", diff)
	}
}

// What a crash left of a line spoils none that follows, be it cut anywhere.
func TestTornLine(t *testing.T) {
	whole := `{"time":"2026-11-24T12:00:00Z","kind":"event","server":"a","seq":1,"message":"old"}`
	for _, left := range []string{"", whole + "\n", whole + "\n" + whole[:20], whole[:1], whole} {
		t.Run(strconv.Itoa(len(left)), func(t *testing.T) {
			o, _ := options(t)
			if err := os.WriteFile(o.Path, []byte(left), 0o600); err != nil {
				t.Fatal(err)
			}
			l := opening(t, o)
			note(t, l, "new", "newer")
			closing(t, l)
			data, err := os.ReadFile(o.Path)
			if err != nil || !strings.HasPrefix(string(data), left) {
				t.Fatalf("what was there has changed: %q, %v", data, err)
			}
			var got []string
			for line, err := range Lines(strings.NewReader(string(data))) {
				if err != nil {
					t.Error(err)
					continue
				}
				got = append(got, line.Message)
			}
			var want []string
			for range strings.Count(left, whole) {
				want = append(want, "old")
			}
			if diff := compare(append(want, "new", "newer"), got); diff != "" || strings.Contains(string(data), "\n\n") {
				t.Errorf("in %q (-want +got):\n%s", data, diff)
			}
		})
	}
}

// Two servers, or two processes, may write to one file, and whoever puts it aside.
func TestSharedFile(t *testing.T) {
	o, _ := options(t)
	o.MaxBytes = 2000
	var writing sync.WaitGroup
	for range 3 {
		l := opening(t, o)
		writing.Go(func() {
			for i := range 100 {
				note(t, l, strconv.Itoa(i))
			}
			closing(t, l)
		})
	}
	writing.Wait()
	if lines := read(t, files(t, o.Path)...); len(lines) != 300 {
		t.Errorf("%d lines, want 300", len(lines))
	}
}

// A pipe would keep the server waiting for who reads it, and is refused at once; standard output is the writer.
func TestOtherThanFiles(t *testing.T) {
	o, b := options(t)
	o.Path, o.Writer = "-", &b.logged
	o.MaxBytes = 1
	l := opening(t, o)
	note(t, l, "a", "b")
	closing(t, l)
	if got := messages(parse(t, b.logged.String())); len(got) != 2 {
		t.Errorf("messages %v", got)
	}
	o.Path = os.DevNull
	l = opening(t, o)
	note(t, l, "a", "b")
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode()&fs.ModeCharDevice == 0 {
		t.Errorf("%v is %v now: %v", os.DevNull, info.Mode(), err)
	}
}

// The names of files that were put aside are in the order of time, and none is ever overwritten.
func TestNamesOfFilesAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // In which no time goes by.
		o, _ := options(t)
		o.MaxBytes = 1
		l := opening(t, o)
		for i := range 12 {
			note(t, l, strconv.Itoa(i))
			if i == 8 {
				<-time.After(time.Hour)
			}
		}
		closing(t, l)
		lines := read(t, files(t, o.Path)...)
		for i, line := range lines {
			if line.Message != strconv.Itoa(i) {
				t.Fatalf("the order is %v", messages(lines))
			}
		}
		if len(lines) != 12 {
			t.Errorf("%d lines", len(lines))
		}
	})
}
