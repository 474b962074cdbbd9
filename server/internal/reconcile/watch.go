package reconcile

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// Update is the status at a change.
type Update struct {
	// Status is shared by all who watch: nobody changes it.
	Status *Status
	// Events since the last update, oldest first. Missed is true if some before the first of them are lost.
	Events []Event
	Missed bool
	// Cursor is where this update ends.
	Cursor string
}

// atMost is the shortest time between two statuses that are made for all who watch: while a cluster changes, every moment
// is a new one.
const atMost = 100 * time.Millisecond

// snapshot is the status that all who watch share, made by the first of them who asks after a change. Guarded by
// Reconciler.mu.
type snapshot struct {
	version uint64        // counts what deserves an update
	news    chan struct{} // closed at the next; nil while nobody watches
	sum     uint64        // of the last view
	stalled int           // how many leaders were then

	status *Status
	made   uint64        // the version that status is of
	at     time.Time     // when it was begun
	making chan struct{} // closed when the one that is being made is there; nil if none is
}

// Watch is one caller's watch. It is for one goroutine, and needs no end.
type Watch struct {
	r       *Reconciler
	cursor  string
	version uint64
}

// Watch begins a watch, with the events after a cursor, an empty one for all that are kept.
func (r *Reconciler) Watch(cursor string) *Watch { return &Watch{r: r, cursor: cursor} }

// Next returns the status, at once the first time, and then when anything but positions and times has changed since. Who
// asks rarely misses what lay between, never the last. It fails when the context ends, or with [ErrShuttingDown].
func (w *Watch) Next(ctx context.Context) (Update, error) {
	for {
		status, version, news, due := w.r.snapshot()
		if status != nil && version > w.version {
			u := Update{Status: status}
			u.Events, u.Missed, u.Cursor = w.r.journal.since(w.cursor)
			w.version, w.cursor = version, u.Cursor
			return u, nil
		}
		if err := w.wait(ctx, news, due); err != nil {
			return Update{}, err
		}
	}
}

// wait waits for news, or for an instant unless it is zero.
func (w *Watch) wait(ctx context.Context, news <-chan struct{}, due time.Time) error {
	var at <-chan time.Time
	if !due.IsZero() {
		timer := time.NewTimer(time.Until(due))
		defer timer.Stop()
		at = timer.C
	}
	select {
	case <-news:
		return nil
	case <-at:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.r.base.Done():
		return ErrShuttingDown
	}
}

// snapshot returns the shared status, nil before there is one, and its version; and when to ask again: at news, or at an
// instant. If it is not of the last version it makes a new one, unless somebody does, or that was done moments ago.
func (r *Reconciler) snapshot() (status *Status, version uint64, news <-chan struct{}, due time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.shared
	switch {
	case r.view == nil, s.status != nil && s.made == s.version:
		if s.news == nil {
			s.news = make(chan struct{})
		}
		return s.status, s.made, s.news, time.Time{}
	case s.making != nil:
		return s.status, s.made, s.making, time.Time{}
	case s.status != nil && time.Since(s.at) < atMost:
		return s.status, s.made, nil, s.at.Add(atMost)
	}
	view, made := r.view, s.version
	s.at, s.making = time.Now(), make(chan struct{})
	r.mu.Unlock()
	fresh := r.status(view)
	r.mu.Lock()
	close(s.making)
	s.status, s.made, s.making = fresh, made, nil
	return s.status, s.made, nil, time.Time{} // Whoever has it already asks once more.
}

// publish makes a view the last one.
func (r *Reconciler) publish(view *exporting.View) {
	sum := fingerprint(view, r.opts.Fanout.ConfirmInterval())
	r.mu.Lock()
	stalled := len(r.stalled(time.Now()))
	r.view = view
	close(r.seen)
	r.seen = make(chan struct{})
	changed := sum != r.shared.sum || stalled != r.shared.stalled
	r.shared.sum, r.shared.stalled = sum, stalled
	r.mu.Unlock()
	if changed {
		r.changed()
	}
}

// changed wakes those who watch.
func (r *Reconciler) changed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shared.version++
	if r.shared.news != nil {
		close(r.shared.news)
		r.shared.news = nil
	}
}

// seed of fingerprints, which are compared in this process alone.
//
//nolint:gochecknoglobals // A constant that only the run time can make.
var seed = maphash.MakeSeed()

// fingerprint sums up all of a view that deserves an update: everything but positions and times.
func fingerprint(view *exporting.View, confirm time.Duration) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	if t := view.Topology; t != nil {
		_, _ = h.WriteString(t.Pending)
		for _, b := range t.Brokers {
			o := view.Observations[b.ID]
			_, _ = h.WriteString(string(b.ID))
			_, _ = h.WriteString(b.Version)
			_ = h.WriteByte(flags(o.Err == nil, o.Confirmed(confirm), o.Doubt))
			for i := range o.Readings {
				r := &o.Readings[i]
				var id [4]byte
				binary.LittleEndian.PutUint32(id[:], uint32(r.Partition.ID)) //nolint:gosec // Only bits count.
				_, _ = h.WriteString(r.Partition.Tenant)
				_, _ = h.Write(slices.Concat(id[:], []byte{byte(r.Role), byte(r.Phase), byte(r.Health)}))
			}
		}
	}
	return h.Sum64()
}

func flags(bits ...bool) byte {
	var sum byte
	for i, bit := range bits {
		if bit {
			sum |= 1 << i
		}
	}
	return sum
}
