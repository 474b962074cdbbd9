package limits

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// try is a credential that comes from an address; it reports whether it was looked at.
func try(t *testing.T, l *Limits, address, credential string, valid bool) bool {
	t.Helper()
	err := l.Attempt(address, credential)
	if limit := exceeded(t, err); limit != "" {
		if limit != FailedAttempts {
			t.Fatalf("refused by %s", limit)
		}
		return false
	}
	l.Attempted(address, credential, valid)
	return true
}

func TestGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Failures: 6})
		if !try(t, l, "nat", "known", true) {
			t.Fatal("a valid credential was not looked at")
		}
		looked := 0
		for i := range 1000 {
			if try(t, l, "nat", fmt.Sprint("guess ", i), false) {
				looked++
			}
		}
		if looked != 6 {
			t.Errorf("%d of 1000 guesses were looked at, want 6", looked)
		}
		if !try(t, l, "nat", "known", true) {
			t.Error("a known credential was not looked at, because of its neighbour")
		}
		if try(t, l, "nat", "new", true) {
			t.Error("an unknown credential was looked at in the middle of it")
		}
		if !try(t, l, "elsewhere", "new", true) {
			t.Error("an unknown credential from elsewhere was not looked at")
		}
		if !try(t, l, "nat", "new", true) {
			t.Error("a credential that was valid elsewhere was not looked at")
		}

		<-time.After(10 * time.Second) // a sixth of a minute: one attempt
		if !try(t, l, "nat", "newer", true) {
			t.Error("an unknown credential was not looked at after it")
		}
		if !try(t, l, "nat", "newest", true) {
			t.Error("a valid credential counted")
		}
		if !try(t, l, "nat", "guess", false) || try(t, l, "nat", "guess again", false) {
			t.Error("it took not one guess until the next is not looked at")
		}
	})
}

func TestHowLongToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Failures: 6})
		for range 6 {
			try(t, l, "a", "wrong", false)
		}
		err := l.Attempt("a", "wrong")
		var wait time.Duration
		if e, ok := err.(*ExceededError); ok { //nolint:errorlint // It is not wrapped.
			wait = e.RetryAfter
		}
		if wait != 10*time.Second {
			t.Errorf("got %v, want 10s to wait", err)
		}
	})
}

// TestRevoked proves that a credential which is not valid any more is a guess like another.
func TestRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Failures: 2})
		try(t, l, "a", "token", true)
		looked := 0
		for range 10 {
			if try(t, l, "a", "token", false) {
				looked++
			}
		}
		if looked != 2 {
			t.Errorf("it was looked at %d times, want 2", looked)
		}
	})
}

func TestKnownForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Failures: 1})
		guess := func() { try(t, l, "a", "wrong", false) }
		try(t, l, "a", "token", true)
		<-time.After(remember - time.Second)
		guess()
		if !try(t, l, "a", "token", true) {
			t.Error("it was forgotten too early")
		}
		<-time.After(remember)
		guess()
		if try(t, l, "a", "token", true) {
			t.Error("it was remembered for longer than an hour")
		}
	})
}

func TestGuessesOff(t *testing.T) {
	l := New(Options{})
	for range 1000 {
		if !try(t, l, "a", "wrong", false) {
			t.Fatal("it was not looked at")
		}
	}
}

// TestManyCredentials proves that what is remembered of credentials and addresses is bounded.
func TestManyCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Failures: 1, Remembered: 10})
		for i := range 1000 {
			try(t, l, fmt.Sprint("address ", i), fmt.Sprint("guess ", i), false)
			try(t, l, fmt.Sprint("friend ", i), fmt.Sprint("token ", i), true)
			<-time.After(time.Second)
		}
		if n, m := len(l.known), len(l.failures.entries); n > 10 || m > 10 {
			t.Errorf("%d credentials and %d addresses are remembered, want 10 each at most", n, m)
		}
	})
}

func BenchmarkAttempt(b *testing.B) {
	l := New(Options{Failures: 10})
	credential := fmt.Sprintf("Bearer %01000d", 7) // a JWT
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Attempt("192.0.2.7", credential); err != nil {
			b.Fatal(err)
		}
		l.Attempted("192.0.2.7", credential, true)
	}
}
