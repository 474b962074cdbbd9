package proxies

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// The model is the ledger as its callers see it, one hold's name at a time: what concerns all names, such as a resume by
// force, is an operation on each of them. It knows of a hold only what answers tell. A hold may be live whose uid nobody was
// told, and some holds end by themselves: those that may be withdrawn, and those whose time may be over.

// verb is what a caller asks for.
type verb string

const (
	place   verb = "pause"
	renew   verb = "renew"
	release verb = "resume"
	force   verb = "force"
	read    verb = "look"
)

// told is what a caller was told.
type told string

const (
	nothing    told = "?"                // it is not known whether it happened, and when
	done       told = "done"             // to the hold of the answer; or there was none
	effective  told = "effective"        // it happened, and more is not known
	perhaps    told = "perhaps"          // it may have happened, and will not
	broken     told = "HOLD_BROKEN"      // of a hold that is released, or had been taken away before
	expired    told = "HOLD_EXPIRED"     // as well
	notFound   told = "HOLD_NOT_FOUND"   // as well
	othersLive told = "HELD_BY_OTHERS"   // this name is among the others that live
	othersDone told = "not held by this" // it is not
)

// input is what is asked of one name.
type input struct {
	verb verb
	uid  string        // to renew
	keep bool          // it is not to be withdrawn
	ttl  time.Duration // zero is longer than the test
	// from and by are the time in which it happened if it did.
	from, by time.Duration
}

// output is what was answered.
type output struct {
	told told
	uid  string
}

// never is later than everything.
const never = time.Duration(math.MaxInt64)

// slack is how far clocks may disagree about an expiry: the servers' wall clock, and the monotonic one of the test.
const slack = 200 * time.Millisecond

// anonymous is a live hold whose uid nobody was told.
const anonymous = "?"

// ledger is one name's state.
type ledger struct {
	live  string // the uid; empty if none is
	loose bool   // it may be withdrawn
	// It may expire from an instant on, and has expired after another.
	mayExpire, mustExpire time.Duration
	ended                 []past // the last one last
}

// past is a hold that has ended.
type past struct {
	uid string
	how how
}

// how a hold has ended, as far as it is told.
type how string

const (
	released how = "released" // and all was well
	worth0   how = "broken"   // released, and broken
	either   how = "either"   // released, and nobody was told more
	taken    how = "taken"    // forced or withdrawn
	overdue  how = "expired"
)

// fresh reports whether a uid can be that of the live hold.
func (l *ledger) fresh(uid string) bool {
	return l.live == uid || l.live == anonymous && !slices.ContainsFunc(l.ended, func(p past) bool { return p.uid == uid })
}

// end ends the live hold, if there is one.
func (l *ledger) end(how how) {
	if l.live != "" {
		l.ended = append(slices.Clip(l.ended), past{l.live, how})
		l.live, l.loose, l.mayExpire, l.mustExpire = "", false, 0, 0 // Equal states are tried once.
	}
}

// extend is what a placing or a renewal does to the live hold.
func (l *ledger) extend(in input) {
	from, by := in.from, in.by
	switch {
	case in.ttl == 0:
		from, by = never, never
	case by != never:
		by += in.ttl + slack
		fallthrough
	default:
		from += in.ttl - slack
	}
	l.mayExpire, l.mustExpire = max(l.mayExpire, from), max(l.mustExpire, by)
}

// before are the states that one may have become by itself when something happens.
func (l *ledger) before(in input) []ledger {
	if l.live == "" {
		return []ledger{*l}
	}
	var states []ledger
	if in.from <= l.mustExpire {
		states = append(states, *l)
	}
	if l.loose {
		states = append(states, *l)
		states[len(states)-1].end(taken)
	}
	if l.mayExpire != never && in.by >= l.mayExpire {
		states = append(states, *l)
		states[len(states)-1].end(overdue)
	}
	return states
}

// step does one thing, and reports whether that can have been answered so.
func (l *ledger) step(in input, out output) bool {
	switch in.verb {
	case place:
		return l.place(in, out)
	case renew:
		return l.renew(in, out)
	case release:
		return l.release(out)
	case force:
		fits := out.told != done || out.uid == l.live || out.uid != "" && l.fresh(out.uid)
		l.live = cmp.Or(out.uid, l.live)
		l.end(taken)
		return fits
	case read:
		return out.uid == l.live || out.uid != "" && l.fresh(out.uid)
	}
	return false
}

