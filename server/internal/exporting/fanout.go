package exporting

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Options of a [Fanout]. All are required, but for ConfirmInterval.
type Options struct {
	// Concurrency is how many requests to brokers are under way at most. A planned change (8.10) does not count.
	Concurrency int
	// RequestTimeout bounds each request.
	RequestTimeout time.Duration
	// PlanTimeout bounds a planned change's request.
	PlanTimeout time.Duration
	// ConfirmInterval is the least time between the two reads that confirm a phase. 0 means two reads, however close.
	ConfirmInterval time.Duration
	// RetryInterval is the longest wait between two tries, and between two reads of a broker that shows what it shall
	// while others do not.
	RetryInterval time.Duration
	// Until tells when this process has to leave the brokers alone: no write begins then or lasts longer. The zero time is
	// never; nil is always never.
	Until func() time.Time
	// Heed is told every successful read of a broker, in order, before it counts: what is seen for a moment only may be what
	// matters. It must not call the fan-out, and not wait. May be nil.
	Heed func(id BrokerID, begun time.Time, readings []Reading)
}

// Fanout reads and moves every replica of a cluster, many brokers at a time. It remembers what each broker last showed.
//
// Its methods may be called by many goroutines at once; two drives at once would pull against each other, so there is
// one (package reconcile).
type Fanout struct {
	cluster Cluster
	opts    Options
	slots   chan struct{}
	base    context.Context // of writes, which outlive drives
	stop    context.CancelFunc
	writes  sync.WaitGroup

	mu          sync.Mutex
	closed      bool
	topology    *Topology
	topologyErr error
	brokers     map[BrokerID]*broker
	levers      map[LeverID]*lever
	suspect     lever // what levers are taken for that were not met before its doubt ended
	strayed     bool  // a pause lasted longer than this process may drive
}

// broker is what the fan-out remembers of one broker.
type broker struct {
	Observation

	started time.Time     // when the last recorded read began: an older read that ends later is not news
	took    time.Duration // how long the last successful one took, with the wait for its turn
}

// NewFanout returns a fan-out over a cluster. Close it after use.
func NewFanout(cluster Cluster, opts Options) (*Fanout, error) {
	switch {
	case opts.Concurrency < 1:
		return nil, fmt.Errorf("concurrency %d: at least one broker must be asked at a time", opts.Concurrency)
	case opts.RequestTimeout <= 0 || opts.PlanTimeout <= 0 || opts.RetryInterval <= 0 || opts.ConfirmInterval < 0:
		return nil, errors.New("timeouts and intervals must be positive")
	}
	base, stop := context.WithCancel(context.Background())
	return &Fanout{
		cluster: cluster, opts: opts, slots: make(chan struct{}, opts.Concurrency), base: base, stop: stop,
		brokers: map[BrokerID]*broker{}, levers: map[LeverID]*lever{},
	}, nil
}

// Suspect assumes that another process, which drove the brokers until now, may have asked them for something that is not
// applied yet, and whether for a soft pause. What levers are known for is forgotten.
func (f *Fanout) Suspect(soft bool) {
	suspect := lever{doubt: time.Now().Add(linger)}
	if soft {
		suspect.earlier = PhaseSoftPaused
	}
	f.takeFor(suspect)
}

// Yield forgets what brokers were asked for: another process drives them, and knows what may still take effect. Writes that
// are under way, of which [Options.Until] sees the end, are forgotten by the next call that comes after them.
func (f *Fanout) Yield() { f.takeFor(lever{}) }

// takeFor forgets levers, but for those that are being written, and takes them for another when they are met again.
func (f *Fanout) takeFor(suspect lever) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.suspect = suspect
	maps.DeleteFunc(f.levers, func(_ LeverID, s *lever) bool { return s.inFlight == nil })
}

// Close gives up the writes that are under way and waits for them to end. Drives must have ended.
func (f *Fanout) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.stop()
	f.writes.Wait()
}

// ConfirmInterval is the least time between the two reads that confirm a phase.
func (f *Fanout) ConfirmInterval() time.Duration { return f.opts.ConfirmInterval }

// View returns what is known now, without asking anybody.
func (f *Fanout) View() *View {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := &View{Topology: f.topology, TopologyErr: f.topologyErr, Observations: make(map[BrokerID]Observation, len(f.brokers))}
	if f.topology == nil {
		return v
	}
	for _, b := range f.topology.Brokers {
		if known, ok := f.brokers[b.ID]; ok {
			o := known.Observation
			if l := f.levers[b.Lever]; l != nil {
				o.Written, o.WriteErr, o.Word, o.Doubt, o.MaySoften = l.phase, l.err, l.lastWord(), !l.seen, l.maySoften()
			}
			v.Observations[b.ID] = o
		}
	}
	return v
}

