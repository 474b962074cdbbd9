package embedded

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Fault is one way in which a broker misbehaves; see the functions that return one. Faults compose: a broker has any
// number of them, and of those that answer requests the first comes first.
type Fault struct {
	name string
	// answer answers a request in the broker's place, or lets next do it.
	answer func(x exchange)
	// show changes what GET partitions shows.
	show func(statuses []*partitionStatus)
	// asked is told of each phase that the broker is asked for.
	asked func(Phase)
	// swallow: the broker's replicas follow no change of phase.
	swallow bool
	closed  bool
	// inactive is the partition whose replica is inactive, 0 for none.
	inactive int
	delay    time.Duration
	// free is the part of the disk that is left, in percent; nil leaves it as it is.
	free *float64
}

// String is the fault's name, for people.
func (f Fault) String() string { return f.name }

// exchange is a request and what may be done about it.
type exchange struct {
	w        http.ResponseWriter
	r        *http.Request
	next     http.Handler
	replaced <-chan struct{} // closed when the broker gets other faults
}

func (x exchange) pass() { x.next.ServeHTTP(x.w, x.r) }

// wait returns whether a delay has passed with the caller still there and the fault still set.
func (x exchange) wait(delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-x.r.Context().Done():
	case <-x.replaced:
	case <-timer.C:
		return true
	}
	return false
}

// Hang accepts requests and never answers them. When the fault is cleared their connections are cut.
func Hang() Fault {
	return Fault{name: "hang", answer: func(x exchange) {
		select {
		case <-x.r.Context().Done():
		case <-x.replaced:
		}
		cut(x.w)
	}}
}

// Answer answers every request with the same status, media type and body.
func Answer(status int, mediaType, body string) Fault {
	return Fault{name: fmt.Sprintf("answer %d", status), answer: func(x exchange) {
		x.w.Header().Set("Content-Type", mediaType)
		x.w.WriteHeader(status)
		_, _ = io.WriteString(x.w, body) // a caller that has gone misses nothing
	}}
}

// Status answers every request with a status and an error as Spring words it.
func Status(status int) Fault {
	return Answer(status, "application/json", fmt.Sprintf(
		`{"timestamp":"2026-01-01T00:00:00.000+00:00","status":%d,"error":%q}`, status, http.StatusText(status),
	))
}

// Empty answers `{}` with 200 after a delay, as a broker does that cannot speak for all its partitions (zeebe-facts.md
// 4.1; in Zeebe the delay is 5s).
func Empty(delay time.Duration) Fault {
	return named(fmt.Sprintf("empty after %s", delay), Slow(delay), Answer(http.StatusOK, actuatorJSON, "{}"))
}

// HTML answers every request with a page and 200, as a wrong port or a login page does.
func HTML() Fault {
	return named("html", Answer(http.StatusOK, "text/html", "<!doctype html><html><body>Please sign in.</body></html>"))
}

// Garbage answers every request with bytes that are no JSON, and 200.
func Garbage() Fault {
	return named("garbage", Answer(http.StatusOK, actuatorJSON, "\x00\xff\xfe{]\x1b[31m\xc3\x28"))
}

// Truncated answers with the first half of the true answer.
func Truncated() Fault {
	return Fault{name: "truncated", answer: func(x exchange) {
		whole := newRecorder(x.w)
		x.next.ServeHTTP(whole, x.r)
		maps.Copy(x.w.Header(), whole.header)
		x.w.Header().Del("Content-Length")
		x.w.WriteHeader(max(whole.status, http.StatusOK))
		_, _ = x.w.Write(whole.body.Bytes()[:whole.body.Len()/2]) // a caller that has gone misses nothing
	}}
}

// Slow gives every true answer after a delay.
func Slow(delay time.Duration) Fault {
	return Fault{name: fmt.Sprintf("slow by %s", delay), answer: func(x exchange) {
		if !x.wait(delay) {
			cut(x.w)
			return
		}
		x.pass()
	}}
}

// Swallow answers writes as if they were done, and no replica of the broker changes its phase: below 8.10 that is
// what a full disk does (zeebe-facts.md 3.5 a). From 8.10 on the broker also reports its part of a change plan as
// done, and catches up with the configuration when the fault is cleared.
func Swallow() Fault { return Fault{name: "swallow", swallow: true} }

// Late makes the broker's replicas follow each change later by a delay, though it was answered; from 8.10 on also
// though the change plan is completed (zeebe-facts.md 2.5).
func Late(delay time.Duration) Fault {
	return Fault{name: fmt.Sprintf("late by %s", delay), delay: delay}
}

// ShowOnce swallows writes, as [Swallow] does, but after each the next GET partitions shows the phase that was asked
// for.
func ShowOnce() Fault {
	var pending Phase // guarded by the cluster's lock, as all hooks but answer are called with it
	return Fault{
		name: "show once", swallow: true,
		asked: func(phase Phase) { pending = phase },
		show: func(statuses []*partitionStatus) {
			if pending != "" {
				setPhases(statuses, pending)
			}
			pending = ""
		},
	}
}

