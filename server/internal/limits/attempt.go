package limits

import (
	"hash/maphash"
	"time"
)

// remember is how long a credential is known after it was valid last.
const remember = time.Hour

// Attempt reports whether a credential from an address may be looked at: it fails with an [*ExceededError] where so many
// invalid ones came from there that this is likely to be another. [Limits.Attempted] must be told how it went.
//
// An address may be that of many, behind a proxy or NAT, and one who guesses must not lock out the others. So nothing
// but failures is counted, and what was valid within the last hour, from wherever, is always looked at: a client that is
// known keeps calling, whatever its neighbours do. One that comes with a credential which nobody has used yet competes
// with them for as long as they go on guessing, and is let in at once when they stop, or within seconds, since the
// budget comes back one by one. Calls that are under way at a time may overshoot the budget, because a server that
// starts anew has many valid clients to get to know at once. Certificates are none of this: a handshake proves them.
func (l *Limits) Attempt(address, credential string) error {
	if l.options.Failures == 0 {
		return nil
	}
	hash := maphash.String(l.seed, credential)
	l.mu.Lock()
	defer l.mu.Unlock()
	if valid, ok := l.known[hash]; ok && time.Since(valid) < remember {
		return nil
	}
	budget := l.failures.get(address)
	if budget.Tokens() >= 1 {
		return nil
	}
	wait := take(budget)
	return &ExceededError{Limit: FailedAttempts, RetryAfter: max(wait, time.Nanosecond)}
}

// Attempted tells whether a credential was valid. Where that could not be found out, it is not called.
func (l *Limits) Attempted(address, credential string, valid bool) {
	if l.options.Failures == 0 {
		return
	}
	// A hash of 64 bits with a secret seed: who finds another credential with the same one is spared this budget, and still
	// has no valid credential.
	hash := maphash.String(l.seed, credential)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !valid {
		delete(l.known, hash)
		l.failures.get(address).Allow()
		return
	}
	if _, ok := l.known[hash]; !ok && len(l.known) >= l.options.Remembered {
		for some := range l.known { // Any: it is known again when it comes again.
			delete(l.known, some)
			break
		}
	}
	l.known[hash] = time.Now()
}
