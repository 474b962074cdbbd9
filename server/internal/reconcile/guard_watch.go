package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// DiskState is what is known of a broker's disk.
type DiskState struct {
	Broker exporting.BrokerID
	// Measurement is the last one: Err is why the disk could not be measured, and only where it is nil Disk counts.
	exporting.Measurement

	// Low is true from when too little was free until there is enough again.
	Low bool
}

// Disks is what is known of the brokers' disks, in the brokers' order. It asks nobody. It is empty where nothing is
// guarded, and while exporting is not paused: nothing is measured then.
func (r *Reconciler) Disks() []DiskState {
	g := r.diskGuard
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []DiskState
	for _, id := range inOrder(g.disks) {
		if d := g.disks[id]; !d.At.IsZero() {
			all = append(all, DiskState{Broker: id, Measurement: d.Measurement, Low: d.low})
		}
	}
	return all
}

// guardDisks measures the disks once an interval while a replica is paused, whoever paused it, until the context ends. It is
// no part of a pass, which lasts as long as a broker is dead.
func (r *Reconciler) guardDisks(ctx context.Context) {
	if r.diskGuard.Disks == nil {
		return
	}
	for sleep(ctx, jitter(r.opts.Interval)) {
		if !isPaused(r.opts.Fanout.View()) {
			r.diskGuard.rest()
			continue
		}
		measured := r.opts.Fanout.Measure(ctx, r.diskGuard.Disks)
		if ctx.Err() != nil {
			return
		}
		r.tellDisks(r.diskGuard.take(measured))
		if low, since := r.diskGuard.due(); len(low) > 0 && r.diskGuard.Release {
			r.endByGuard(ctx, low, since)
		}
	}
}

// tellDisks makes events of what measurements changed.
func (r *Reconciler) tellDisks(news diskNews) {
	tell := func(brokers []exporting.BrokerID, format string, args ...any) {
		if len(brokers) > 0 {
			r.event(EventDisk, "", format, append([]any{r.diskGuard.describe(brokers)}, args...)...)
		}
	}
	tell(news.low, "too little disk is free: %s; exporting.guard.min-free-disk is %s", r.diskGuard.MinFree)
	tell(news.room, "enough disk is free again: %s")
	tell(news.blind, "a disk cannot be measured, so that nobody notices when it runs full while exporting is paused: %s")
	tell(news.seen, "a disk can be measured again: %s")
}

// endByGuard resumes everything because brokers run out of disk, if that is for this server to do and not being done.
//
// The server that drives does it. Where the ledger is lost nobody can tell who that is, or nobody drives; then each server
// does that finds the disks low and exporting paused for longer than another would have taken.
func (r *Reconciler) endByGuard(ctx context.Context, low []exporting.BrokerID, since time.Time) {
	state, _ := r.opts.Ledger.State()
	if len(state.Holds) == 0 && state.Undo != nil && state.Undo.Restore == nil {
		return // It is being resumed.
	}
	term, driving, _ := r.drives()
	alone := r.opts.Ledger.Lost() && !r.opts.Ledger.Forced() && time.Since(since) >= stray+twice*r.opts.Interval
	if !driving && !alone {
		return
	}
	why := fmt.Sprintf("%s; exporting.guard.min-free-disk is %s", r.diskGuard.describe(low), r.diskGuard.MinFree)
	_, recorded, err := r.opts.Ledger.Guard(ctx, term.ID, why)
	switch {
	case err != nil:
		r.unlessStored(err)
	case recorded:
		r.event(EventDisk, "", "the disk guard resumes exporting, whoever paused it: %s", why)
	default:
		r.event(EventDisk, "", "the disk guard resumes exporting, whoever paused it, which the ledger does not know yet: another "+
			"server would enforce its holds again: %s", why)
	}
}

// roomToPause refuses a pause where the guard would soon end it again: a caller that is refused has lost nothing, and one
// whose backup is broken has. A disk that cannot be measured refuses nothing; whoever cannot tell brokers' metrics could
// not pause at all, and that it is not guarded is told as soon as exporting is paused.
func (r *Reconciler) roomToPause(ctx context.Context) error {
	if r.diskGuard.Disks == nil || !r.diskGuard.Release {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r.tellDisks(r.diskGuard.glance(r.opts.Fanout.Measure(ctx, r.diskGuard.Disks)))
	if low := r.diskGuard.tight(); len(low) > 0 {
		return &DiskLowError{Brokers: low, MinFree: r.diskGuard.MinFree.String(), Found: r.diskGuard.describe(low)}
	}
	return nil
}

// DiskLowError refuses a pause because brokers have too little free disk for one.
type DiskLowError struct {
	Brokers []exporting.BrokerID // in order
	MinFree string               // what is configured, such as "10%"
	Found   string               // what was measured, in words
}

// Error names the brokers and the way out.
func (e *DiskLowError) Error() string {
	return fmt.Sprintf("the disk guard would soon end the pause again, nothing was touched: %s; exporting.guard.min-free-disk is %s: "+
		"make room first, a tenth more than that", e.Found, e.MinFree)
}
