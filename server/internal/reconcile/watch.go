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

// atMost is the shortest time between two updates of one watch: while a cluster changes, every moment is a new one.
const atMost = 100 * time.Millisecond

// snapshot is the status that all who watch share, made when the first of them asks. Guarded by Reconciler.mu, but for
// status, which whoever has its turn makes.
type snapshot struct {
	version uint64        // counts what deserves an update
	news    chan struct{} // closed at the next; nil while nobody watches
	sum     uint64        // of the last view
	stalled int           // how many leaders were then
	made    uint64        // the version that status is of
	status  *Status
}

// Watch is one caller's watch. It is for one goroutine, and needs no end.
type Watch struct {
	r       *Reconciler
	cursor  string
	version uint64
	last    time.Time
}

// Watch begins a watch, with the events after a cursor, an empty one for all that are kept.
func (r *Reconciler) Watch(cursor string) *Watch { return &Watch{r: r, cursor: cursor} }

// Next returns the status, at once the first time, and then when anything but positions and times has changed since. Who
// asks rarely misses what lay between, never the last. It fails when the context ends, or with [ErrShuttingDown].
func (w *Watch) Next(ctx context.Context) (Update, error) {
	if wait := time.Until(w.last.Add(atMost)); wait > 0 && !sleep(ctx, wait) {
		return Update{}, ctx.Err()
	}
	for {
		status, version, news := w.r.snapshot()
		if status != nil && version > w.version {
			u := Update{Status: status}
			u.Events, u.Missed, u.Cursor = w.r.journal.since(w.cursor)
			w.version, w.cursor, w.last = version, u.Cursor, time.Now()
			return u, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return Update{}, ctx.Err()
		case <-w.r.base.Done():
			return Update{}, ErrShuttingDown
		}
	}
}

// snapshot returns the shared status, nil before the first view, its version, and a channel that is closed when there is a
// later one.
func (r *Reconciler) snapshot() (*Status, uint64, <-chan struct{}) {
	r.mu.Lock()
	s := &r.shared
	if s.news == nil {
		s.news = make(chan struct{})
	}
	view, version, news, status := r.view, s.version, s.news, s.status
	fresh := s.made == version && status != nil
	r.mu.Unlock()
	if view == nil || fresh {
		return status, version, news
	}
	status = r.status(view)
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.made != version || s.status == nil {
		s.made, s.status = version, status // Whoever came first is shared by the others.
	}
	return s.status, version, news
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
