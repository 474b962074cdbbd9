package identity_test

import (
	"crypto/rand"
	"crypto/rsa"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/servertest"
	jose "github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc/codes"

	"github.com/exportgate/exportgate/server/servertest/peers/provider"
)

var away = verdict{codes.Unavailable, "IDENTITY_UNAVAILABLE"}

// keysPath is where the provider has its keys.
const keysPath = "/keys"

// look asks for the status, through one door.
func (w *world) look(t *testing.T, door servertest.Door, shows credential) answer {
	t.Helper()
	return w.dial(t, door, shows).look(t)
}

func (c *client) look(t *testing.T) answer {
	t.Helper()
	if c.door == servertest.GRPC {
		return c.invoke(t, methodStatus, &exportgatev1.GetStatusRequest{})
	}
	return c.get(t, "/exporting")
}

// expectBoth fails the test unless both doors say the same of a credential.
func (w *world) expectBoth(t *testing.T, what string, shows credential, want verdict) {
	t.Helper()
	for _, door := range servertest.Doors() {
		a := w.look(t, door, shows)
		if a.err != nil || a.code != want.code || a.reason != want.reason {
			t.Errorf("%s through %s: got %v, want %v", what, door, a, want)
		}
		if want == away && a.retry <= 0 {
			t.Errorf("%s through %s: it is not said when to try again", what, door)
		}
	}
}

// others fails the test unless those are let in who have nothing to do with the provider.
func (w *world) expectOthers(t *testing.T, certificate credential) {
	t.Helper()
	w.expectBoth(t, "a static token", w.static("viewer"), ok)
	w.expectBoth(t, "a certificate", certificate, ok)
}

// While calls go on the provider changes its key. Whoever comes with a new token is let in at once, however many they are, and
// whoever goes on with an old one no more, once the server has learnt of it.
func TestRotationUnderCalls(t *testing.T) {
	t.Parallel()
	p := provider.Start(t)
	w := start(t, p)
	old := bearer(w.issued(t, member("viewer")))
	w.expectBoth(t, "before", old, ok)
	asked := p.Asked(keysPath)

	ctx, stop := make(chan struct{}), sync.WaitGroup{}
	for _, door := range servertest.Doors() {
		c := w.dial(t, door, old)
		stop.Go(func() { // They see the old key go, and nothing else go wrong.
			gone := false
			for {
				select {
				case <-ctx:
					if !gone {
						t.Errorf("through %s a token is still taken whose key was taken back", door)
					}
					return
				default:
				}
				a := c.look(t)
				if a.code == codes.OK && gone || a.code != codes.OK && a.code != codes.Unauthenticated {
					t.Errorf("through %s, with a key that goes: %v", door, a)
				}
				gone = gone || a.code == codes.Unauthenticated
				if gone { // It would be limited for its guesses.
					<-ctx
					return
				}
			}
		})
	}
	p.Rotate(t)
	const many = 25
	var fresh sync.WaitGroup
	token := bearer(w.issued(t, member("viewer")))
	for _, door := range servertest.Doors() {
		for range many {
			c := w.dial(t, door, token)
			fresh.Go(func() {
				if a := c.look(t); a.code != codes.OK {
					t.Errorf("through %s, with a new key: %v", door, a)
				}
			})
		}
	}
	fresh.Wait()
	w.await(t, "the old key is refused", func() bool { return w.look(t, servertest.GRPC, old).code == codes.Unauthenticated })
	close(ctx)
	stop.Wait()
	if more := p.Asked(keysPath) - asked; more < 1 || more > 4 {
		t.Errorf("the provider was asked for its keys %d times because of one new key", more)
	}
}

// Whoever invents keys does not have the provider asked for each, and keeps nobody out.
func TestInventedKeysAskForNothing(t *testing.T) {
	t.Parallel()
	p := provider.Start(t)
	w := start(t, p)
	good := bearer(w.issued(t, member("viewer")))
	w.expectBoth(t, "before", good, ok)
	asked := p.Asked(keysPath)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range 60 {
		door := servertest.Doors()[i%2]
		a := w.look(t, door, bearer(w.forged(t, jose.RS256, key, rand.Text(), nil)))
		if a.code != codes.Unauthenticated && a.code != codes.Unavailable {
			t.Errorf("an invented key through %s: %v", door, a)
		}
	}
	allowed := 3 + int(time.Since(began)/(10*time.Second)) + 1
	if more := p.Asked(keysPath) - asked; more > allowed {
		t.Errorf("the provider was asked for its keys %d times because of invented ones, want %d at most", more, allowed)
	}
	w.expectBoth(t, "afterwards", good, ok)
	w.expectBoth(t, "a known key's name on another key", bearer(w.forged(t, jose.RS256, key, p.KeyID(), nil)), who)
}

