package browser_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// victim is a server on the machine of whoever looks at the attacker's pages. Exporting is paused there, softly, so that
// neither a pause nor a resume would go unseen.
type victim struct {
	*servertest.Harness

	base, audit string
	operator    servertest.Identity
	route       servertest.Route
	hold        *exportgatev1.Hold
	loggers     string // as they were
}

// token is the operator's.
const token = "egt_dGhlLW9wZXJhdG9ycy10b2tlbi1vZi10aGUtdGVzdHM"

// newVictim starts one that asks who calls and listens everywhere, or one as it is by default: on loopback, open to whoever is
// on the machine.
func newVictim(t *testing.T, guarded bool) *victim {
	t.Helper()
	dir := t.TempDir()
	v := &victim{audit: filepath.Join(dir, "audit.log")}
	settings := map[string]string{
		"audit.path":              v.audit,
		"limits.calls-per-second": "100000", "limits.burst": "100000", // What is counted here is what is refused for other reasons.
	}
	if guarded {
		tokens := filepath.Join(dir, "tokens")
		if err := os.WriteFile(tokens, fmt.Appendf(nil, "operator sha256:%x\n", sha256.Sum256([]byte(token))), 0o600); err != nil {
			t.Fatal(err)
		}
		maps.Copy(settings, map[string]string{"auth.tokens-file": tokens, "auth.roles.operator": "token:operator", "server.address": "0.0.0.0"})
		v.operator = servertest.Identity{}.Bearer(token)
	}
	v.Harness = servertest.Start(t, servertest.Options{Settings: settings})
	_, port, err := net.SplitHostPort(v.Server.HTTPAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	v.base = "http://127.0.0.1:" + port + "/actuator"
	v.route = v.As(t, servertest.GRPC, v.operator)
	paused := v.route.Pause(t.Context(), &exportgatev1.PauseRequest{Soft: true, Hold: "the-secret-backup"})
	if !paused.OK() {
		t.Fatal(paused)
	}
	v.hold, v.loggers = paused.Hold, v.fetch(t, "/loggers")
	return v
}

// fetch asks it as its operator does, with no browser.
func (v *victim) fetch(t *testing.T, path string) string {
	t.Helper()
	return fetch(t, v.base+path, v.operator.Headers)
}

// refused is how many requests it has turned away, by the reason.
func (v *victim) refused(t *testing.T) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, found := range regexp.MustCompile(`(?m)^exportgate_refused_total\{reason="([^"]*)"\} (\d+)$`).FindAllStringSubmatch(v.fetch(t, "/prometheus"), -1) {
		counts[found[1]], _ = strconv.Atoi(found[2])
	}
	return counts
}

// awaitRefused waits until it has turned away as many as it should, and returns how many it has.
func (v *victim) awaitRefused(t *testing.T, want int, count func(map[string]int) int) int {
	t.Helper()
	got := 0
	servertest.Await(t, fmt.Sprintf("%d refused", want), func() bool {
		got = count(v.refused(t))
		return got >= want
	})
	return got
}

// crossOrigin are those that came from a page of another origin, and all those that came for whatever reason.
func crossOrigin(refused map[string]int) int { return refused["cross-origin"] }

func all(refused map[string]int) int {
	sum := 0
	for _, count := range refused {
		sum += count
	}
	return sum
}

// unharmed fails the test if anything is not as it was.
func (v *victim) unharmed(t *testing.T) {
	t.Helper()
	status := v.route.GetStatus(t.Context())
	if holds := status.Status.GetHolds(); !status.OK() || len(holds) != 1 || holds[0].GetUid() != v.hold.GetUid() {
		t.Errorf("the holds are not as they were: %v %v", status, holds)
	}
	if astray := v.Astray(embedded.SoftPaused); len(astray) > 0 {
		t.Errorf("replicas are not as they were: %v", astray)
	}
	if now := v.fetch(t, "/loggers"); now != v.loggers {
		t.Errorf("log levels were changed from %s to %s", v.loggers, now)
	}
}

// leaks reports whether a page that read this knows anything of the cluster or the server.
func (v *victim) leaks(text string) bool {
	return slices.ContainsFunc([]string{v.hold.GetUid(), v.hold.GetId(), "PAUSED", "partition", "effectiveLevel", "exportgate_", "goVersion", "swagger"},
		func(secret string) bool { return strings.Contains(text, secret) })
}

// line is what this test reads of a line of the audit log.
type line struct {
	Kind, Door, Operation, Code, Address string
	UserAgent                            string `json:"user_agent"`
	Suppressed                           map[string]int
}

