package servertest_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/embedded"
	"github.com/exportgate/exportgate/server/servertest"
)

// A pause that somebody made at the brokers is not ended by a backup that comes and goes: it becomes the anonymous hold.
func TestAForeignPauseOutlivesABackup(t *testing.T) {
	t.Parallel()
	for _, phase := range []embedded.Phase{embedded.Paused, embedded.SoftPaused} {
		t.Run(string(phase), func(t *testing.T) {
			t.Parallel()
			on(t, []string{"8.9", "8.10"}, func(t try) {
				h, route := t.start(embedded.Options{})
				t.behind(h, phase)
				t.awaitForeign(h, phase)
				backup := route.Pause(t.Context(), place("backup-1", embedded.SoftPaused))
				t.expectSuccess(h, backup, phase)
				holds := backup.Status.GetHolds()
				if len(holds) != 2 || backup.Status.GetForeign() {
					t.Fatalf("the status is %v", backup.Status)
				}
				if f := holds[1]; f.GetId() != "operator" || f.GetOwner() != "foreign" || f.GetPhase() != phaseOf(phase) ||
					f.GetReason() == "" || f.GetExpireTime() != nil {
					t.Errorf("the foreign pause is held as %v", f)
				}
				t.expectSuccess(h, route.Resume(t.Context(), release("backup-1")), phase)
				t.awaitReads(h)
				t.expectHolds(h, holds[1])
				t.expectSuccess(h, route.Resume(t.Context(), resume()), embedded.Exporting)
				t.expectEnded(h, "operator", exportgatev1.HoldEnd_HOLD_END_RELEASED)
			})
		})
	}
}

// Whoever resumes at the brokers means Zeebe's own pause, the anonymous one. Named holds are kept, by pausing again; what
// was exported meanwhile has broken them.
func TestAForeignResumeUnderNamedHolds(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.9", "8.10"}, func(t try) {
		h, route := t.start(embedded.Options{ApplyDelay: -1})
		backup := route.Pause(t.Context(), place("backup-1", embedded.SoftPaused))
		t.expectSuccess(h, backup, embedded.SoftPaused)
		t.expectSuccess(h, route.Pause(t.Context(), soft()), embedded.SoftPaused)
		// Where the loop looks in the middle of the resume it cannot tell it from lost disks. Then the operator tries again.
		servertest.Await(t, "the anonymous hold is released", func() bool {
			s := t.status(h)
			if len(s.GetHolds()) == 2 && s.GetSettled() && h.AllIn(embedded.SoftPaused) {
				t.behind(h, embedded.Exporting)
			}
			return len(s.GetHolds()) == 1
		})
		t.awaitQuiet(h, embedded.SoftPaused)
		t.expectHolds(h, backup.Hold)
		t.expectEnded(h, "operator", exportgatev1.HoldEnd_HOLD_END_RESUMED_ELSEWHERE)
		s := t.status(h)
		if !slices.Contains(kinds(s.GetEvents(), ""), exportgatev1.EventKind_EVENT_KIND_REPAUSED) ||
			!slices.Contains(kinds(s.GetEvents(), "backup-1"), exportgatev1.EventKind_EVENT_KIND_HOLD_BROKEN) {
			t.Errorf("the events are %v", s.GetEvents())
		}
		if got := s.GetHolds()[0].GetContinuity(); got != exportgatev1.Continuity_CONTINUITY_BROKEN {
			t.Errorf("the continuity is %v", got)
		}
		var first servertest.Outcome
		for i := range 2 {
			o := route.Resume(t.Context(), release("backup-1"))
			t.expect(o, codes.FailedPrecondition, broken)
			if i == 0 {
				first = o
			}
			if o.Message != first.Message || !strings.Contains(o.Metadata["evidence"], "EXPORTING") {
				t.Errorf("the answer is %v, and again %v", first, o)
			}
		}
		t.awaitQuiet(h, embedded.Exporting)
	})
}

// With on-foreign-change=observe a foreign resume is only told.
func TestAForeignResumeIsOnlyTold(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.9", "8.10"}, func(t try) {
		h, route := t.start(embedded.Options{ApplyDelay: -1}, map[string]string{"exporting.on-foreign-change": "observe"})
		backup := route.Pause(t.Context(), place("backup-1", embedded.SoftPaused))
		t.expectSuccess(h, backup, embedded.SoftPaused)
		t.resumeUntilLeft(h, embedded.SoftPaused)
		h.Cluster.Broker(1).Stop() // That changes nothing of it.
		t.awaitReads(h)
		if !has(h, 0, embedded.Exporting) || !has(h, 2, embedded.Exporting) {
			t.Errorf("it is undone where a broker stops: %+v", h.Cluster.Replicas())
		}
		t.heal(h)
		t.awaitReads(h)
		if !h.AllIn(embedded.Exporting) {
			t.Errorf("it is undone where a broker starts: %+v", h.Astray(embedded.Exporting))
		}
		t.expectHolds(h, backup.Hold)
		t.expect(route.Resume(t.Context(), release("backup-1")), codes.FailedPrecondition, broken)
		t.awaitQuiet(h, embedded.Exporting)
	})
}

