package limits

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// exceeded is the limit that an error names; empty if there is none.
func exceeded(t *testing.T, err error) string {
	t.Helper()
	var e *ExceededError
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("got %v, want an *ExceededError", err)
	}
	if e == nil {
		return ""
	}
	if e.RetryAfter <= 0 {
		t.Errorf("%v says to try again after %d", e, e.RetryAfter)
	}
	return e.Limit
}

// begin begins a call that lasts, and returns the limit that refused it.
func begin(t *testing.T, l *Limits, key string, stream bool) string {
	t.Helper()
	_, err := l.Begin(key, stream)
	return exceeded(t, err)
}

// call makes a call that ends at once.
func call(t *testing.T, l *Limits, key string) string {
	t.Helper()
	end, err := l.Begin(key, false)
	if err == nil {
		end()
	}
	return exceeded(t, err)
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{CallsPerSecond: 2, Burst: 3})
		for i := range 3 {
			if got := call(t, l, "a"); got != "" {
				t.Fatalf("call %d was refused by %s", i, got)
			}
		}
		_, err := l.Begin("a", false)
		var e *ExceededError
		if !errors.As(err, &e) || e.Limit != CallsPerSecond || e.RetryAfter != 500*time.Millisecond {
			t.Fatalf("the fourth call got %v, want to come again in 500ms", err)
		}
		if got := call(t, l, "b"); got != "" {
			t.Errorf("another caller was refused by %s", got)
		}
		<-time.After(e.RetryAfter - time.Nanosecond)
		if got := call(t, l, "a"); got != CallsPerSecond {
			t.Errorf("a call before its time was refused by %q", got)
		}
		<-time.After(time.Nanosecond)
		if got := call(t, l, "a"); got != "" {
			t.Errorf("a call in its time was refused by %s: what is refused must not count", got)
		}
		<-time.After(time.Hour)
		for i := range 4 {
			if got := call(t, l, "a"); (got != "") != (i == 3) {
				t.Errorf("call %d after an hour was refused by %q", i, got)
			}
		}
	})
}

func TestConcurrency(t *testing.T) {
	tests := []struct {
		name    string
		options Options
		stream  bool
		want    []string
	}{
		{"calls", Options{ConcurrentCalls: 2}, false, []string{"", "", ConcurrentCalls}},
		{"streams", Options{Watchers: 1}, true, []string{"", Watchers, Watchers}},
		{"calls where only streams are limited", Options{Watchers: 1}, false, []string{"", "", ""}},
		{"streams where only calls are limited", Options{ConcurrentCalls: 1}, true, []string{"", "", ""}},
		{"nothing is limited", Options{}, true, []string{"", "", ""}},
		{"the rate counts streams too", Options{CallsPerSecond: 1, Burst: 2}, true, []string{"", "", CallsPerSecond}},
		{"a burst by default", Options{CallsPerSecond: 2}, false, []string{"", "", CallsPerSecond}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := New(test.options)
				for i, want := range test.want {
					if got := begin(t, l, "a", test.stream); got != want {
						t.Errorf("number %d was refused by %q, want %q", i, got, want)
					}
				}
				if got := begin(t, l, "b", test.stream); got != "" {
					t.Errorf("another caller was refused by %q", got)
				}
			})
		})
	}
}

func TestEndMakesRoom(t *testing.T) {
	l := New(Options{ConcurrentCalls: 1})
	for range 3 {
		end, err := l.Begin("a", false)
		if err != nil {
			t.Fatal(err)
		}
		if got := begin(t, l, "a", false); got != ConcurrentCalls {
			t.Errorf("a second call was refused by %q", got)
		}
		end()
	}
}

// TestManyCallers proves that what is remembered is bounded, that what is under way is never forgotten, and that those for
// whom there is no room share.
func TestManyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{CallsPerSecond: 1, Burst: 2, ConcurrentCalls: 1, Remembered: 100})
		if got := begin(t, l, "busy", false); got != "" {
			t.Fatal(got)
		}
		refused := 0
		for i := range 1000 {
			if call(t, l, fmt.Sprint("caller ", i)) != "" {
				refused++
			}
		}
		if n := len(l.callers.entries); n > 100 {
			t.Errorf("%d callers are remembered, want 100 at most", n)
		}
		if refused < 800 || refused == 1000 {
			t.Errorf("%d of 1000 callers were refused, want those that shared two calls", refused)
		}
		<-time.After(10 * time.Second)
		for i := range 1000 {
			if got := call(t, l, fmt.Sprint("late ", i)); got != "" && i < 50 {
				t.Errorf("caller %d, when the others had gone, was refused by %s", i, got)
			}
		}
		if got := begin(t, l, "busy", false); got != ConcurrentCalls {
			t.Errorf("a caller with a call under way was forgotten: refused by %q", got)
		}
	})
}

// TestTogether is for the race detector, and counts.
func TestTogether(t *testing.T) {
	l := New(Options{ConcurrentCalls: 4, Failures: 1000})
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for i := range 200 {
				if end, err := l.Begin("a", i%2 == 0); err == nil {
					end()
				}
				if l.Attempt("a", strconv.Itoa(i)) == nil {
					l.Attempted("a", strconv.Itoa(i), i%3 == 0)
				}
			}
		})
	}
	callers.Wait()
	if b := l.callers.entries["a"]; b.calls != 0 || b.watches != 0 {
		t.Errorf("%d calls and %d streams are left", b.calls, b.watches)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	tests := map[string]string{
		CallsPerSecond: "limits.calls-per-second", ConcurrentCalls: "limits.concurrent-calls", Watchers: "limits.watchers",
		FailedAttempts: "was not looked at",
	}
	for limit, word := range tests {
		text := (&ExceededError{Limit: limit, RetryAfter: 1500 * time.Microsecond}).Error()
		if !strings.Contains(text, word) || !strings.Contains(text, "try again in 2ms") {
			t.Errorf("%s: %q names neither the limit nor the time", limit, text)
		}
	}
}

func BenchmarkBegin(b *testing.B) {
	l := New(Options{CallsPerSecond: 1 << 30, Burst: 1 << 30, ConcurrentCalls: 100})
	b.ReportAllocs()
	for b.Loop() {
		end, err := l.Begin("token:backup", false)
		if err != nil {
			b.Fatal(err)
		}
		end()
	}
}

// BenchmarkBeginManyCallers is the worst case: the table is full, and everybody is new.
func BenchmarkBeginManyCallers(b *testing.B) {
	l := New(Options{CallsPerSecond: 1, Burst: 10})
	keys := make([]string, 1<<16)
	for i := range keys {
		keys[i] = fmt.Sprint("caller ", i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if end, err := l.Begin(keys[i%len(keys)], false); err == nil {
			end()
		}
	}
}
