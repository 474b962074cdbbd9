package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func unavailable(err error) *UnavailableError {
	e, _ := errors.AsType[*UnavailableError](err)
	return e
}

// A key that is not known is asked for at once; one that the issuer took back is taken for some minutes still, at most.
func TestRotation(t *testing.T) {
	first, second := newSigner(t, "a", jose.ES256), newSigner(t, "b", jose.ES256)
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.set(first)
		g := newGuard(t, p, Options{})
		take := func(key *signer) error {
			_, err := g.authenticate(t.Context(), bearer(key.sign(t, good(nil))))
			return err
		}
		if err := take(first); err != nil {
			t.Fatal(why(t, err))
		}
		p.set(second)
		if err := take(second); err != nil {
			t.Errorf("a new key: %s", why(t, err))
		}
		if why(t, take(first)) == "" {
			t.Error("a key that the issuer took back is taken, although its keys were asked for since")
		}
		p.set(first)
		<-time.After(renewal + time.Second)
		if why(t, take(second)) == "" {
			t.Error("a key that the issuer took back is taken for ever")
		}
		if s := g.State(); s.Keys != 1 || s.KeysErr != nil || time.Since(s.Fetched) > renewal {
			t.Errorf("state %+v", s)
		}
	})
}

// While the issuer does not answer: its known keys go on to count, others are no reason to refuse, and other kinds of
// credentials work. It is asked again in its own time.
func TestOutage(t *testing.T) {
	key, other := newSigner(t, "a", jose.ES256), newSigner(t, "b", jose.ES256)
	for name, fault := range map[string]func(*http.Request) (*http.Response, error){
		"down": down, "hanging": hanging,
		"broken":      func(*http.Request) (*http.Response, error) { return say(http.StatusInternalServerError, "oh no"), nil },
		"not an OIDC": func(*http.Request) (*http.Response, error) { return say(http.StatusOK, "<html>"), nil },
		"endless": func(*http.Request) (*http.Response, error) {
			return say(http.StatusOK, `{"issuer": "`+strings.Repeat("a", maxAnswer)+`"}`), nil
		},
		"elsewhere": func(r *http.Request) (*http.Response, error) {
			moved := say(http.StatusFound, "")
			moved.Header.Set("Location", "https://elsewhere.example.org"+r.URL.Path)
			moved.Request = r
			return moved, nil
		},
		"another issuer": func(*http.Request) (*http.Response, error) {
			return say(http.StatusOK, `{"issuer":"https://another.example.org","jwks_uri":"https://another.example.org/keys"}`), nil
		},
		"keys without TLS": func(*http.Request) (*http.Response, error) {
			return say(http.StatusOK, `{"issuer":"`+issuerURL+`","jwks_uri":"http://issuer.example.org/keys"}`), nil
		},
		"no keys": func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/keys") {
				return say(http.StatusOK, `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"a"}]}`), nil
			}
			return say(http.StatusOK, `{"issuer":"`+issuerURL+`","jwks_uri":"`+issuerURL+`/keys"}`), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{}
				p.set(key)
				p.fault(fault)
				token, hash := NewToken()
				g := newGuard(t, p, Options{TokensFile: tokenFile(t, "backup "+hash)})
				take := func(token string) error {
					_, err := g.authenticate(t.Context(), bearer(token))
					return err
				}
				first := unavailable(take(key.sign(t, good(nil))))
				if first == nil || first.RetryAfter <= 0 || strings.Contains(first.Error(), "issuer.example.org") {
					t.Fatalf("down at the start: error %v", first)
				}
				if err := take(token); err != nil {
					t.Errorf("a static token meanwhile: %s", why(t, err))
				}
				if why(t, take(key.sign(t, good(map[string]any{"aud": "x"})))) == "" {
					t.Error("a token that is no good anyway was taken")
				}
				<-time.After(11 * time.Minute)
				if tries := p.fetches(); tries < 6 || tries > 40 {
					t.Errorf("asked %d times in 11 minutes", tries)
				}
				p.fault(nil)
				<-time.After(2*lastRetry + fetchTimeout)
				if err := take(key.sign(t, good(nil))); err != nil {
					t.Errorf("when it is back: %v", err)
				}
				p.fault(fault)
				<-time.After(time.Hour)
				if err := take(key.sign(t, good(nil))); err != nil {
					t.Errorf("a known key, while it is away: %v", err)
				}
				if unavailable(take(other.sign(t, good(nil)))) == nil {
					t.Error("a key that may be new was refused")
				}
				if g.State().KeysErr == nil || g.State().Keys != 1 {
					t.Errorf("state %+v", g.State())
				}
			})
		})
	}
}

