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

// ledger is one name's state. It can be compared.
type ledger struct {
	live  string // the uid; empty if none is
	loose bool   // it may be withdrawn
	// It may expire from an instant on, and has expired after another.
	mayExpire, mustExpire time.Duration
	ended                 string // how holds have ended, a line each, with the uid in front; the last one last
	// Calls without an answer, each of which may still take effect, once: those that place, and those that end. Equal ones
	// are only counted: which of them does makes no difference, and the checker would try them all.
	placings, endings int
	brief             bool // what they place may expire
}

// how a hold has ended, as far as it is told.
type how string

const (
	released how = "released" // and all was well
	worth0   how = "broken"   // released, and broken
	either   how = "either"   // released, and nobody was told more
	taken    how = "taken"    // forced or withdrawn
	lost     how = "lost"     // released or forced by a call without an answer
	overdue  how = "expired"
)

// fresh reports whether a uid can be that of the live hold.
func (l *ledger) fresh(uid string) bool {
	return l.live == uid || l.live == anonymous && l.endOf(uid) == ""
}

// endOf is how a hold has ended; empty if it has not.
func (l *ledger) endOf(uid string) how {
	_, rest, _ := strings.Cut(l.ended, uid+" ")
	end, _, _ := strings.Cut(rest, "\n")
	return how(end)
}

// cut takes the last that has ended away.
func (l *ledger) cut() (uid string, end how) {
	lines := strings.TrimSuffix(l.ended, "\n")
	i := strings.LastIndex(lines, "\n") + 1
	uid, word, _ := strings.Cut(lines[i:], " ")
	l.ended = l.ended[:i]
	return uid, how(word)
}

// end ends the live hold, if there is one. Of those whose uid nobody knows only the last one matters.
func (l *ledger) end(how how) {
	if l.live == "" {
		return
	}
	before := l.ended
	if uid, _ := l.cut(); uid != anonymous {
		l.ended = before
	}
	l.ended += l.live + " " + string(how) + "\n"
	l.live, l.loose, l.mayExpire, l.mustExpire = "", false, 0, 0 // Equal states are tried once.
}

// extend is what a placing or a renewal does to the live hold.
func (l *ledger) extend(in input) {
	from, by := in.from, in.by
	if in.ttl == 0 {
		from, by = never, never
	} else {
		from, by = from+in.ttl-slack, by+in.ttl+slack
	}
	l.mayExpire, l.mustExpire = max(l.mayExpire, from), max(l.mustExpire, by)
}

// before are the states that one may have become by itself when something happens.
func (l *ledger) before(in input) []ledger {
	var states []ledger
	for next := []ledger{*l}; len(next) > 0; next = next[1:] {
		if s := next[0]; !slices.Contains(states, s) {
			states = append(states, s)
			next = append(next, s.become(in.by)...)
		}
	}
	return slices.DeleteFunc(states, func(s ledger) bool {
		return s.live != "" && in.from > s.mustExpire && s.placings == 0 // Those may have renewed it.
	})
}

// become are the states that one may become in one step until an instant.
func (l *ledger) become(by time.Duration) []ledger {
	var states []ledger
	add := func(change func(*ledger)) {
		s := *l
		change(&s)
		states = append(states, s)
	}
	if l.live == "" {
		if l.placings > 0 {
			add(func(s *ledger) {
				s.placings--
				s.live, s.loose, s.mayExpire, s.mustExpire = anonymous, true, never, never
				if s.brief {
					s.mayExpire = 0
				}
			})
		}
		return states
	}
	if l.loose {
		add(func(s *ledger) { s.end(taken) })
	}
	if l.mayExpire != never && by >= l.mayExpire {
		add(func(s *ledger) { s.end(overdue) })
	}
	if l.endings > 0 {
		add(func(s *ledger) { s.endings--; s.end(lost) })
	}
	return states
}

// open takes notice of a call without an answer.
func (l *ledger) open(in input) {
	switch in.verb {
	case place:
		l.placings++
		l.brief = in.ttl > 0
	case renew:
		if l.live == in.uid {
			l.mustExpire = never
		}
	case release, force:
		l.endings++
	case read:
	}
}

// step does one thing, and reports whether that can have been answered so.
func (l *ledger) step(in input, out output) bool {
	if out.told == nothing {
		l.open(in)
		return true
	}
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
	end := l.endOf(in.uid)
	switch out.told { //nolint:exhaustive // The rest are no answers to this.
	case done, effective:
		l.extend(in)
		return l.live == in.uid && (out.uid == in.uid || out.told == effective)
	case notFound:
		return end == released || end == worth0 || end == either || end == lost
	case broken:
		return end == taken || end == lost
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
	case effective:
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
	if l.ended == "" {
		return out.told == notFound
	}
	uid, end := l.cut()
	switch {
	case out.told == done && (end == released || end == either || end == lost) && (uid == out.uid || uid == anonymous):
		uid, end = out.uid, released
	case out.told == broken && (end == worth0 || end == either):
		end = worth0
	case out.told == broken && (end == taken || end == lost), out.told == expired && end == overdue:
	default:
		return false
	}
	l.ended += uid + " " + string(end) + "\n"
	return true
}

// model is the model for the checker. Its state is all that the ledger may be, by what was told.
func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return []ledger{{}} },
		Step: func(state, in, out any) (bool, any) {
			var next []ledger
			for _, before := range as[[]ledger](state) {
				for _, l := range before.before(as[input](in)) {
					if as[output](out).told == perhaps {
						next = append(next, l)
					}
					if l.step(as[input](in), as[output](out)) {
						next = append(next, l)
					}
				}
			}
			next = capable(next)
			return len(next) > 0, next
		},
		Equal: func(a, b any) bool {
			x, y := as[[]ledger](a), as[[]ledger](b)
			return len(x) == len(y) && !slices.ContainsFunc(x, func(l ledger) bool { return !slices.Contains(y, l) })
		},
		Hash: func(state any) (sum uint64) {
			for _, l := range as[[]ledger](state) {
				h := fnv.New64a()
				_, _ = fmt.Fprint(h, l) // It does not fail.
				sum += h.Sum64()
			}
			return sum
		},
		DescribeOperation: func(in, out any) string { return describe(as[input](in), as[output](out)) },
		DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
	}
}

// capable leaves out of equal states those that can only become what another one can, too.
func capable(states []ledger) []ledger {
	best := map[ledger][]ledger{} // by what they are without the calls that may still take effect
	for _, s := range states {
		core := s
		core.placings, core.endings = 0, 0
		worse := func(than ledger) func(ledger) bool {
			return func(l ledger) bool { return l.placings <= than.placings && l.endings <= than.endings }
		}
		if slices.ContainsFunc(best[core], func(l ledger) bool { return worse(l)(s) }) {
			continue
		}
		best[core] = append(slices.DeleteFunc(best[core], worse(s)), s)
	}
	var all []ledger
	for _, s := range best {
		all = append(all, s...)
	}
	return all
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