// InactiveReplica makes the broker's replica of a partition inactive: it does not lead, export or follow, and shows the
// role INACTIVE. Its phase can still be changed.
func InactiveReplica(partition int) Fault {
	return Fault{name: fmt.Sprintf("partition %d inactive", partition), inactive: partition}
}

// Flicker shows PAUSED on the next read and CLOSED on the one after, as the closing director does during a change of
// role though nobody paused anything (zeebe-facts.md 4.1), and then the truth.
func Flicker() Fault {
	shown := []Phase{Paused, Closed} // guarded by the cluster's lock
	return Fault{name: "flicker", show: func(statuses []*partitionStatus) {
		if len(shown) > 0 {
			setPhases(statuses, shown[0])
			shown = shown[1:]
		}
	}}
}

// CloseDirectors closes the exporter directors of the broker for good: nothing is exported, and the phase is CLOSED.
func CloseDirectors() Fault { return Fault{name: "closed", closed: true} }

// FailSome fails a fraction of all requests, half of them with 500 before they do anything, half by cutting the
// connection after they did what they do. The seed decides which, so that a test can be repeated.
func FailSome(fraction float64, seed uint64) Fault {
	var mu sync.Mutex
	next := func() uint64 { // splitmix64
		mu.Lock()
		defer mu.Unlock()
		seed += 0x9e3779b97f4a7c15
		z := seed
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	refuse := Status(http.StatusInternalServerError)
	return Fault{name: fmt.Sprintf("fail %g of requests", fraction), answer: func(x exchange) {
		z := next()
		switch fails := float64(z>>11)/(1<<53) < fraction; {
		case !fails:
			x.pass()
		case z&1 == 0:
			refuse.answer(x)
		default:
			x.next.ServeHTTP(newRecorder(x.w), x.r)
			cut(x.w)
		}
	}}
}

// OnReads limits a fault that answers requests to GET, OnWrites to the others.
func OnReads(f Fault) Fault {
	return limited(f, "reads: ", func(r *http.Request) bool { return r.Method == http.MethodGet })
}

// OnWrites limits a fault that answers requests to those that ask for a change.
func OnWrites(f Fault) Fault {
	return limited(f, "writes: ", func(r *http.Request) bool { return r.Method != http.MethodGet })
}

// First limits a fault that answers requests to the next n of them.
func First(n int, f Fault) Fault {
	var mu sync.Mutex
	return limited(f, fmt.Sprintf("next %d: ", n), func(*http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		n--
		return n >= 0
	})
}

func limited(f Fault, name string, applies func(*http.Request) bool) Fault {
	answer := f.answer
	f.name = name + f.name
	f.answer = func(x exchange) {
		if answer == nil || !applies(x.r) {
			x.pass()
			return
		}
		answer(x)
	}
	return f
}

// named is one fault made of two that answer requests.
func named(name string, list ...Fault) Fault {
	return Fault{name: name, answer: func(x exchange) {
		next := x.next
		for _, f := range slices.Backward(list) {
			next = f.before(next, x.replaced)
		}
		next.ServeHTTP(x.w, x.r)
	}}
}

// before is the fault as a middleware.
func (f Fault) before(next http.Handler, replaced <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.answer(exchange{w: w, r: r, next: next, replaced: replaced})
	})
}

func setPhases(statuses []*partitionStatus, phase Phase) {
	for _, s := range statuses {
		s.ExporterPhase = phase
	}
}

// faults are the faults of a broker at one time.
type faults struct {
	list     []Fault
	replaced chan struct{}
}

func newFaults(list []Fault) faults { return faults{list: list, replaced: make(chan struct{})} }

// serve needs no lock.
func (f faults) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	for _, fault := range slices.Backward(f.list) {
		if fault.answer != nil {
			next = fault.before(next, f.replaced)
		}
	}
	next.ServeHTTP(w, r)
}

// refuses tells every fault of a phase that is asked for, and reports whether one swallows it.
func (f faults) refuses(phase Phase) bool {
	swallow := false
	for _, fault := range f.list {
		if fault.asked != nil {
			fault.asked(phase)
		}
		swallow = swallow || fault.swallow
	}
	return swallow
}

func (f faults) show(statuses []*partitionStatus) {
	for _, fault := range f.list {
		if fault.show != nil {
			fault.show(statuses)
		}
	}
}

func (f faults) delay() time.Duration {
	var delay time.Duration
	for _, fault := range f.list {
		delay += fault.delay
	}
	return delay
}

func (f faults) inactive(partition int) bool {
	for _, fault := range f.list {
		if fault.inactive == partition {
			return true
		}
	}
	return false
}

func (f faults) closed() bool {
	for _, fault := range f.list {
		if fault.closed {
			return true
		}
	}
	return false
}

// cut closes a request's connection without an answer.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // there is no connection any more
	}
	_ = conn.Close()
}

// recorder keeps an answer instead of sending it.
type recorder struct {
	w      http.ResponseWriter
	header http.Header
	status int
	body   bytes.Buffer
}

func newRecorder(w http.ResponseWriter) *recorder { return &recorder{w: w, header: http.Header{}} }

// Unwrap lets the connection be cut all the same.
func (r *recorder) Unwrap() http.ResponseWriter { return r.w }

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorder) WriteHeader(status int)      { r.status = status }