// remembered ends the server and reads its audit log: nothing came through the HTTP door that it had to do, and whatever was
// turned away is there, or counted there.
func (v *victim) remembered(t *testing.T, refused int) {
	t.Helper()
	v.Close()
	content, err := os.ReadFile(v.audit)
	if err != nil {
		t.Fatal(err)
	}
	got, seen := 0, map[string]bool{}
	for text := range strings.Lines(string(content)) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if l.Door == "http" && l.Kind != "refused" {
			t.Errorf("a page had something done: %s", text)
		}
		if l.Kind != "refused" {
			continue
		}
		for _, more := range l.Suppressed {
			got += more
		}
		if l.Suppressed == nil {
			got++
			seen[l.Operation] = true
			if !strings.Contains(l.UserAgent, "Chrome") || !strings.HasPrefix(l.Address, "127.0.0.1:") || l.Code == "" {
				t.Errorf("a line does not say who it was: %s", text)
			}
		}
	}
	if got != refused || len(seen) == 0 {
		t.Errorf("the audit log has %d that were turned away (%v), the metrics %d", got, slices.Sorted(maps.Keys(seen)), refused)
	}
}

// The changes that a page may want.
func changes() []string {
	return []string{"/exporting/pause?hold=cats", "/exporting/resume?force=true", "/loggers/ROOT"}
}

// What a page may want to know; the first two are of each kind: an answer, and a stream.
func secrets() []string {
	return []string{"/exporting", "/exporting/watch", "", "/exporting/pause", "/loggers", "/info", "/health", "/prometheus", "/openapi"}
}

// Pages of other sites try to change something and to learn something, in every way that a browser has; and then their name
// points to the server.
func TestPagesOfOtherSites(t *testing.T) {
	t.Parallel()
	browser := open(t)
	for name, hosts := range map[string][]string{"on loopback": {"127.0.0.1", attacker, evil}, "guarded": {evil}} {
		t.Run(name, func(t *testing.T) {
			guarded := name == "guarded"
			v, site := newVictim(t, guarded), site(t)
			_, port, err := net.SplitHostPort(site.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			for _, host := range hosts {
				t.Run(host, func(t *testing.T) { fromElsewhere(t, browser, v, "http://"+net.JoinHostPort(host, port)) })
			}
			t.Run("rebinding", func(t *testing.T) { rebinding(t, browser, v, point(t, site.Listener.Addr().String()), guarded) })
			v.unharmed(t)
			v.remembered(t, all(v.refused(t)))
		})
	}
}

// fromElsewhere attacks from a page of another origin.
func fromElsewhere(t *testing.T, browser tab, v *victim, origin string) {
	t.Helper()
	page := browser.another(t)
	page.do(chromedp.Navigate(origin))
	want := crossOrigin(v.refused(t))
	for _, change := range changes() {
		before := want
		for _, a := range posts {
			if read := page.attack(a, v.base+change); read != "" {
				t.Errorf("%s of %s: the page reads %q", a.name, change, read)
			}
			if !a.asksFirst {
				want++
			}
		}
		v.awaitRefused(t, want, crossOrigin)
		// The page itself goes there, and so does a report about it that the browser sends by itself.
		evaluate[any](page, `(() => {const url = "`+v.base+change+`"; `+library+`; form("text/plain", "_top")})()`)
		v.awaitRefused(t, want+1, crossOrigin)
		page.do(chromedp.Navigate(origin + "/?report=" + v.base + change))
		if got := v.awaitRefused(t, want+2, crossOrigin); got != want+2 {
			t.Errorf("%d of the pages' requests for %s were refused, and %d were made", got-before, change, want+2-before)
		}
		page.do(chromedp.Navigate(origin))
		want += 2
	}
	wanted := secrets()
	if !strings.Contains(origin, evil) { // Browsers treat all of them alike, and each takes its time.
		wanted = wanted[:2]
	}
	for _, secret := range wanted {
		for _, a := range gets {
			if read := page.attack(a, v.base+secret); read != "" {
				t.Errorf("%s of %s: the page reads %q", a.name, secret, read)
			}
		}
	}
	if read := page.attack(window, v.base+"/exporting"); read != "" {
		t.Errorf("from the window that it opened, the page reads %q", read)
	}
	v.unharmed(t)
}

// rebinding attacks from a page whose name points to the server by now, so that to the browser both are of one origin.
func rebinding(t *testing.T, browser tab, v *victim, name *pointer, guarded bool) {
	t.Helper()
	page, base := browser.another(t), fmt.Sprintf("http://%s:%d", evil, name.port())
	page.do(chromedp.Navigate(base))
	name.rebind(strings.TrimSuffix(strings.TrimPrefix(v.base, "http://"), "/actuator"))
	want := all(v.refused(t))
	for _, change := range changes() {
		for _, a := range posts {
			if read := page.attack(a, base+"/actuator"+change); v.leaks(read) {
				t.Errorf("%s of %s: the page reads %q", a.name, change, read)
			}
			want++
		}
		want = v.awaitRefused(t, want, all) // A browser may ask again over another connection.
	}
	for _, secret := range secrets() {
		for _, a := range gets {
			if read := page.attack(a, base+"/actuator"+secret); v.leaks(read) {
				t.Errorf("%s of %s: the page reads %q", a.name, secret, read)
			}
		}
	}
	want = http.StatusMisdirectedRequest
	if guarded { // It may be called by any name there, and asks who calls instead.
		want = http.StatusUnauthorized
	}
	if code := evaluate[int](page, `fetch("/actuator/exporting").then(r => r.status)`); code != want {
		t.Errorf("the page is told %d, want %d", code, want)
	}
	v.unharmed(t)
}
