package servertest_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

const unavailable = "STORE_UNAVAILABLE"

// A full disk takes no more of any file.
const (
	full = 0
	room = math.MaxUint64
)

// limit sets how large the files may be that a server writes.
func (p *proxy) limit(t *testing.T, size uint64) {
	t.Helper()
	var limit unix.Rlimit
	err := unix.Prlimit(p.command.Process.Pid, unix.RLIMIT_FSIZE, nil, &limit)
	if err == nil {
		limit.Cur = min(size, limit.Max)
		err = unix.Prlimit(p.command.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil)
	}
	if err != nil {
		t.Fatalf("limit the files of the server: %v", err)
	}
}

// fullDisk is a server that keeps exporting paused for a backup, and has no disk for its ledger any more.
type fullDisk struct {
	try

	cluster  *servertest.Harness
	settings map[string]string
	proxy    *proxy
	route    servertest.Route
	hold     *exportgatev1.Hold
}

// onFullDisk tries something with such a server, for each way to drive brokers.
func onFullDisk(t *testing.T, ttl time.Duration, run func(fullDisk)) {
	t.Helper()
	on(t, []string{"8.9", "8.10"}, func(t try) {
		f := fullDisk{try: t, cluster: startCluster(t.T, embedded.Options{Version: t.version})}
		f.settings = servertest.Settings(t, f.cluster.Cluster, servertest.Options{})
		f.start()
		o := f.route.Pause(t.Context(), backup(embedded.SoftPaused, ttl))
		t.expectSuccess(f.cluster, o, embedded.SoftPaused)
		f.hold = o.Hold
		f.proxy.limit(t.T, full)
		run(f)
	})
}

// start starts a server that may write, in place of one that has ended.
func (f *fullDisk) start() {
	f.Helper()
	f.proxy = start(f.T, f.settings)
	f.route = f.proxy.route(f.T, f.door)
}

// expectUnavailable expects that a call is refused because nothing can be written, and that nothing was touched.
func (f *fullDisk) expectUnavailable(call func() servertest.Outcome) {
	f.Helper()
	before := len(f.cluster.Cluster.Writes())
	o := call()
	f.expect(o, codes.Unavailable, unavailable)
	if o.Metadata["written"] != "no" || !strings.Contains(o.Message, f.settings["store.path"]) || !strings.Contains(o.Message, "force") {
		f.Errorf("the failure does not name the file and the way out: %v", o)
	}
	if after := len(f.cluster.Cluster.Writes()); after != before || !f.cluster.AllIn(embedded.SoftPaused) {
		f.Errorf("%d writes before the call and %d after it; astray: %+v", before, after, f.cluster.Astray(embedded.SoftPaused))
	}
}

// expectForced ends everything by force, and expects to be told that this is not in the ledger.
func (f *fullDisk) expectForced() {
	f.Helper()
	o := f.route.Resume(f.Context(), &exportgatev1.ResumeRequest{Force: true})
	f.expectSuccess(f.cluster, o, embedded.Exporting)
	if len(o.Unrecorded) != 1 || o.Unrecorded[0].GetUid() != f.hold.GetUid() {
		f.Errorf("%v is to be called unrecorded, not %v", f.hold, o.Unrecorded)
	}
	if holds := o.Status.GetHolds(); len(holds) > 0 {
		f.Errorf("these holds live: %v", holds)
	}
}

// With a full disk no hold can be promised, and none released; all else works, and the status says what is wrong.
func TestAFullDiskRefusesPauses(t *testing.T) {
	t.Parallel()
	onFullDisk(t, time.Hour, func(f fullDisk) {
		other := soft()
		other.Hold = "backup-2"
		for name, call := range map[string]func() servertest.Outcome{
			"a new hold":         func() servertest.Outcome { return f.route.Pause(f.Context(), other) },
			"the anonymous hold": func() servertest.Outcome { return f.route.Pause(f.Context(), soft()) },
			"the same again":     func() servertest.Outcome { return f.route.Pause(f.Context(), backup(embedded.SoftPaused, 2*time.Hour)) },
			"a renewal": func() servertest.Outcome {
				return f.route.Pause(f.Context(), &exportgatev1.PauseRequest{Renew: f.hold.GetUid()})
			},
			"a release": func() servertest.Outcome { return f.route.Resume(f.Context(), releaseBackup()) },
		} {
			f.Log(name)
			f.expectUnavailable(call)
		}
		s := f.route.GetStatus(f.Context()).Status
		if !strings.Contains(s.GetStale(), f.settings["store.path"]) || !strings.Contains(s.GetStale(), "file too large") {
			f.Errorf("the status does not say what is wrong with which file: %q", s.GetStale())
		}
		if len(s.GetHolds()) != 1 || s.GetHolds()[0].GetUid() != f.hold.GetUid() || s.GetTarget() != phaseOf(embedded.SoftPaused) {
			f.Errorf("the status is not served as it was last known: %v", s)
		}

		f.proxy.limit(f.T, room)
		servertest.Await(f, "the ledger is well again", func() bool {
			return f.route.GetStatus(f.Context()).Status.GetStale() == ""
		})
		f.expectReleased(f.cluster, f.route, intactNow)
	})
}

