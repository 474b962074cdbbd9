package servertest_test

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/audit"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// unaudited is the reason of a pause that is refused because nobody could account for it.
const unaudited = "AUDIT_UNAVAILABLE"

// unwritable is a server whose audit log may be on a full disk.
type unwritable struct {
	try

	cluster *servertest.Harness
	path    string // of the log
	store   string
	proxy   *proxy
	route   servertest.Route
	base    string
}

// onAuditLog tries something with such a server, through both doors.
func onAuditLog(t *testing.T, path func(t *testing.T) string, settings map[string]string, run func(*unwritable)) {
	t.Helper()
	on(t, []string{"8.9"}, func(t try) {
		u := &unwritable{try: t, cluster: startCluster(t.T, embedded.Options{Version: t.version}), path: path(t.T)}
		o := servertest.Options{Settings: map[string]string{"audit.path": u.path}}
		maps.Copy(o.Settings, settings)
		all := servertest.Settings(t, u.cluster.Cluster, o)
		u.store = all["store.path"]
		u.proxy = start(t.T, all)
		u.route = u.proxy.route(t.T, t.door)
		u.base = "http://" + u.proxy.address(servertest.HTTP) + "/actuator"
		run(u)
	})
}

func devFull(*testing.T) string { return "/dev/full" }

