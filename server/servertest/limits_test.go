package servertest_test

import (
	"context"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/exportgate/exportgate/server/internal/auth"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

const tooManyCalls = "TOO_MANY_CALLS"

// limited is a server that limits its callers, of whom there are some by name. Each is an operator.
type limited struct {
	*testing.T

	h       *servertest.Harness
	callers map[string]servertest.Identity
}

func newLimited(t *testing.T, settings map[string]string, callers ...string) *limited {
	t.Helper()
	l := &limited{T: t, callers: map[string]servertest.Identity{}}
	var lines, operators []string
	for _, name := range callers {
		token, hash := auth.NewToken()
		l.callers[name] = servertest.Identity{}.Bearer(token)
		lines, operators = append(lines, name+" "+hash), append(operators, "token:"+name)
	}
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	o := servertest.Options{Cluster: embedded.Options{Brokers: 1, Partitions: 1, WriteInterval: -1}, Settings: map[string]string{
		"server.address": "127.0.0.1", "auth.tokens-file": tokens, "auth.roles.operator": strings.Join(operators, ","),
	}}
	maps.Copy(o.Settings, settings)
	l.h = servertest.Start(t, o)
	return l
}

// expectTooMany expects that a call was one too many by a limit, and is told when there will be room.
func (l *limited) expectTooMany(o servertest.Outcome, limit string) {
	l.Helper()
	if o.Code != codes.ResourceExhausted || o.Reason != tooManyCalls || o.Metadata["limit"] != limit || o.Retry <= 0 {
		l.Errorf("got %v, to try again in %v; want that %s is exceeded", o, o.Retry, limit)
	}
	if o.HTTP != 0 && o.HTTP != http.StatusTooManyRequests {
		l.Errorf("got HTTP status %d", o.HTTP)
	}
}

// expectOK expects that a call is served.
func (l *limited) expectOK(what string, o servertest.Outcome) {
	l.Helper()
	if !o.OK() {
		l.Errorf("%s: %v", what, o)
	}
}

// refused is how many calls were turned away for a reason, as metrics have it.
func (l *limited) refused(as, reason string) float64 {
	l.Helper()
	client, base := clientOf(l, l.h, l.callers[as])
	return scrape(l, client, base)[`exportgate_refused_total{reason="`+reason+`"}`]
}

// Who calls too often is told when to call again, whichever door it comes through, and nobody else is.
func TestRateOfOneCaller(t *testing.T) {
	t.Parallel()
	const burst = 6
	l := newLimited(t, map[string]string{"limits.calls-per-second": "1", "limits.burst": strconv.Itoa(burst)}, "busy", "calm")
	began, served, refused := time.Now(), 0, 0
	for i := range 3 * burst {
		route := l.h.As(t, servertest.Doors()[i%2], l.callers["busy"])
		if o := route.GetStatus(t.Context()); o.OK() {
			served++
		} else {
			refused++
			l.expectTooMany(o, "calls-per-second")
		}
	}
	if most := burst + int(time.Since(began).Seconds()) + 1; served < burst || served > most || refused == 0 {
		t.Errorf("%d calls were served and %d refused, within %v", served, refused, time.Since(began))
	}
	client, base := clientOf(t, l.h, l.callers["busy"])
	for range burst {
		got := ask(t, client, http.MethodPost, base, "/exporting/pause")
		after, err := strconv.Atoi(got.header.Get("Retry-After"))
		if got.status == http.StatusTooManyRequests && (err != nil || after < 1) {
			t.Errorf("it is told %d, with Retry-After %q", got.status, got.header.Get("Retry-After"))
		}
	}
	for _, door := range servertest.Doors() {
		l.expectOK("another caller through "+string(door), l.h.As(t, door, l.callers["calm"]).GetStatus(t.Context()))
	}
	if health := ask(t, client, http.MethodGet, base, "/health/readiness"); health.status != http.StatusOK {
		t.Errorf("health is %d", health.status)
	}
	if got := l.refused("calm", tooManyCalls); got < float64(refused) {
		t.Errorf("metrics count %v refused, and it were %d at least", got, refused)
	}
	servertest.Await(t, "it may call again", func() bool {
		return l.h.As(t, servertest.GRPC, l.callers["busy"]).GetStatus(t.Context()).OK()
	})
}

// So many calls of one caller may be under way, and no more, until one ends.
func TestConcurrentCallsOfOneCaller(t *testing.T) {
	t.Parallel()
	l := newLimited(t, map[string]string{"limits.concurrent-calls": "2"}, "busy", "calm")
	l.h.Cluster.Broker(0).SetFaults(embedded.Swallow())
	waiting, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	var paused []<-chan servertest.Outcome
	for _, door := range servertest.Doors() {
		route := l.h.As(t, door, l.callers["busy"])
		paused = append(paused, later(func() servertest.Outcome { return route.Pause(waiting, named("of-"+strings.ToLower(string(door)))) }))
	}
	calm := l.h.As(t, servertest.HTTP, l.callers["calm"])
	servertest.Await(t, "both are under way", func() bool { return len(calm.GetStatus(t.Context()).Status.GetHolds()) == 2 })
	for _, door := range servertest.Doors() {
		l.expectTooMany(l.h.As(t, door, l.callers["busy"]).GetStatus(t.Context()), "concurrent-calls")
	}
	l.h.Cluster.Broker(0).Clear()
	for _, o := range paused {
		l.expectOK("a pause", <-o)
	}
	for _, door := range servertest.Doors() {
		l.expectOK("afterwards", l.h.As(t, door, l.callers["busy"]).GetStatus(t.Context()))
	}
}

// The same of watches, by every form together. They do not count as calls that are under way.
func TestWatchersOfOneCaller(t *testing.T) {
	t.Parallel()
	l := newLimited(t, map[string]string{"limits.watchers": "3", "limits.concurrent-calls": "1"}, "busy", "calm")
	var watches []*servertest.Watch
	watch := func(form servertest.Form, as string) servertest.Outcome {
		w := l.h.WatchAs(t, form, "", l.callers[as])
		watches = append(watches, w)
		_, o := w.Next()
		return o
	}
	for _, form := range servertest.Forms() {
		l.expectOK("the first watch by "+string(form), watch(form, "busy"))
	}
	for _, form := range servertest.Forms() {
		l.expectTooMany(watch(form, "busy"), "watchers")
		l.expectOK("another caller's by "+string(form), watch(form, "calm"))
	}
	l.expectOK("a call", l.h.As(t, servertest.GRPC, l.callers["busy"]).GetStatus(t.Context()))
	watches[0].Stop()
	servertest.Await(t, "there is room for another watch", func() bool { return watch(servertest.Lines, "busy").OK() })
	for _, w := range watches {
		w.Stop()
	}
}

// Who tries credentials is not listened to for a while, and whoever was known before from the same address is.
func TestGuessing(t *testing.T) {
	t.Parallel()
	l := newLimited(t, nil, "known", "new")
	known := map[servertest.Door]servertest.Route{}
	for _, door := range servertest.Doors() {
		known[door] = l.h.As(t, door, l.callers["known"])
		l.expectOK("before", known[door].GetStatus(t.Context()))
	}
	wrong, exceeded := 0, 0
	for i := range 60 {
		token, _ := auth.NewToken()
		o := l.h.As(t, servertest.Doors()[i%2], servertest.Identity{}.Bearer(token)).GetStatus(t.Context())
		switch o.Code { //nolint:exhaustive // All others are failures.
		case codes.Unauthenticated:
			wrong++
		case codes.ResourceExhausted:
			exceeded++
			l.expectTooMany(o, "failed-attempts")
		default:
			t.Errorf("a guess: %v", o)
		}
	}
	if wrong < 30 || exceeded == 0 {
		t.Errorf("%d guesses were looked at, and %d not", wrong, exceeded)
	}
	for door, route := range known {
		l.expectOK("who is known, through "+string(door), route.GetStatus(t.Context()))
	}
	if o := l.h.As(t, servertest.GRPC, l.callers["new"]).GetStatus(t.Context()); !o.OK() {
		l.expectTooMany(o, "failed-attempts")
	}
	client, base := clientOf(t, l.h, servertest.Identity{})
	if health := ask(t, client, http.MethodGet, base, "/health"); health.status != http.StatusOK {
		t.Errorf("health is %d", health.status)
	}
	for reason, least := range map[string]int{"UNAUTHENTICATED": wrong, tooManyCalls: exceeded} {
		if got := l.refused("known", reason); got < float64(least) {
			t.Errorf("metrics count %v of %s, and it were %d", got, reason, least)
		}
	}
	servertest.Await(t, "who is new gets in, once the guesses have ended", func() bool {
		return l.h.As(t, servertest.HTTP, l.callers["new"]).GetStatus(t.Context()).OK()
	})
}