// A full disk is what a resume cures, so that it must not need the disk. It is in the ledger as soon as there is room.
func TestAFullDiskIsResumedByForce(t *testing.T) {
	t.Parallel()
	onFullDisk(t, time.Hour, func(f fullDisk) {
		f.expectForced()
		if stale := f.route.GetStatus(f.Context()).Status.GetStale(); stale == "" {
			f.Error("the ledger is not called stale")
		}
		f.proxy.limit(f.T, room)
		servertest.Await(f, "it is recorded", func() bool { return f.route.GetStatus(f.Context()).Status.GetStale() == "" })

		f.proxy.end()
		began := time.Now()
		f.start()
		f.awaitReads(f.cluster)
		s := f.route.GetStatus(f.Context()).Status
		if len(s.GetHolds()) > 0 || s.GetTarget() != phaseOf(embedded.Exporting) || !f.cluster.AllIn(embedded.Exporting) {
			f.Errorf("a hold came back: %v", s)
		}
		for _, w := range f.cluster.Cluster.Writes() {
			if w.Time.After(began) && !strings.Contains(w.Path, "resume") { // What it is not sure of it asks for again.
				f.Errorf("a broker was asked to change: %+v", w)
			}
		}
		f.expectEnded(s, exportgatev1.HoldEnd_HOLD_END_FORCED)
		f.expectRefused(f.cluster, f.route, broken, "ended by force")
	})
}

// What could not be recorded is forgotten with the server that knew it, as its answer said: the hold is enforced again, and
// it is known that it did not hold all the time.
func TestAFullDiskForgetsWhatWasForced(t *testing.T) {
	t.Parallel()
	onFullDisk(t, time.Hour, func(f fullDisk) {
		f.expectForced()
		f.proxy.end()
		f.start()
		servertest.Await(f, "the hold is back, and enforced", func() bool {
			s := f.route.GetStatus(f.Context()).Status
			return len(s.GetHolds()) == 1 && s.GetHolds()[0].GetUid() == f.hold.GetUid() && s.GetSettled() &&
				f.cluster.AllIn(embedded.SoftPaused)
		})
		f.awaitVerdict(f.route, brokenNow)
		f.expectRefused(f.cluster, f.route, broken, "EXPORTING")
	})
}

// Time does not wait for disks: a hold that expires is over, and exporting resumes.
func TestAHoldExpiresOnAFullDisk(t *testing.T) {
	t.Parallel()
	onFullDisk(t, 2*time.Second, func(f fullDisk) {
		servertest.Await(f, "exporting resumes by itself", func() bool { return f.cluster.AllIn(embedded.Exporting) })
		if now := time.Now(); now.Before(f.hold.GetExpireTime().AsTime()) {
			f.Errorf("it resumed before %v", f.hold.GetExpireTime().AsTime())
		}
		f.proxy.end()
		f.start()
		f.expectRefused(f.cluster, f.route, expired, "")
		f.expectEnded(f.route.GetStatus(f.Context()).Status, exportgatev1.HoldEnd_HOLD_END_EXPIRED)
	})
}

// expectEnded expects that the history has the hold.
func (f *fullDisk) expectEnded(s *exportgatev1.Status, how exportgatev1.HoldEnd) {
	f.Helper()
	for _, e := range s.GetHistory() {
		if e.GetHold().GetUid() == f.hold.GetUid() && e.GetEnd() == how {
			return
		}
	}
	f.Errorf("the history does not have %v as %v: %v", f.hold, how, s.GetHistory())
}
