// Package limits keeps one caller from taking what is there for all: calls, streams, connections, and guesses at
// credentials. Whatever it remembers of callers is bounded too.
//
// It must not know what calls do, nor how callers prove who they are.
package limits

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The limits by name, as [ExceededError] has them, and the configuration those of callers.
const (
	CallsPerSecond  = "calls-per-second"
	ConcurrentCalls = "concurrent-calls"
	Watchers        = "watchers"
	FailedAttempts  = "failed-attempts"
	HealthWatches   = "health-watches"
)

// DefaultFailures is the limit of failed attempts for who has no other wish: nobody mistypes a credential so often, and
// a client that was given a wrong one calls less often.
const DefaultFailures = 30

// Options are the limits of each caller. 0 switches one off, and the zero value limits nothing.
type Options struct {
	// CallsPerSecond is how often a caller may call in the long run. Streams count as calls when they begin.
	CallsPerSecond int
	// Burst is how many calls it may make at once after a while without one; at least 1, and CallsPerSecond if it is 0.
	Burst int
	// ConcurrentCalls is how many calls of a caller may be under way at a time, streams not counted.
	ConcurrentCalls int
	// Watchers is how many streams it may have open.
	Watchers int
	// Failures is how many credentials that turn out to be invalid may come from an address in a minute, and at once. See
	// [Limits.Attempt].
	Failures int
	// Remembered is how many callers, addresses and valid credentials are told apart, each; 10,000 if it is 0, which takes a
	// few megabytes. Those beyond are treated as one.
	Remembered int
}

// Limits counts what callers do. Its methods may be called by many goroutines.
type Limits struct {
	options Options

	mu       sync.Mutex
	callers  *table[bucket]
	failures *table[rate.Limiter]
	known    map[uint64]time.Time // credentials, hashed with seed, and when each was valid last
	seed     maphash.Seed
}

// bucket is what one caller has under way, and may begin.
type bucket struct {
	rate           *rate.Limiter
	calls, watches int
}

// New returns limits under which nobody has called yet.
func New(o Options) *Limits {
	o.Burst = cmp.Or(o.Burst, o.CallsPerSecond, 1)
	o.Remembered = cmp.Or(o.Remembered, 10_000)
	perSecond := rate.Limit(o.CallsPerSecond)
	if o.CallsPerSecond == 0 {
		perSecond = rate.Inf
	}
	return &Limits{
		options: o,
		callers: newTable(o.Remembered,
			func() *bucket { return &bucket{rate: rate.NewLimiter(perSecond, o.Burst)} },
			func(b *bucket) bool { return b.calls == 0 && b.watches == 0 && full(b.rate) }),
		failures: newTable(o.Remembered,
			func() *rate.Limiter { return rate.NewLimiter(rate.Limit(o.Failures)/60, o.Failures) }, full),
		known: map[uint64]time.Time{}, seed: maphash.MakeSeed(),
	}
}

// Begin begins a call of a caller, or a stream, which lasts until end is called: once, by whoever began it. The key is what
// tells callers apart: a name that was proven, else a network. It fails with an [*ExceededError], and then nothing has
// begun and the call does not count.
func (l *Limits) Begin(key string, stream bool) (end func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	caller := l.callers.get(key)
	underway, most, limit := &caller.calls, l.options.ConcurrentCalls, ConcurrentCalls
	if stream {
		underway, most, limit = &caller.watches, l.options.Watchers, Watchers
	}
	if most > 0 && *underway >= most {
		return nil, &ExceededError{Limit: limit, RetryAfter: soon}
	}
	if wait := take(caller.rate); wait > 0 {
		return nil, &ExceededError{Limit: CallsPerSecond, RetryAfter: wait}
	}
	*underway++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		*underway--
	}, nil
}

// soon is when to try again where nobody can know when something ends.
const soon = time.Second

// take takes a token, or tells in how long there will be one.
func take(limiter *rate.Limiter) time.Duration {
	token := limiter.Reserve()
	wait := token.Delay()
	if wait > 0 {
		token.Cancel()
	}
	return wait
}

// full reports whether a limiter is as good as a new one.
func full(limiter *rate.Limiter) bool { return limiter.Tokens() >= float64(limiter.Burst()) }

// ExceededError is a call that would have been one too many.
type ExceededError struct {
	// Limit is its name, one of the constants.
	Limit string
	// RetryAfter is in how long the call may succeed; always positive.
	RetryAfter time.Duration
}

// Error names the limit and what to do.
func (e *ExceededError) Error() string {
	retry := time.Duration(math.Ceil(float64(e.RetryAfter)/float64(time.Millisecond))) * time.Millisecond
	switch e.Limit {
	case CallsPerSecond:
		return fmt.Sprintf("too many calls (limits.%s): call less often, and try again in %s", e.Limit, retry)
	case FailedAttempts:
		return fmt.Sprintf("too many invalid credentials came from this address, and this one was not looked at: correct it, "+
			"and try again in %s", retry)
	case HealthWatches:
		return fmt.Sprintf("too many watch the health at a time, from this address or in all: ask for it now and then, or try again in %s", retry)
	}
	return fmt.Sprintf("too many at a time (limits.%s): let one end, or try again in %s", e.Limit, retry)
}