// A server that has just begun to ask lets calls wait for the first answer, not for ever.
func TestFirstCallsWait(t *testing.T) {
	key := newSigner(t, "a", jose.ES256)
	for delay, taken := range map[time.Duration]bool{time.Second: true, patience + time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			p := &provider{}
			p.set(key)
			p.fault(func(r *http.Request) (*http.Response, error) {
				<-time.After(delay)
				p.fault(nil)
				return p.RoundTrip(r)
			})
			g := newGuard(t, p, Options{})
			began := time.Now()
			_, err := g.authenticate(t.Context(), bearer(key.sign(t, good(nil))))
			if (err == nil) != taken || !taken && unavailable(err) == nil || time.Since(began) > patience {
				t.Errorf("answered after %v, error %v after %v", delay, err, time.Since(began))
			}
		})
	}
}

// Whoever sends garbage cannot make the server ask the issuer often, and does not keep others from being let in.
func TestGarbageAsksForNothing(t *testing.T) {
	key := newSigner(t, "a", jose.ES256)
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.set(key)
		g := newGuard(t, p, Options{})
		take := func(key *signer, changes map[string]any) error {
			_, err := g.authenticate(t.Context(), bearer(key.sign(t, good(changes))))
			return err
		}
		if err := take(key, nil); err != nil {
			t.Fatal(why(t, err))
		}
		before := p.fetches()
		liar := newSigner(t, "a", jose.ES256)
		for range 1000 { // The key is known: nothing new is worth asking for.
			if why(t, take(liar, nil)) == "" {
				t.Fatal("a forged token was taken")
			}
		}
		stranger := newSigner(t, "", jose.ES256)
		for i := range 1000 {
			stranger.id = "x" + strconv.Itoa(i) // What would be refused anyway is no reason to ask either.
			if why(t, take(stranger, map[string]any{"exp": 1})) == "" {
				t.Fatal("an expired token was taken")
			}
		}
		if asked := p.fetches() - before; asked != 0 {
			t.Errorf("asked %d times for what cannot be", asked)
		}
		stranger.id = "always the same"
		for range 1000 {
			if why(t, take(stranger, nil)) == "" {
				t.Fatal("a stranger's token was taken")
			}
		}
		if asked := p.fetches() - before; asked != 1 {
			t.Errorf("asked %d times for the same key", asked)
		}
		<-time.After(time.Minute)
		before = p.fetches()
		for i := range 5000 { // For a minute and a half, each with a key of its own.
			stranger.id = "y" + strconv.Itoa(i)
			err := take(stranger, nil)
			if err == nil || unavailable(err) == nil && why(t, err) == "" {
				t.Fatalf("a stranger's token: %v", err)
			}
			<-time.After(18 * time.Millisecond)
		}
		if asked := p.fetches() - before; asked < 3 || asked > 15 {
			t.Errorf("asked %d times in a minute and a half", asked)
		}
		if err := take(key, nil); err != nil {
			t.Errorf("one who is known, meanwhile: %v", err)
		}
		if remembered := len(g.issuer.keys.missing); remembered > maxMissed {
			t.Errorf("%d keys are remembered that there are not", remembered)
		}
		fresh := newSigner(t, "new", jose.ES256)
		p.set(fresh, key)
		<-time.After(askInterval)
		if err := take(fresh, nil); err != nil {
			t.Errorf("a new key, moments later: %v", err)
		}
	})
}

