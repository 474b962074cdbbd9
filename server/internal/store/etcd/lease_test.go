package etcd

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const testTTL = 10 * time.Second // of which 9 count

func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Int32
		asked := time.Now()
		<-time.After(2 * time.Second) // The answer takes its time, which does not count.
		l := newLease(1, testTTL, asked, func(*lease) { ended.Add(1) })
		if want := asked.Add(9 * time.Second); !l.live() || !l.Until().Equal(want) {
			t.Fatalf("it ends at %v, want %v", l.Until(), want)
		}
		asked = time.Now()
		<-time.After(6 * time.Second)
		if !l.prolong(asked) || !l.Until().Equal(asked.Add(9*time.Second)) {
			t.Errorf("prolonged to %v, want %v", l.Until(), asked.Add(9*time.Second))
		}
		if !l.prolong(asked.Add(-time.Second)) || !l.Until().Equal(asked.Add(9*time.Second)) {
			t.Error("an answer that came late shortened it")
		}
		<-time.After(3*time.Second - 1)
		synctest.Wait()
		if !l.live() || ended.Load() != 0 {
			t.Error("it is over early")
		}
		<-time.After(1)
		synctest.Wait()
		if l.live() || ended.Load() != 1 {
			t.Error("it is not over")
		}
		if l.prolong(time.Now()) || l.live() {
			t.Error("it came back")
		}
	})
}

func TestLeaseThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLease(1, testTTL, time.Now(), func(*lease) { t.Error("it was told to who ended it") })
		<-time.After(time.Second)
		l.end()
		if l.live() || l.Until().After(time.Now()) || l.prolong(time.Now()) {
			t.Errorf("it lives until %v", l.Until())
		}
		<-time.After(testTTL)
		l.end()
		if want := time.Now().Add(-testTTL); !l.Until().Equal(want) {
			t.Errorf("it ended at %v, want %v", l.Until(), want)
		}
	})
}

// A lease whose grant took longer than it lasts was never one.
func TestLeaseThatIsOverAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan *lease, 1)
		l := newLease(1, testTTL, time.Now().Add(-testTTL), func(l *lease) { ended <- l })
		if l.live() || <-ended != l {
			t.Error("it lives")
		}
	})
}

// A term is over when its lease is, without anybody having to notice, and whoever waits is told.
func TestTermEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newElection(nil, &Options{Name: "gate-0", Prefix: "/p", Logger: slog.New(slog.DiscardHandler)})
		_, ok, changed := e.Term()
		if ok {
			t.Fatal("it drives before it was elected")
		}
		l := newLease(1, testTTL, time.Now(), e.lose)
		e.win(l, 7)
		<-changed
		term, ok, changed := e.Term()
		if !ok || term.ID != 7 || term.Driver != "gate-0" || !term.Until().Equal(time.Now().Add(9*time.Second)) || e.termOf(l) != 7 {
			t.Fatalf("it drives: %v, in %+v", ok, term)
		}
		<-time.After(8 * time.Second)
		l.prolong(time.Now())
		if !term.Until().Equal(time.Now().Add(9 * time.Second)) {
			t.Errorf("the term was not prolonged: %v", term.Until())
		}
		select {
		case <-changed:
			t.Error("a prolongation is no change")
		default:
		}
		<-time.After(9 * time.Second) // No Wait: whatever runs first, the term is over.
		if _, ok, _ := e.Term(); ok {
			t.Error("it drives after the term")
		}
		<-changed
		if e.termOf(l) != 0 || term.Until().After(time.Now()) {
			t.Errorf("the term goes on until %v", term.Until())
		}
		e.win(l, 8)
		if _, ok, _ := e.Term(); ok {
			t.Error("it drives under a lease that is over")
		}
	})
}
