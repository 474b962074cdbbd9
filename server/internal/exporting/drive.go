package exporting

import (
	"context"
	"sync"
	"time"
)

// brief is how much longer than the confirm interval a pass may last and still count as one moment.
const brief = time.Second

// Drive brings every replica to the goal and returns the view that proves it; or, with an error, what is known by then:
// soon after the context ends, and when a broker refuses a write for good ([*UnsafeTransitionError],
// [*SoftPauseUnsupportedError]).
//
// Each broker is followed by a goroutine of its own: read, write if need be, read back until it was seen twice in what
// the goal wants. So a broker that hangs delays no other, and none is given up because another failed. Tries repeat for as
// long as the drive lasts, ever more slowly up to the retry interval; and so does the whole pass, because a broker that
// followed may restart, and the cluster may change, while another is waited for.
func (f *Fanout) Drive(ctx context.Context, goal Goal) (*View, error) {
	following, stop := context.WithCancelCause(ctx)
	d := &drive{
		f: f, ctx: following, stop: stop, goal: goal, began: time.Now(),
		followers: map[BrokerID]*follower{}, news: make(chan struct{}, 1),
	}
	defer d.wg.Wait()
	defer stop(nil)

	again := newBackoff(lastTry)
	for following.Err() == nil {
		began := time.Now()
		topology := f.Discover(following)
		if topology == nil {
			sleep(following, again.NextBackOff(), nil)
			continue
		}
		d.follow(topology)
		// Enough for brokers that answer as slowly as they did lately to be read twice: a pass that is always too short would
		// never prove anything.
		if !d.await(max(f.opts.RetryInterval, 2*f.slowest()+f.opts.ConfirmInterval+brief)) {
			continue
		}
		// Every broker was confirmed since the topology was read. If that took long, because one was late, the others may
		// have changed meanwhile: look at all once more.
		v := f.View()
		if time.Since(began) > f.opts.ConfirmInterval+brief && !d.clean() {
			continue
		}
		if len(v.Unsettled(goal, f.opts.ConfirmInterval)) == 0 {
			return v, nil
		}
		sleep(following, again.NextBackOff(), nil)
	}
	return f.View(), context.Cause(following)
}

// drive is one run towards a goal.
type drive struct {
	f     *Fanout
	ctx   context.Context
	stop  context.CancelCauseFunc // with a refusal
	goal  Goal
	began time.Time
	wg    sync.WaitGroup
	news  chan struct{} // capacity 1: a broker was confirmed

	mu        sync.Mutex
	followers map[BrokerID]*follower
}

// follower is the goroutine that follows one broker. Guarded by drive.mu, but for poke.
type follower struct {
	broker    Broker
	lever     Lever
	stop      context.CancelFunc
	poke      chan struct{} // capacity 1: read again now
	pass      int           // counts up
	reads     int           // in this pass
	confirmed bool          // in this pass
}

// follow begins a pass: every broker of the topology is read anew; those that are new get a follower, those that are
// gone lose theirs.
func (d *drive) follow(topology *Topology) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, fl := range d.followers {
		if _, ok := topology.Broker(id); !ok {
			fl.stop()
			delete(d.followers, id)
		}
	}
	for _, b := range topology.Brokers {
		lever, _ := topology.Lever(b.Lever)
		if fl, ok := d.followers[b.ID]; ok {
			fl.broker, fl.lever, fl.reads, fl.confirmed = b, lever, 0, false
			fl.pass++
			notify(fl.poke)
			continue
		}
		ctx, stop := context.WithCancel(d.ctx)
		fl := &follower{broker: b, lever: lever, stop: stop, poke: make(chan struct{}, 1)}
		d.followers[b.ID] = fl
		d.wg.Go(func() { d.run(ctx, fl) })
	}
}

// await waits until every broker is confirmed in this pass, and reports whether that came within the limit.
func (d *drive) await(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		if d.all(func(fl *follower) bool { return fl.confirmed }) {
			return true
		}
		select {
		case <-d.news:
		case <-timer.C:
			return false
		case <-d.ctx.Done():
			return false
		}
	}
}

// clean reports whether one read of each broker was enough for this pass.
func (d *drive) clean() bool {
	return d.all(func(fl *follower) bool { return fl.reads == 1 })
}

func (d *drive) all(is func(*follower) bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, fl := range d.followers {
		if !is(fl) {
			return false
		}
	}
	return true
}

// run reads its broker and moves it until the context ends.
func (d *drive) run(ctx context.Context, fl *follower) {
	tries := newBackoff(d.f.opts.RetryInterval)
	polls := newBackoff(d.f.opts.RetryInterval)
	for ctx.Err() == nil {
		d.mu.Lock()
		b, lever, pass := fl.broker, fl.lever, fl.pass
		d.mu.Unlock()
		o := d.f.read(ctx, b)
		met := o.Err == nil && d.goal.met(b.ID, o.Readings) && d.f.hasWord(lever.ID, d.goal.Want(b.ID))
		confirmed := met && o.Confirmed(d.f.opts.ConfirmInterval)
		d.mark(fl, pass, confirmed)
		switch {
		case o.Err != nil:
			sleep(ctx, d.pace(tries.NextBackOff()), fl.poke)
			continue
		case confirmed:
			select {
			case <-fl.poke:
			case <-ctx.Done():
			}
		case met:
			sleep(ctx, d.f.opts.ConfirmInterval-o.Read.Sub(o.Stable), nil)
		case lever.ID == "":
			sleep(ctx, d.pace(tries.NextBackOff()), fl.poke) // How to move it is not known yet.
			continue
		default:
			phase := d.goal.step(b.ID, lever, o.Readings, d.f.maySoften(lever.ID))
			written := d.f.pull(d.ctx, lever, phase, !showAll(o.Readings, phase), d.stop)
			wait := d.pace(polls.NextBackOff())
			if written != nil && !lever.Planned {
				wait = d.f.opts.RequestTimeout // It answers soon, and until then there is nothing to see.
			}
			if sleep(ctx, wait, written) {
				sleep(ctx, firstPoll, nil)
			}
			tries.Reset()
			continue
		}
		tries.Reset()
		polls.Reset()
	}
}

// mark records a read that began in a pass. One of an earlier pass proves nothing for this one.
func (d *drive) mark(fl *follower, pass int, confirmed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if fl.pass != pass {
		return
	}
	fl.reads++
	fl.confirmed = confirmed
	if confirmed {
		notify(d.news)
	}
}

// pace keeps waits short while somebody is likely to wait, and lets them grow later.
func (d *drive) pace(wait time.Duration) time.Duration {
	if time.Since(d.began) < time.Minute {
		return min(wait, lastTry)
	}
	return wait
}

// notify puts a token into a channel of capacity 1, unless there is one already.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sleep waits until d has passed, the context ends or wake is ready, and reports whether it was woken. A nil wake never is.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
		return true
	case <-ctx.Done():
	}
	return false
}