// Many who come with a new key at once make one request, and all are let in.
func TestManyWaitForOne(t *testing.T) {
	first, second := newSigner(t, "a", jose.ES256), newSigner(t, "b", jose.ES256)
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.set(first)
		g := newGuard(t, p, Options{})
		synctest.Wait()
		p.set(second)
		before := p.fetches() + 1                               // The first is counted again after its delay.
		p.fault(func(r *http.Request) (*http.Response, error) { // It takes its time, so that they are all there.
			<-time.After(time.Second)
			p.fault(nil)
			return p.RoundTrip(r)
		})
		var all sync.WaitGroup
		token := second.sign(t, good(nil))
		for range 50 * askBurst {
			all.Go(func() {
				if _, err := g.authenticate(t.Context(), bearer(token)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if asked := p.fetches() - before; asked > 2 { // One may have begun before the last of them asked.
			t.Errorf("asked %d times", asked)
		}
	})
}

// Whoever goes on with a key that was taken back asks for nothing, and uses up nothing that is there for new ones.
func TestTakenBackAsksForNothing(t *testing.T) {
	old, fresh := newSigner(t, "a", jose.ES256), newSigner(t, "b", jose.ES256)
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.set(old)
		g := newGuard(t, p, Options{})
		synctest.Wait()
		p.set(fresh)
		take := func(key *signer) error {
			_, err := g.authenticate(t.Context(), bearer(key.sign(t, good(nil))))
			return err
		}
		if err := take(fresh); err != nil {
			t.Fatal(err)
		}
		before := p.fetches()
		for range 2 * askBurst {
			if reason := why(t, take(old)); !strings.Contains(reason, "did not have moments ago") {
				t.Errorf("refused because %q", reason)
			}
		}
		if asked := p.fetches() - before; asked != 0 {
			t.Errorf("asked %d times for a key that was taken back", asked)
		}
		p.set(old, fresh)
		<-time.After(missed + time.Second)
		if err := take(old); err != nil {
			t.Errorf("a key that is back: %v", err)
		}
	})
}

// A caller that leaves is not waited with.
func TestCallerLeaves(t *testing.T) {
	key := newSigner(t, "a", jose.ES256)
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.set(key)
		p.fault(hanging)
		g := newGuard(t, p, Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := g.authenticate(ctx, bearer(key.sign(t, good(nil)))); unavailable(err) == nil || time.Since(began) != time.Second {
			t.Errorf("error %v after %v", err, time.Since(began))
		}
	})
}

// A problem that lasts is told once, and its end.
func TestOutageIsToldOnce(t *testing.T) {
	key := newSigner(t, "a", jose.ES256)
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.set(key)
		p.fault(down)
		var lines bytes.Buffer
		newGuard(t, p, Options{Logger: slog.New(slog.NewJSONHandler(&lines, nil))})
		<-time.After(time.Hour)
		p.fault(nil)
		<-time.After(time.Hour)
		synctest.Wait()
		if got := strings.Count(lines.String(), "\n"); got != 2 || !strings.Contains(lines.String(), errDown.Error()) {
			t.Errorf("told %d times:\n%s", got, &lines)
		}
	})
}

func FuzzKeys(f *testing.F) {
	one, err := json.Marshal(map[string]any{"keys": []jose.JSONWebKey{newSigner(f, "a", jose.ES256).public()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(one)
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0"},{"kty":"OKP","crv":"Ed448","x":"AA"}]}`))
	f.Add([]byte(`{"keys":[null,{},[],"x"]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		set, err := parseKeys(content)
		if (err == nil) != (len(set) > 0) || len(set) > maxKeys {
			t.Fatalf("error %v, %d keys", err, len(set))
		}
		for i := range set {
			if !set[i].IsPublic() || !set[i].Valid() {
				t.Errorf("key %+v", set[i])
			}
		}
	})
}
