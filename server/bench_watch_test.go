//go:build unix

package server

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/exportgate/exportgate/server/internal/exporting/exportingtest"
)

// BenchmarkWatchers measures what each of a thousand who watch takes of the server's memory while nothing happens: at both
// doors of the whole server, and beside them at a bare net/http handler that has sent a status and waits for its client to
// leave.
func BenchmarkWatchers(b *testing.B) {
	s := serverOver(b, exportingtest.New(3, 3))
	first := newMessage(b, 9, 1)
	bare := &newsroom{last: first, next: make(chan struct{})}
	doors := map[string]herd{
		"bare": {Door: "http", Address: bare.open(b, "bare")},
		"grpc": {Door: "grpc", Address: s.GRPCAddr().String()},
		"http": {Door: "http", Address: s.HTTPAddr().String()},
	}
	taken := map[string][]float64{}
	for b.Loop() {
		for name, h := range doors {
			taken[name] = append(taken[name], memoryOf(b, h, ".1"))
		}
	}
	b.ReportMetric(0, "ns/op")
	for name, t := range taken {
		b.ReportMetric(middle(t), name+"-B/watcher")
	}
}

// BenchmarkChange measures what a change costs the server for each of a thousand who watch: at its doors, and beside them at
// a bare net/http handler, for which somebody else has made the bytes.
func BenchmarkChange(b *testing.B) {
	for _, replicas := range []int{9, 9000} {
		b.Run(fmt.Sprintf("replicas=%d", replicas), func(b *testing.B) {
			first := newMessage(b, replicas, 0)
			rooms, herds := map[string]*newsroom{}, map[string]*herd{}
			for _, door := range []string{"bare", "grpc", "http"} {
				rooms[door] = &newsroom{last: first, next: make(chan struct{})}
				h := herd{Door: door, Address: rooms[door].open(b, door), Watchers: manyWatchers}
				herds[door] = startHerd(b, h)
				herds[door].await(b, cursorOf(0))
			}
			costs := map[string][]cost{}
			for round := 1; b.Loop(); round++ {
				for door, room := range rooms {
					m := newMessage(b, replicas, round) // Another one for each door: what one keeps must not help another.
					costs[door] = append(costs[door], costOf(b, func() {
						room.publish(m)
						herds[door].await(b, cursorOf(round))
					}))
				}
			}
			b.ReportMetric(0, "ns/op")
			for door, c := range costs {
				b.ReportMetric(middleOf(c, func(c cost) float64 { return c.cpu.Seconds() * 1e6 })/manyWatchers, door+"-cpu-us/watcher")
				b.ReportMetric(middleOf(c, func(c cost) float64 { return float64(c.bytes) })/manyWatchers, door+"-alloc-B/watcher")
			}
			b.ReportMetric(float64(proto.Size(first.response)), "grpc-sent-B/watcher")
			b.ReportMetric(float64(len(first.event)), "http-sent-B/watcher")
		})
	}
}

func middle(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

func middleOf(costs []cost, of func(cost) float64) float64 {
	var values []float64
	for _, c := range costs {
		values = append(values, of(c))
	}
	return middle(values)
}