// A provider that is not there when the server starts keeps nobody else out, and needs no restart when it comes back.
func TestOutageAtStart(t *testing.T) {
	t.Parallel()
	p := provider.Start(t)
	token, expired := p.Token(t, member("viewer")), member("viewer")
	expired.Lifetime = -time.Hour
	late := p.Token(t, expired)
	p.Leave(t)
	w := start(t, p)
	w.secrets.add("a token from before", token)
	certificate := w.certificate(t)
	w.await(t, "the server knows that the provider is away", func() bool { return w.metric(t, "exportgate_identity_provider_up") == 0 })
	w.expectBoth(t, "a JWT while nobody can check it", bearer(token), away)
	w.expectBoth(t, "an expired one, which is no good in any case", bearer(late), who)
	w.expectBoth(t, "nothing", credential{}, who)
	w.expectOthers(t, certificate)
	p.Return(t)
	w.await(t, "the JWT is taken", func() bool { return w.look(t, servertest.HTTP, bearer(token)).code == codes.OK })
	w.expectBoth(t, "a JWT", bearer(token), ok)
	if up := w.metric(t, "exportgate_identity_provider_up"); up != 1 {
		t.Errorf("the provider is told to be %v", up)
	}
}

// A provider that goes away later is missed only by those whose key nobody knows.
func TestOutageLater(t *testing.T) {
	t.Parallel()
	p := provider.Start(t)
	w := start(t, p)
	known, certificate := bearer(w.issued(t, member("holder"))), w.certificate(t)
	w.expectBoth(t, "before", known, ok)
	p.Rotate(t)
	fresh := bearer(w.issued(t, member("holder")))
	p.Leave(t)
	w.expectBoth(t, "a token with a key that is not known yet", fresh, away)
	w.expectBoth(t, "a token with a known key", known, ok)
	w.expectOthers(t, certificate)
	if up := w.metric(t, "exportgate_identity_provider_up"); up != 0 {
		t.Errorf("the provider is told to be %v", up)
	}
	p.Return(t)
	w.await(t, "the new key is known", func() bool { return w.look(t, servertest.GRPC, fresh).code == codes.OK })
	// Callers without a provider have used up what may be asked of it; until there is more, it is only said that nobody knows.
	w.await(t, "the old key is refused", func() bool { return w.look(t, servertest.GRPC, known).code == codes.Unauthenticated })
}

// A provider that answers nonsense, or nothing for ever, is one that is away.
func TestProviderThatMisbehaves(t *testing.T) {
	t.Parallel()
	mended := make(chan struct{})
	hanging := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-mended:
		case <-r.Context().Done():
		}
	}
	say := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	for name, instead := range map[string]http.HandlerFunc{
		"a page":         say("<html>Sign in</html>"),
		"another issuer": say(`{"issuer":"https://issuer.example.test","jwks_uri":"https://issuer.example.test/keys"}`),
		"nothing":        hanging,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := provider.Start(t)
			token := p.Token(t, member("viewer"))
			p.Misbehave(instead)
			w := start(t, p)
			w.secrets.add("a token from before", token)
			began, certificate := time.Now(), w.certificate(t)
			w.expectOthers(t, certificate)
			w.expectBoth(t, "a JWT", bearer(token), away)
			const enough = 20 * time.Second // Two calls wait for it, in vain, for five seconds each.
			if took := time.Since(began); took > enough {
				t.Errorf("that took %v", took)
			}
			p.Misbehave(nil)
			if name == "nothing" {
				close(mended)
			}
			w.await(t, "the JWT is taken", func() bool { return w.look(t, servertest.GRPC, bearer(token)).code == codes.OK })
		})
	}
}
