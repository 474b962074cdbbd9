package service

import (
	"sync"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// updates makes what streams send, once for all that send the same: nearly all streams are at the same place, and a status
// is large. What it returns is shared, and nobody changes it.
type updates struct {
	mu     sync.Mutex
	of     *reconcile.Status
	status *exportgatev1.Status
	last   *exportgatev1.WatchStatusResponse
	events int // how many events last has
}

// response converts an update.
func (u *updates) response(update reconcile.Update) *exportgatev1.WatchStatusResponse {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of != update.Status {
		u.of, u.status, u.last = update.Status, toStatus(update.Status), nil
		u.status.Events = nil // Each stream gets its own.
	}
	if u.last != nil && u.events == len(update.Events) && u.last.GetCursor() == update.Cursor &&
		u.last.GetMissedEvents() == update.Missed {
		return u.last
	}
	u.events = len(update.Events)
	u.last = &exportgatev1.WatchStatusResponse{
		Status: u.status, Events: toEvents(update.Events), MissedEvents: update.Missed, Cursor: update.Cursor,
	}
	return u.last
}
