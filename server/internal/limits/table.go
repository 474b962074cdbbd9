package limits

// table keeps something for each of a bounded number of keys, so that callers who come from everywhere cannot take the
// memory. Its user has a lock.
type table[V any] struct {
	limit   int
	entries map[string]*V
	fresh   func() *V
	idle    func(*V) bool // a fresh one would be no different
	rest    *V            // of all keys for which there is no room
}

func newTable[V any](limit int, fresh func() *V, idle func(*V) bool) *table[V] {
	return &table[V]{limit: limit, entries: map[string]*V{}, fresh: fresh, idle: idle, rest: fresh()}
}

// get is what is kept for a key, made if need be. While there is no room for another key, those that are new share one.
func (t *table[V]) get(key string) *V {
	if entry, ok := t.entries[key]; ok {
		return entry
	}
	if !t.makeRoom() {
		return t.rest
	}
	entry := t.fresh()
	t.entries[key] = entry
	return entry
}

// makeRoom looks at a few entries and forgets the idle ones, so that a new key costs the same however many there are. The
// order of a map is random: where a good part is idle, it finds one.
func (t *table[V]) makeRoom() bool {
	if len(t.entries) < t.limit {
		return true
	}
	left := 16
	for key, entry := range t.entries {
		if t.idle(entry) {
			delete(t.entries, key)
		}
		if left--; left == 0 {
			break
		}
	}
	return len(t.entries) < t.limit
}
