package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"
)

const (
	// renewal is how long a key that the issuer took back is taken still.
	renewal = 5 * time.Minute
	// Keys that are not known are asked for as often as a rotation may need, and then seldom, whatever garbage is sent.
	askInterval, askBurst = 10 * time.Second, 3
	// patience is how long a call waits for keys.
	patience = 5 * time.Second
	// missed is how long a key that the issuer did not have is not asked for again; maxMissed bounds what is remembered.
	missed, maxMissed = 30 * time.Second, 1000
	// Waits between attempts while the issuer does not answer.
	firstRetry, lastRetry = time.Second, time.Minute
)

// keys are an issuer's public keys. Only run fetches them: from time to time, and when a call asks for one that is not known.
// Keys that are known go on to count while the issuer does not answer.
type keys struct {
	issuer string
	client *http.Client
	log    *slog.Logger
	wake   chan struct{} // capacity 1: somebody asks for new ones

	mu       sync.Mutex
	set      []jose.JSONWebKey // replaced, never changed
	fetched  time.Time         // when set was
	err      error             // of the last attempt
	retry    time.Time         // when the next is, unless somebody asks
	asked    uint64            // counts the attempts that calls asked for
	begun    uint64            // how many of those had been asked for when the last attempt began
	answered uint64            // and when the last one began that has ended
	attempt  chan struct{}     // closed when one ends
	allowed  *rate.Limiter
	missing  map[string]time.Time // ids of keys that the issuer did not have, and when
}

func newKeys(o JWT, log *slog.Logger) *keys {
	return &keys{
		issuer: o.Issuer, client: newClient(o.DialTLS), log: log, wake: make(chan struct{}, 1), attempt: make(chan struct{}),
		allowed: rate.NewLimiter(rate.Every(askInterval), askBurst), missing: map[string]time.Time{},
	}
}

func (k *keys) run(ctx context.Context) {
	defer k.client.CloseIdleConnections()
	waits := &backoff.ExponentialBackOff{
		InitialInterval: firstRetry, MaxInterval: lastRetry, RandomizationFactor: backoff.DefaultRandomizationFactor, Multiplier: 2,
	}
	waits.Reset()
	for {
		k.mu.Lock()
		asked := k.asked
		k.begun = asked
		k.mu.Unlock()
		set, err := fetch(ctx, k.client, k.issuer)
		if ctx.Err() != nil {
			return
		}
		wait := renewal
		if err != nil {
			wait = waits.NextBackOff()
		} else {
			waits.Reset()
		}
		k.took(ctx, set, err, asked, time.Now().Add(wait))
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-k.wake:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// took records what an attempt brought, and tells those who wait for it.
func (k *keys) took(ctx context.Context, set []jose.JSONWebKey, err error, asked uint64, next time.Time) {
	k.mu.Lock()
	before, first := k.err, k.fetched.IsZero()
	k.err, k.retry, k.answered = err, next, asked
	if err == nil {
		for i := range k.set { // Whoever goes on with a key that was taken back must not use up what is there for new ones.
			if id := k.set[i].KeyID; id != "" && !slices.ContainsFunc(set, func(key jose.JSONWebKey) bool { return key.KeyID == id }) {
				k.miss(id)
			}
		}
		k.set, k.fetched = set, time.Now()
	}
	known := len(k.set)
	close(k.attempt)
	k.attempt = make(chan struct{})
	k.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		k.log.WarnContext(ctx, "the keys of the issuer cannot be fetched: tokens with keys that are not known are answered with UNAVAILABLE",
			"issuer", k.issuer, "known", known, "error", err)
	case err == nil && (first || before != nil):
		k.log.InfoContext(ctx, "the issuer's keys are known", "issuer", k.issuer, "keys", known)
	}
}

func (k *keys) state() (count int, fetched time.Time, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.set), k.fetched, k.err
}

// verify returns what a signature of the issuer signs. A key that is not known may be new: it is asked for.
func (k *keys) verify(ctx context.Context, signed *jose.JSONWebSignature) ([]byte, error) {
	id := signed.Signatures[0].Header.KeyID
	payload, known := verifyWith(k.known(), signed)
	if payload == nil && !known {
		if err := k.ask(ctx, id); err != nil {
			return nil, err
		}
		if payload, known = verifyWith(k.known(), signed); !known {
			k.mu.Lock()
			k.miss(id)
			k.mu.Unlock()
			return nil, unauthenticated("the JWT is signed with a key that the issuer does not have")
		}
	}
	if payload == nil {
		return nil, unauthenticated("the JWT's signature is not the issuer's")
	}
	return payload, nil
}

// verifyWith tries the keys that a signature names; known is false if it names none of them. One that names no key may be of
// any, also of one that is not here.
func verifyWith(set []jose.JSONWebKey, signed *jose.JSONWebSignature) (payload []byte, known bool) {
	header := signed.Signatures[0].Header
	for i := range set {
		key := &set[i]
		if header.KeyID != "" && key.KeyID != header.KeyID || key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := signed.Verify(key); err == nil {
			return payload, true
		}
		known = known || header.KeyID != ""
	}
	return nil, known
}

func (k *keys) known() []jose.JSONWebKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.set
}

// ask has the keys fetched and waits for that. It fails with an [*UnavailableError] where they cannot be, or not so soon
// again.
func (k *keys) ask(ctx context.Context, id string) error {
	mine, err := k.enter(id)
	if err != nil {
		return err
	}
	return k.await(ctx, mine)
}

// enter asks for an attempt, or says why nothing is fetched. Whoever comes before that attempt has begun shares it: when a key
// changes, everybody comes with the new one at once, and must not use up what is there for many keys.
func (k *keys) enter(id string) (mine uint64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch at, miss := k.missing[id]; {
	case miss && time.Since(at) < missed:
		return 0, unauthenticated("the JWT is signed with a key that the issuer did not have moments ago")
	case k.fetched.IsZero() && k.err != nil: // It is tried again in its own time: no call could add to that.
		return 0, &UnavailableError{k.err, max(time.Until(k.retry), firstRetry)}
	case k.asked > k.begun:
		return k.asked, nil
	case !k.fetched.IsZero() && !k.allowed.Allow():
		return 0, &UnavailableError{errors.New("the issuer was asked for keys too often: it is asked again in a moment"), askInterval}
	}
	k.asked++
	select {
	case k.wake <- struct{}{}:
	default: // One is due that somebody asked for who did not wait.
	}
	return k.asked, nil
}

// await waits until an attempt has ended that began after somebody asked.
func (k *keys) await(ctx context.Context, mine uint64) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		k.mu.Lock()
		answered, err, attempt := k.answered >= mine, k.err, k.attempt
		k.mu.Unlock()
		switch {
		case answered && err != nil:
			return &UnavailableError{err, firstRetry}
		case answered:
			return nil
		}
		select {
		case <-attempt:
		case <-timer.C:
			return &UnavailableError{errors.New("the issuer takes too long to tell its keys"), askInterval}
		case <-ctx.Done():
			return &UnavailableError{context.Cause(ctx), firstRetry}
		}
	}
}

// miss remembers a key that the issuer does not have, so that a client with a wrong token asks for nothing. k.mu is held.
func (k *keys) miss(id string) {
	if len(k.missing) >= maxMissed {
		clear(k.missing)
	}
	k.missing[id] = time.Now()
}
