package embedded

import (
	"net/http"
	"slices"
	"time"
)

// Request is a request that a broker's management API got.
type Request struct {
	Method string
	Path   string // with the base path
	Query  string
	Time   time.Time
}

func (r Request) write() bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions
}

// rememberedRequests bounds each of a broker's logs: `exportgate dev` may run for days.
const rememberedRequests = 4096

// requestLog is a ring of the last requests.
type requestLog struct {
	ring  []Request
	count int
}

func (l *requestLog) add(r Request) {
	if len(l.ring) < rememberedRequests {
		l.ring = append(l.ring, r)
	} else {
		l.ring[l.count%rememberedRequests] = r
	}
	l.count++
}

// list is what the ring holds, the oldest first.
func (l *requestLog) list() []Request {
	oldest := 0
	if len(l.ring) == rememberedRequests {
		oldest = l.count % rememberedRequests
	}
	return slices.Concat(l.ring[oldest:], l.ring[:oldest])
}
