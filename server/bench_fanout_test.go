package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/zeebe"
)

// benchConcurrency is how many requests are under way at most, on both sides.
const benchConcurrency = 64

// sample is what one run cost.
type sample struct {
	wall   time.Duration
	allocs uint64
	peak   uint64 // bytes of heap above those before the run
}

// measure runs something once, from a clean heap.
func measure(run func()) sample {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	stop, peak := make(chan struct{}), make(chan uint64)
	go watchHeap(stop, peak)
	began := time.Now()
	run()
	wall := time.Since(began)
	close(stop)
	highest := <-peak
	runtime.ReadMemStats(&after)
	return sample{wall, after.Mallocs - before.Mallocs, max(highest, before.HeapAlloc) - before.HeapAlloc}
}

// watchHeap looks at the heap every millisecond and tells its highest size.
func watchHeap(stop <-chan struct{}, peak chan<- uint64) {
	reading := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	var highest uint64
	for {
		select {
		case <-ticker.C:
			metrics.Read(reading)
			highest = max(highest, reading[0].Value.Uint64())
		case <-stop:
			peak <- highest
			return
		}
	}
}

func median[T any](samples []sample, of func(sample) T, less func(a, b T) int) T {
	values := make([]T, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.SortFunc(values, less)
	return values[len(values)/2]
}

func medianWall(samples []sample) time.Duration {
	return median(samples, func(s sample) time.Duration { return s.wall }, func(a, b time.Duration) int { return int(a - b) })
}

func medianOf(samples []sample, of func(sample) uint64) float64 {
	return float64(median(samples, of, func(a, b uint64) int { return int(int64(a) - int64(b)) }))
}

// BenchmarkFanout drives 100 brokers with 9,000 replicas from exporting to paused and back, beside the limit: the same
// requests by a bare loop with the same parallelism, which decodes the same bodies and waits the same waits.
func BenchmarkFanout(b *testing.B) {
	const brokers = 100
	s := startStubs(b, brokers)
	ours, limit := fanoutOver(b, s), &bareLoop{addresses: s.Addresses, client: bareClient(), slots: make(chan struct{}, benchConcurrency)}
	phases := []exporting.Phase{exporting.PhasePaused, exporting.PhaseExporting}
	for i, phase := range phases { // Connections and caches are warm on both sides.
		ours(phase)
		limit.drive(b, phases[(i+1)%2])
		limit.drive(b, phase)
	}
	s.requests(b)
	var a, z []sample
	var requestsOurs, requestsLimit int
	for i := 0; b.Loop(); i++ {
		phase := phases[i%2]
		z = append(z, measure(func() { limit.drive(b, phase) }))
		requestsLimit += s.requests(b)
		limit.drive(b, phases[(i+1)%2])
		s.requests(b)
		a = append(a, measure(func() { ours(phase) }))
		requestsOurs += s.requests(b)
	}
	replicas := float64(brokers * replicasPerBroker)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(medianWall(a).Microseconds())/1000, "ms-ours")
	b.ReportMetric(float64(medianWall(z).Microseconds())/1000, "ms-limit")
	b.ReportMetric(float64(medianWall(a))/float64(medianWall(z)), "x-limit")
	b.ReportMetric(medianOf(a, func(s sample) uint64 { return s.allocs })/replicas, "allocs-ours/replica")
	b.ReportMetric(medianOf(z, func(s sample) uint64 { return s.allocs })/replicas, "allocs-limit/replica")
	b.ReportMetric(medianOf(a, func(s sample) uint64 { return s.peak })/replicas, "peak-B-ours/replica")
	b.ReportMetric(medianOf(z, func(s sample) uint64 { return s.peak })/replicas, "peak-B-limit/replica")
	b.ReportMetric(float64(requestsOurs)/float64(len(a)), "requests-ours")
	b.ReportMetric(float64(requestsLimit)/float64(len(z)), "requests-limit")
}