func (l *ledger) place(in input, out output) bool {
	placed := l.live == ""
	if placed {
		l.live, l.loose = anonymous, true
	}
	l.loose = l.loose && !in.keep
	l.extend(in)
	if out.told == done {
		if !l.fresh(out.uid) {
			return false
		}
		l.live, l.loose = out.uid, false // It has settled by then.
	}
	return true
}

func (l *ledger) renew(in input, out output) bool {
	end := how("")
	for _, p := range l.ended {
		if p.uid == in.uid {
			end = p.how
		}
	}
	switch out.told { //nolint:exhaustive // The rest are no answers to this.
	case nothing:
		if l.live == in.uid {
			l.extend(in)
		}
		return true
	case done, effective:
		l.extend(in)
		return l.live == in.uid && (out.uid == in.uid || out.told == effective)
	case notFound:
		return end == released || end == worth0 || end == either
	case broken:
		return end == taken
	case expired:
		if in.ttl > 0 && l.live == in.uid { // It has expired since.
			l.extend(in)
			return true
		}
		return end == overdue
	}
	return false
}

func (l *ledger) release(out output) bool {
	live := l.live != ""
	switch out.told { //nolint:exhaustive // The rest are no answers to this.
	case nothing, effective:
		l.end(either)
		return true
	case othersLive:
		return live
	case othersDone:
		return !live
	case done:
		if out.uid == "" {
			return !live
		}
		if live {
			fits := l.fresh(out.uid)
			l.live = out.uid
			l.end(released)
			return fits
		}
	case broken:
		if live {
			l.end(worth0)
			return true
		}
	case expired, notFound:
		if live {
			return false
		}
	}
	return l.repeats(out)
}

// repeats reports whether the answer to a release is that of the hold that ended last, and takes notice of what it tells.
func (l *ledger) repeats(out output) bool {
	if len(l.ended) == 0 {
		return out.told == notFound
	}
	last := l.ended[len(l.ended)-1]
	switch {
	case out.told == done && (last.how == released || last.how == either) && (last.uid == out.uid || last.uid == anonymous):
		last = past{out.uid, released}
	case out.told == broken && (last.how == worth0 || last.how == either):
		last.how = worth0
	case out.told == broken && last.how == taken, out.told == expired && last.how == overdue:
	default:
		return false
	}
	l.ended = append(slices.Clone(l.ended[:len(l.ended)-1]), last)
	return true
}

func (l *ledger) String() string {
	return fmt.Sprintf("live %q, loose %t, %d ended", l.live, l.loose, len(l.ended))
}

// model is the model for the checker.
func model() porcupine.Model {
	nondeterministic := porcupine.NondeterministicModel{
		Init: func() []any { return []any{ledger{}} },
		Step: func(state, in, out any) []any {
			before, asked, answered := as[ledger](state), as[input](in), as[output](out)
			var next []any
			for _, l := range before.before(asked) {
				if answered.told == perhaps {
					next = append(next, l)
				}
				if l.step(asked, answered) {
					next = append(next, l)
				}
			}
			return next
		},
		Equal: func(a, b any) bool {
			x, y := as[ledger](a), as[ledger](b)
			return x.live == y.live && x.loose == y.loose && x.mayExpire == y.mayExpire && x.mustExpire == y.mustExpire &&
				slices.Equal(x.ended, y.ended)
		},
		Hash: func(state any) uint64 {
			l, h := as[ledger](state), fnv.New64a()
			_, _ = fmt.Fprint(h, l.live, l.loose, l.mayExpire, l.ended[max(0, len(l.ended)-3):]) // It does not fail.
			return h.Sum64()
		},
		DescribeOperation: func(in, out any) string { return describe(as[input](in), as[output](out)) },
		DescribeState:     func(state any) string { l := as[ledger](state); return l.String() },
	}
	return nondeterministic.ToModel()
}

func describe(in input, out output) string {
	words := []string{string(in.verb)}
	if in.verb == renew {
		words = append(words, in.uid)
	}
	if in.verb == place && !in.keep {
		words = append(words, "or revert")
	}
	return strings.Join(append(words, "->", string(out.told), out.uid), " ")
}

// as is a value that the checker hands back.
func as[T any](value any) T {
	t, _ := value.(T)
	return t
}
