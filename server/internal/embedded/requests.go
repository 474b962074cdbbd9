package embedded

import (
	"net/http"
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

// rememberedRequests bounds a broker's memory: `exportgate dev` may run for days.
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

func (l *requestLog) list(keep func(Request) bool) []Request {
	var kept []Request
	for i := range l.ring {
		r := l.ring[(l.count+i)%len(l.ring)]
		if keep(r) {
			kept = append(kept, r)
		}
	}
	return kept
}