// BenchmarkFanoutGrowth shows that time and memory grow with the number of brokers, and no faster.
func BenchmarkFanoutGrowth(b *testing.B) {
	var smallest float64
	for _, brokers := range []int{10, 32, 100} {
		b.Run(fmt.Sprintf("brokers=%d", brokers), func(b *testing.B) {
			s := startStubs(b, brokers)
			ours := fanoutOver(b, s)
			ours(exporting.PhasePaused)
			ours(exporting.PhaseExporting)
			var samples []sample
			for i := 0; b.Loop(); i++ {
				phase := exporting.PhasePaused
				if i%2 == 1 {
					phase = exporting.PhaseExporting
				}
				samples = append(samples, measure(func() { ours(phase) }))
			}
			perBroker := float64(medianWall(samples).Microseconds()) / float64(brokers)
			if brokers == 10 {
				smallest = perBroker
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(perBroker, "us/broker")
			b.ReportMetric(perBroker/smallest, "x-10-brokers")
			b.ReportMetric(medianOf(samples, func(s sample) uint64 { return s.peak })/float64(brokers)/1024, "peak-KiB/broker")
			b.ReportMetric(medianOf(samples, func(s sample) uint64 { return s.allocs })/float64(brokers), "allocs/broker")
		})
	}
}

// fanoutOver returns a function that drives the brokers to a phase, with the product's own client and fan-out.
func fanoutOver(b *testing.B, s stubs) func(exporting.Phase) {
	b.Helper()
	var brokers []string
	for i, address := range s.Addresses {
		brokers = append(brokers, fmt.Sprintf("%d=%s", i, address))
	}
	client, err := zeebe.New(zeebe.Options{Brokers: brokers, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	fanout, err := exporting.NewFanout(client, exporting.Options{
		Concurrency: benchConcurrency, RequestTimeout: 8 * time.Second, PlanTimeout: 30 * time.Second, RetryInterval: 5 * time.Second,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		fanout.Close()
		_ = client.Close()
	})
	return func(phase exporting.Phase) {
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		defer cancel()
		if _, err := fanout.Drive(ctx, exporting.Goal{Phase: phase}); err != nil {
			b.Fatal(err)
		}
	}
}

// bareLoop is the limit: what anybody would have to ask, and nothing else.
type bareLoop struct {
	addresses []string
	client    *http.Client
	slots     chan struct{}
}

func bareClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: benchConcurrency}, Timeout: 8 * time.Second}
}

// barePartition is what is needed of a replica.
type barePartition struct {
	Role      string `json:"role"`
	Phase     string `json:"exporterPhase"`
	Processed int64  `json:"processedPosition"`
	Exported  int64  `json:"exportedPosition"`
	Health    struct {
		Status string `json:"status"`
	} `json:"health"`
}

// bareCluster is what is needed of the configuration.
type bareCluster struct {
	Brokers []struct {
		ID         int    `json:"id"`
		State      string `json:"state"`
		Partitions []struct {
			ID    int    `json:"id"`
			State string `json:"state"`
		} `json:"partitions"`
	} `json:"brokers"`
}

func (l *bareLoop) drive(b *testing.B, phase exporting.Phase) {
	b.Helper()
	var cluster bareCluster
	l.ask(b, http.MethodGet, l.addresses[0]+"/cluster", &cluster)
	operation := map[exporting.Phase]string{
		exporting.PhasePaused: "/partitions/pauseExporting", exporting.PhaseExporting: "/partitions/resumeExporting",
	}[phase]
	var brokers sync.WaitGroup
	for _, address := range l.addresses {
		brokers.Go(func() {
			var partitions map[string]barePartition
			l.ask(b, http.MethodGet, address+"/partitions", &partitions)
			l.ask(b, http.MethodPost, address+operation, nil)
			<-time.After(5 * time.Millisecond)
			for range 2 { // Read back, and once more.
				partitions = nil
				l.ask(b, http.MethodGet, address+"/partitions", &partitions)
				for id, p := range partitions {
					if p.Phase != phase.String() {
						b.Errorf("partition %s is %s", id, p.Phase)
					}
				}
			}
		})
	}
	brokers.Wait()
}

func (l *bareLoop) ask(b *testing.B, method, url string, into any) {
	b.Helper()
	l.slots <- struct{}{}
	defer func() { <-l.slots }()
	req, err := http.NewRequestWithContext(b.Context(), method, url, nil)
	if err != nil {
		b.Error(err)
		return
	}
	resp, err := l.client.Do(req)
	if err != nil {
		b.Error(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && into != nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		b.Error(err)
	}
}