// expectRefused expects that a pause is refused, that a caller is told when to try again, and that nothing was touched.
func (u *unwritable) expectRefused(request *exportgatev1.PauseRequest) {
	u.Helper()
	writes := len(u.cluster.Cluster.Writes())
	o := u.route.Pause(u.Context(), request)
	u.expect(o, codes.Unavailable, unaudited)
	if o.Retry <= 0 || !strings.Contains(o.Message, u.path) || !strings.Contains(o.Message, "resume") {
		u.Errorf("the failure does not say when to try again, which file it is, and what works: %v, in %v", o, o.Retry)
	}
	if got := len(u.cluster.Cluster.Writes()); got != writes {
		u.Errorf("%d writes reached the brokers", got-writes)
	}
	if got := ask(u, once(), http.MethodPost, u.base, "/exporting/pause"); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		u.Errorf("over HTTP it is %d, with Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
}

// expectHealth expects what metrics and health say of the log.
func (u *unwritable) expectHealth(up bool) {
	u.Helper()
	want, word := 0.0, "DOWN"
	if up {
		want, word = 1, "UP"
	}
	metrics := scrape(u, once(), u.base)
	if metrics["exportgate_audit_up"] != want || metrics["exportgate_audit_failures_total"] == 0 {
		u.Errorf("metrics say %v, and %v failures", metrics["exportgate_audit_up"], metrics["exportgate_audit_failures_total"])
	}
	if health := ask(u, once(), http.MethodGet, u.base, "/health").body; !strings.Contains(health, `"audit":{"status":"`+word) {
		u.Errorf("health does not say that it is %s: %s", word, health)
	}
}

// failures are how many lines could not be written, as metrics have it.
func (u *unwritable) failures() float64 {
	u.Helper()
	return scrape(u, once(), u.base)["exportgate_audit_failures_total"]
}

// diverted are the lines that went to standard error instead.
func (u *unwritable) diverted() string {
	var lines strings.Builder
	for line := range strings.Lines(u.proxy.said.String()) {
		if strings.HasPrefix(line, "audit: ") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// expectDiverted expects that standard error has both lines of a call; it may take a moment to get here.
func (u *unwritable) expectDiverted(operation string) {
	u.Helper()
	servertest.Await(u, "standard error has the lines of "+operation, func() bool {
		kinds := map[audit.Kind]bool{}
		for line, err := range audit.Lines(strings.NewReader(u.diverted())) {
			if err == nil && strings.HasSuffix(line.Operation, operation) {
				kinds[line.Kind] = true
			}
		}
		return kinds[audit.KindIntent] && kinds[audit.KindOutcome]
	})
}

// With a full disk under the audit log no pause is begun; a resume is carried out, and its lines go to standard error; and
// everybody can see what is wrong.
func TestAFullAuditLogRefusesPauses(t *testing.T) {
	t.Parallel()
	onAuditLog(t, devFull, nil, func(u *unwritable) {
		for _, request := range []*exportgatev1.PauseRequest{hard(), soft(), named("backup")} {
			u.expectRefused(request)
		}
		u.expectHealth(false)
		check := hard()
		check.ValidateOnly = true
		if o := u.route.Pause(u.Context(), check); !o.OK() {
			u.Errorf("to ask whether a pause would be possible: %v", o)
		}
		u.behind(u.cluster, embedded.Paused)
		u.expectSuccess(u.cluster, u.route.Resume(u.Context(), resume()), embedded.Exporting)
		u.expectDiverted("Resume")
		if o := u.route.GetStatus(u.Context()); !o.OK() || len(o.Status.GetHolds()) > 0 {
			u.Errorf("the status: %v %v", o, o.Status.GetHolds())
		}
	})
}

// Whoever wants pauses all the same can have them.
func TestAFullAuditLogAllowsPauses(t *testing.T) {
	t.Parallel()
	onAuditLog(t, devFull, map[string]string{"audit.on-failure": "allow"}, func(u *unwritable) {
		u.expectSuccess(u.cluster, u.route.Pause(u.Context(), hard()), embedded.Paused)
		u.expectDiverted("Pause")
		u.expectHealth(false)
		u.expectSuccess(u.cluster, u.route.Resume(u.Context(), resume()), embedded.Exporting)
	})
}

// A disk that is full for a while: what was promised before is renewed and released, and once there is room the log goes on
// by itself. With what went to standard error meanwhile it leads to the ledger.
func TestAnAuditLogHeals(t *testing.T) {
	t.Parallel()
	const size = 1 << 20 // of the log, much larger than the ledger's file, so that a limit of half as much stops it alone
	long := func(t *testing.T) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "audit.log")
		if err := os.WriteFile(path, []byte(strings.Repeat(`{"kind":"filler"}`+"\n", size/18)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	onAuditLog(t, long, nil, func(u *unwritable) {
		o := u.route.Pause(u.Context(), named("backup"))
		u.expectSuccess(u.cluster, o, embedded.SoftPaused)
		other := u.route.Pause(u.Context(), named("other"))
		u.expect(other, codes.OK, "")

		u.proxy.limit(u.T, size/2)
		u.expectRefused(named("more"))
		u.expect(u.route.Pause(u.Context(), &exportgatev1.PauseRequest{Renew: o.Hold.GetUid(), Ttl: durationpb.New(2 * time.Hour)}), codes.OK, "")
		u.expect(u.route.Resume(u.Context(), &exportgatev1.ResumeRequest{Hold: "other"}), codes.OK, "")
		u.expectDiverted("Resume")
		u.expectHealth(false)

		u.proxy.limit(u.T, room)
		u.expect(u.route.Pause(u.Context(), named("more")), codes.OK, "")
		u.expectHealth(true)
		before := u.failures()
		u.expect(u.route.Resume(u.Context(), &exportgatev1.ResumeRequest{Hold: "more"}), codes.OK, "")
		if after := u.failures(); after != before {
			u.Errorf("there is room, and %v lines more went to standard error", after-before)
		}
		u.stop()
		u.expectReplay()
	})
}

// stop stops the server as a signal does.
func (u *unwritable) stop() {
	u.Helper()
	_ = u.proxy.stdin.Close() // It ends with it.
	<-u.proxy.exited
	if u.proxy.err != nil {
		u.Errorf("the server ended with %v", u.proxy.err)
	}
}

// expectReplay expects that the log and standard error lead to the ledger.
func (u *unwritable) expectReplay() {
	u.Helper()
	got, err := audit.Replay(strings.NewReader(string(read(u.T, u.path))), strings.NewReader(u.diverted()))
	if err != nil {
		u.Fatal(err)
	}
	if want, got := text(u.T, recorded(u.T, u.store)), text(u.T, got); want != got {
		u.Errorf("the ledger is\n%s\nand the log leads to\n%s", want, got)
	}
}
