package audit

import (
	"cmp"
	"slices"
	"time"

	"github.com/exportgate/exportgate/server/internal/caller"
)

// The bounds of the lines for calls that were turned away, for each minute: whoever may call may not fill a disk, nor push
// the lines that count out of the files that are kept.
const (
	floodWindow    = time.Minute
	refusedByOne   = 20
	refusedByAll   = 300
	maxFlooders    = 1000
	maxSuppressed  = 20
	otherAddresses = "other addresses"
)

// flood counts the calls that were turned away, by address, since the last minute ended.
type flood struct {
	since     time.Time
	lines     int
	addresses map[string]*refusals
}

type refusals struct {
	lines      int
	suppressed uint64
}

// admitRefused reports whether a call that was turned away still gets a line of its own.
func (l *Log) admitRefused(address string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &l.flood
	if f.addresses == nil {
		f.addresses, f.since = map[string]*refusals{}, time.Now()
	}
	network := clip(caller.Network(address))
	if _, known := f.addresses[network]; !known && len(f.addresses) >= maxFlooders {
		network = otherAddresses
	}
	r := f.addresses[network]
	if r == nil {
		r = &refusals{}
		f.addresses[network] = r
	}
	if r.lines >= refusedByOne || f.lines >= refusedByAll {
		r.suppressed++
		return false
	}
	r.lines++
	f.lines++
	return true
}

// floodOver begins a new minute, and returns a line for those that had none in the last; nil if there were none.
func (l *Log) floodOver() *Line {
	l.mu.Lock()
	f := l.flood
	l.flood = flood{}
	l.mu.Unlock()
	var most []string
	for address, r := range f.addresses {
		if r.suppressed > 0 {
			most = append(most, address)
		}
	}
	if len(most) == 0 {
		return nil
	}
	slices.SortFunc(most, func(a, b string) int {
		return cmp.Or(cmp.Compare(f.addresses[b].suppressed, f.addresses[a].suppressed), cmp.Compare(a, b))
	})
	suppressed := map[string]uint64{}
	for i, address := range most {
		if i >= maxSuppressed {
			address = otherAddresses
		}
		suppressed[address] += f.addresses[most[i]].suppressed
	}
	return &Line{Kind: KindRefused, Suppressed: suppressed, Since: f.since.UTC()}
}
