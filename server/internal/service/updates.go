package service

import (
	"sync"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// updates makes what streams send. The status in it, which may be large, is the same for all streams that got the same one:
// the doors know it by its pointer, and nobody changes it. The rest is each stream's own, for it tells what happened since
// that stream was last told.
type updates struct {
	mu     sync.Mutex
	of     *reconcile.Status
	status *exportgatev1.Status
}

// response converts an update.
func (u *updates) response(update reconcile.Update) *exportgatev1.WatchStatusResponse {
	return &exportgatev1.WatchStatusResponse{
		Status: u.convert(update.Status), Events: toEvents(update.Events), MissedEvents: update.Missed, Cursor: update.Cursor,
	}
}

// convert converts a status, unless it is the one that was converted last.
func (u *updates) convert(status *reconcile.Status) *exportgatev1.Status {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of != status {
		u.of, u.status = status, toStatus(status)
		u.status.Events = nil // Each stream gets its own.
	}
	return u.status
}