// Look reads the topology and every broker once, and returns the view. It touches nothing. A broker that fails is in the
// view as such. It ends when all have answered or failed, or soon after the context ends; a broker that had not answered by
// then counts as failed in this view alone, because somebody with more time may be about to read it.
func (f *Fanout) Look(ctx context.Context) *View {
	topology := f.Discover(ctx)
	if topology == nil {
		return f.View()
	}
	seen := make([]Observation, len(topology.Brokers))
	var reads sync.WaitGroup
	for i, b := range topology.Brokers {
		reads.Go(func() { seen[i] = f.read(ctx, b) })
	}
	reads.Wait()
	v := f.View()
	for i, b := range topology.Brokers {
		if o, ok := v.Observations[b.ID]; ok && seen[i].Err != nil && o.Err == nil {
			o.Err = seen[i].Err
			v.Observations[b.ID] = o
		}
	}
	return v
}

// Discover asks what the cluster is configured to be, and touches nothing. If nobody tells it returns what was known before,
// nil at first.
func (f *Fanout) Discover(ctx context.Context) *Topology {
	ctx, cancel := context.WithTimeout(ctx, f.opts.RequestTimeout)
	defer cancel()
	started := time.Now()
	topology, err := f.cluster.Topology(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.topologyErr = err
	if err == nil {
		f.topology = topology
		for _, l := range topology.Levers {
			f.meet(l)
		}
		f.noteQuiet(topology, started)
		f.forget(topology)
	}
	return f.topology
}

// read asks one broker, records the answer, and returns what is now known of it. A read that ends because the context
// does is not recorded: it says more of us than of the broker.
func (f *Fanout) read(ctx context.Context, b Broker) Observation {
	if b.Address == "" {
		return Observation{Err: errNoAddress}
	}
	asked := time.Now()
	select {
	case f.slots <- struct{}{}:
	case <-ctx.Done():
		return Observation{Err: errors.New("there was no time left to ask it")}
	}
	defer func() { <-f.slots }()
	request, cancel := context.WithTimeout(ctx, f.opts.RequestTimeout)
	defer cancel()
	started := time.Now()
	readings, err := f.cluster.Read(request, b)
	switch {
	case err == nil && len(readings) == 0:
		err = errors.New("it shows no replica")
	case err != nil && ctx.Err() != nil:
		return Observation{Err: fmt.Errorf("no answer within %v", time.Since(started).Round(time.Millisecond))}
	}
	return f.record(b, asked, started, readings, err)
}

// slowest is how long a read of every broker takes, going by the last that succeeded.
func (f *Fanout) slowest() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	var slowest time.Duration
	for _, b := range f.brokers {
		slowest = max(slowest, b.took)
	}
	return slowest
}

// forget drops what is known of brokers and levers that the cluster does not have any more. f.mu is held.
func (f *Fanout) forget(topology *Topology) {
	maps.DeleteFunc(f.brokers, func(id BrokerID, _ *broker) bool {
		_, ok := topology.Broker(id)
		return !ok
	})
	maps.DeleteFunc(f.levers, func(id LeverID, s *lever) bool {
		_, ok := topology.Lever(id)
		return !ok && s.inFlight == nil && time.Since(s.ended) > linger
	})
}

// record notes the outcome of a read and returns what is now known of the broker.
func (f *Fanout) record(b Broker, asked, started time.Time, readings []Reading, err error) Observation {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.brokers[b.ID]
	if known == nil {
		known = &broker{}
		f.brokers[b.ID] = known
	}
	if started.Before(known.started) {
		return known.Observation
	}
	known.started = started
	now := time.Now()
	if known.Err = err; err != nil {
		known.Failed, known.Times = now, 0
		return known.Observation
	}
	if known.Times == 0 || !slices.EqualFunc(known.Readings, readings, sameState) {
		known.Stable, known.Times = now, 0
	}
	known.Readings, known.Begun, known.Read, known.took = readings, started, now, now.Sub(asked)
	known.Times++
	f.noteApplied(b.Lever, started, readings)
	if f.opts.Heed != nil {
		f.opts.Heed(b.ID, started, readings)
	}
	return known.Observation
}

// sameState reports whether two readings of a replica differ in nothing but positions and health.
func sameState(a, b Reading) bool {
	return a.Partition == b.Partition && a.Role == b.Role && a.Phase == b.Phase && a.NoExporters == b.NoExporters
}