// A pause is a wish of the moment, whoever resumed before: by the hold's own name as by another, also after a restart. To
// renew by uid is none, and says that nothing is paused.
func TestAPauseAfterAForeignResume(t *testing.T) {
	t.Parallel()
	for _, phase := range []embedded.Phase{embedded.Paused, embedded.SoftPaused} {
		t.Run(string(phase), func(t *testing.T) {
			t.Parallel()
			on(t, []string{"8.8", "8.10"}, func(t try) {
				h, route := t.start(embedded.Options{ApplyDelay: -1}, map[string]string{"exporting.on-foreign-change": "observe"}, within("10s"))
				backup := route.Pause(t.Context(), place("backup-1", phase))
				t.expectSuccess(h, backup, phase)
				uid := backup.Hold.GetUid()

				t.resumeUntilLeft(h, phase)
				extended := route.Pause(t.Context(), renew(uid, 2*time.Hour))
				t.expectNotSettled(extended, "1")
				if extended.Metadata["outcome"] != "unenforced" || !h.AllIn(embedded.Exporting) {
					t.Errorf("renewed by uid: %v; %+v", extended, h.Cluster.Replicas())
				}
				t.expectInsisted(h, route.Pause(t.Context(), place("backup-1", phase)), phase, uid)
				extended = route.Pause(t.Context(), renew(uid, 3*time.Hour))
				t.expectSuccess(h, extended, phase)

				t.resumeUntilLeft(h, phase)
				h.Restart(t)
				t.awaitReads(h)
				if s := t.status(h); !h.AllIn(embedded.Exporting) || !warned(s) {
					t.Errorf("after a restart: %v; %+v", s.GetWarnings(), h.Cluster.Replicas())
				}
				route = h.Route(t, t.door)
				t.expectInsisted(h, route.Pause(t.Context(), place("backup-1", phase)), phase, uid)

				t.resumeUntilLeft(h, phase)
				t.expectSuccess(h, route.Pause(t.Context(), place("backup-2", phase)), phase)
				t.expect(route.Resume(t.Context(), release("backup-1")), codes.FailedPrecondition, broken)
				t.awaitQuiet(h, phase)
				t.expectSuccess(h, route.Resume(t.Context(), force()), embedded.Exporting)
			})
		})
	}
}

// expectInsisted ends the test unless a renewal has paused again what somebody resumed, which has broken the hold.
func (t try) expectInsisted(h *servertest.Harness, o servertest.Outcome, phase embedded.Phase, uid string) {
	t.Helper()
	t.expectSuccess(h, o, phase)
	if o.Hold.GetUid() != uid || o.Hold.GetContinuity() != exportgatev1.Continuity_CONTINUITY_BROKEN {
		t.Errorf("the renewed hold is %v", o.Hold)
	}
	t.awaitReads(h)
	if s := t.status(h); !s.GetSettled() || warned(s) || !h.AllIn(phase) {
		t.Errorf("the status is %v", s)
	}
	h.Cluster.Broker(1).Stop() // It comes back paused, or is paused.
	t.heal(h)
	t.awaitQuiet(h, phase)
}

// warned reports whether a status says that the holds are not enforced.
func warned(s *exportgatev1.Status) bool {
	return slices.ContainsFunc(s.GetWarnings(), func(w string) bool { return strings.Contains(w, "not enforced") })
}

// resumeUntilLeft resumes at the brokers until the server does not undo it any more, and returns how often.
func (t try) resumeUntilLeft(h *servertest.Harness, phase embedded.Phase) (tries int) {
	t.Helper()
	servertest.Await(t, "a foreign resume is left alone", func() bool {
		s := t.status(h)
		if s.GetSettled() && h.AllIn(phase) {
			t.awaitReads(h) // The loop must have seen that, else it goes on undoing the last one.
			t.behind(h, embedded.Exporting)
			tries++
		}
		return warned(s)
	})
	writes := len(h.Cluster.Writes())
	t.awaitReads(h)
	if !h.AllIn(embedded.Exporting) || len(h.Cluster.Writes()) != writes {
		t.Errorf("it is undone: %+v", h.Cluster.Writes()[writes:])
	}
	s := t.status(h)
	if s.GetSettled() || s.GetTarget() != phaseOf(phase) || s.GetObserved() != phaseOf(embedded.Exporting) || !warned(s) {
		t.Errorf("the status is %v", s)
	}
	foreign := func(e *exportgatev1.Event) bool { return e.GetKind() == exportgatev1.EventKind_EVENT_KIND_FOREIGN }
	if !slices.ContainsFunc(s.GetEvents(), foreign) {
		t.Errorf("the events are %v", s.GetEvents())
	}
	return tries
}

// Somebody who resumes again and again wants something. The sixth time within an hour nobody fights any more.
func TestAForeignResumeIsUndoneFiveTimes(t *testing.T) {
	t.Parallel()
	on(t, []string{"8.9"}, func(t try) {
		h, route := t.start(embedded.Options{ApplyDelay: -1})
		t.expectSuccess(h, route.Pause(t.Context(), place("backup-1", embedded.SoftPaused)), embedded.SoftPaused)
		// There may be more: those that the loop saw half done do not count, for it cannot tell them from lost disks.
		if tries := t.resumeUntilLeft(h, embedded.SoftPaused); tries < 6 {
			t.Errorf("it was left alone after %d tries", tries)
		}
		t.expectSuccess(h, route.Resume(t.Context(), force()), embedded.Exporting)
		t.expectSuccess(h, route.Pause(t.Context(), place("backup-2", embedded.SoftPaused)), embedded.SoftPaused)
	})
}
