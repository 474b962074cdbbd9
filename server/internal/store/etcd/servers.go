package etcd

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// MaxClockDifference is how far the clocks of two servers may be apart before that is a warning: holds expire by them.
const MaxClockDifference = 5 * time.Second

const (
	maxServers = 100  // that are remembered
	maxStamp   = 1024 // bytes of a stamp
	samples    = beats
)

// Server is another one of those that share the store.
type Server struct {
	Name string
	// Ahead is how far its clock is ahead of this server's, negative if it is behind. It is an estimate, too low by what its
	// stamps take to get here at the least, which is mostly some milliseconds. 0 until the first one came.
	Ahead time.Duration
}

// Servers are the others, by name.
func (e *Election) Servers() []Server { return e.servers.list() }

// Warnings implements [reconcile.Election].
func (e *Election) Warnings() []string {
	var warnings []string
	for _, s := range e.servers.list() {
		switch {
		case s.Ahead > MaxClockDifference:
			warnings = append(warnings, fmt.Sprintf("the clock of %s is %v ahead of that of %s: synchronise both, holds expire by "+
				"them", s.Name, s.Ahead.Round(100*time.Millisecond), e.name))
		case s.Ahead < -MaxClockDifference:
			warnings = append(warnings, fmt.Sprintf("the clock of %s is %v behind that of %s: synchronise both, holds expire by "+
				"them", s.Name, -s.Ahead.Round(100*time.Millisecond), e.name))
		}
	}
	if e.servers.isOrphaned() {
		warnings = append(warnings, fmt.Sprintf("no server can drive the brokers: somebody wrote the etcd key %s, without a lease: "+
			"delete it", e.driverKey()))
	}
	return warnings
}

// stamp is what a server tells the others.
type stamp struct {
	Name string `json:"name"`
	Time int64  `json:"time"` // its clock, in nanoseconds since 1970
}

func (s stamp) encode() string {
	data, err := json.Marshal(s)
	if err != nil { // Of a string and a number: never.
		return ""
	}
	return string(data)
}

func decodeStamp(data []byte) (stamp, bool) {
	var s stamp
	if len(data) > maxStamp || json.Unmarshal(data, &s) != nil || s.Name == "" || len(s.Name) > maxName {
		return stamp{}, false
	}
	return s, true
}

// servers are what is known of the others. The zero value knows none.
type servers struct {
	mu     sync.Mutex
	byKey  map[string]*server
	orphan bool
}

type server struct {
	name  string
	ahead []time.Duration // as the last stamps showed it, each too low by what it took to come
}

// reset forgets servers whose keys are gone.
func (s *servers) reset(kvs []*mvccpb.KeyValue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.byKey, func(key string, _ *server) bool {
		return !slices.ContainsFunc(kvs, func(kv *mvccpb.KeyValue) bool { return string(kv.GetKey()) == key })
	})
}

// saw takes note of a server's stamp that has come just now, or of its end.
func (s *servers) saw(key string, value []byte, gone bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if gone {
		delete(s.byKey, key)
		return
	}
	stamp, ok := decodeStamp(value)
	if !ok {
		return
	}
	known := s.byKey[key]
	if known == nil {
		if len(s.byKey) >= maxServers {
			return
		}
		if s.byKey == nil {
			s.byKey = map[string]*server{}
		}
		known = &server{}
		s.byKey[key] = known
	}
	known.name = stamp.Name
	known.ahead = append(known.ahead, time.Duration(stamp.Time-now.UnixNano()))
	known.ahead = known.ahead[max(0, len(known.ahead)-samples):]
}

func (s *servers) list() []Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Server, 0, len(s.byKey))
	for _, known := range s.byKey {
		list = append(list, Server{known.name, slices.Max(known.ahead)}) // The stamp that took the least tells the most.
	}
	slices.SortFunc(list, func(a, b Server) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Ahead, b.Ahead)) })
	return list
}

// orphaned notes whether the driver's key hangs on no lease, so that it would never go.
func (s *servers) orphaned(orphan bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orphan = orphan
}

func (s *servers) isOrphaned() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.orphan
}
