package embedded

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Broker is a broker: its replicas, and the management API that it serves while it is up.
type Broker struct {
	cluster  *Cluster
	id       int
	address  string // host:port, kept for life
	replicas []*replica

	// lifecycle lets one Start or Stop happen at a time; they wait, so the cluster's lock is not for them.
	lifecycle sync.Mutex
	port      portReservation
	server    *http.Server
	halt      context.CancelFunc // ends the requests that are served
	serving   sync.WaitGroup     // the server, and each request that it serves

	// These need the cluster's lock.
	version  version
	up       bool
	faults   faults
	changes  []change // asked for and not yet applied, in order
	requests requestLog
	writes   requestLog // apart, so that many reads do not make the broker forget a write
}

// change is a change of phase that some of a broker's replicas are asked for.
type change struct {
	replicas []*replica
	apply    func(*replica)
	due      time.Time
}

func newBroker(c *Cluster, id int, v version) *Broker {
	return &Broker{cluster: c, id: id, version: v, faults: newFaults(nil)}
}

// ID is the broker's id, from 0 on.
func (b *Broker) ID() int { return b.id }

// Address is the base URL of the broker's management API, "http://127.0.0.1:34567/actuator".
func (b *Broker) Address() string {
	scheme := "http://"
	if b.cluster.options.TLS != nil {
		scheme = "https://"
	}
	return scheme + b.address + b.cluster.options.BasePath
}

// DataDir holds the broker's replicas: <dir>/raft-partition/partitions/<id>/.exporterPaused is a pause state below
// 8.10.
func (b *Broker) DataDir() string { return filepath.Join(b.cluster.options.Dir, b.dir()) }

// dir is the data directory below the cluster's.
func (b *Broker) dir() string { return "broker-" + strconv.Itoa(b.id) }

// Version is the broker's version, "8.9.27".
func (b *Broker) Version() string {
	b.cluster.mu.Lock()
	defer b.cluster.mu.Unlock()
	return b.version.String()
}

// Up reports whether the broker runs.
func (b *Broker) Up() bool {
	b.cluster.mu.Lock()
	defer b.cluster.mu.Unlock()
	return b.up
}

// Start starts a stopped broker at its old address: it reads its state from the disk and takes part again. Starting a
// broker that is up does nothing.
func (b *Broker) Start(ctx context.Context) error {
	b.lifecycle.Lock()
	defer b.lifecycle.Unlock()
	if b.Up() {
		return nil
	}
	if b.cluster.isClosed() {
		return fmt.Errorf("starting broker %d: the cluster is closed", b.id)
	}
	b.port.release()
	listener, err := listen(ctx, b.address)
	if err != nil {
		return fmt.Errorf("starting broker %d: %w", b.id, err)
	}
	b.run(ctx, listener)
	return nil
}

// run starts the broker on a listener. It needs the lifecycle lock or a broker that nobody else knows yet, not the
// cluster's lock.
func (b *Broker) run(ctx context.Context, listener net.Listener) {
	ctx, b.halt = context.WithCancel(context.WithoutCancel(ctx)) // it runs until Stop

	b.cluster.mu.Lock()
	b.up = true
	for _, r := range b.replicas {
		if r.start(); r.failed != nil {
			b.cluster.log.WarnContext(ctx, "failed to start partition, removing partition",
				"broker", b.id, "partition", r.partition.name(), "error", r.failed)
		}
		r.partition.elect()
	}
	b.cluster.advancePlan()
	handler := b.admit(newManagement(b))
	b.cluster.mu.Unlock()

	b.server = &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(b.cluster.log.Handler(), slog.LevelDebug),
	}
	server := b.server
	if config := b.cluster.options.TLS; config != nil {
		config = config.Clone()
		config.NextProtos = []string{"http/1.1"} // as Spring's server, unless HTTP/2 is switched on
		listener = tls.NewListener(listener, config)
	}
	b.serving.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			b.cluster.log.ErrorContext(ctx, "embedded broker does not serve", "broker", b.id, "error", err)
		}
	})
}

// Stop stops the broker as a crash would: connections are refused and cut, its replicas go away, and what was only in
// memory is lost. Others lead its partitions if they have a quorum. Stopping a stopped broker does nothing.
func (b *Broker) Stop() {
	b.lifecycle.Lock()
	defer b.lifecycle.Unlock()
	b.cluster.mu.Lock()
	if !b.up {
		b.cluster.mu.Unlock()
		return
	}
	b.up = false
	b.changes = nil
	for _, r := range b.replicas {
		r.partition.elect()
		r.stop()
	}
	b.cluster.mu.Unlock()

	// First the connections, so that no request that is halted is answered any more.
	if err := b.server.Close(); err != nil {
		b.cluster.log.Debug("embedded broker closes", "broker", b.id, "error", err)
	}
	b.halt()
	b.serving.Wait() // also for a server that has not begun to serve yet, and still holds the listener
	if err := b.port.reserve(b.address); err != nil {
		b.cluster.log.Debug("embedded broker cannot keep its port", "broker", b.id, "error", err)
	}
}

// Restart stops the broker and starts it again.
func (b *Broker) Restart(ctx context.Context) error {
	b.Stop()
	return b.Start(ctx)
}

// releasePort gives the port of a stopped broker back.
func (b *Broker) releasePort() {
	b.lifecycle.Lock()
	defer b.lifecycle.Unlock()
	b.port.release()
}

// LoseDisk wipes the data of a stopped broker: its replicas begin anew, below 8.10 as EXPORTING (zeebe-facts.md 3.3).
func (b *Broker) LoseDisk() error {
	b.cluster.mu.Lock()
	defer b.cluster.mu.Unlock()
	if b.up {
		return fmt.Errorf("broker %d is up: stop it before its disk is lost", b.id)
	}
	if err := b.cluster.root.RemoveAll(b.dir()); err != nil {
		return fmt.Errorf("losing the disk of broker %d: %w", b.id, err)
	}
	for _, r := range b.replicas {
		r.exported, r.failed = -1, nil
	}
	return nil
}

// SetVersion gives a stopped broker another version, as an upgrade does.
func (b *Broker) SetVersion(text string) error {
	v, err := parseVersion(text)
	if err != nil {
		return err
	}
	b.cluster.mu.Lock()
	defer b.cluster.mu.Unlock()
	if b.up {
		return fmt.Errorf("broker %d is up: stop it before its upgrade", b.id)
	}
	b.version = v
	return nil
}

// Requests are the requests that the broker got, the oldest first, as far as it remembers.
func (b *Broker) Requests() []Request {
	b.cluster.mu.Lock()
	defer b.cluster.mu.Unlock()
	return b.requests.list()
}

// Writes are those of the requests that asked for a change, the oldest first: all but GET, HEAD and OPTIONS.
func (b *Broker) Writes() []Request {
	b.cluster.mu.Lock()
	defer b.cluster.mu.Unlock()
	return b.writes.list()
}

// admit serves a handler's requests as long as the broker is up, and remembers them before any fault can meet them.
func (b *Broker) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.cluster.mu.Lock()
		if !b.up {
			b.cluster.mu.Unlock()
			cut(w)
			return
		}
		b.serving.Add(1)
		request := Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Time: time.Now()}
		b.remember(request)
		f := b.faults
		b.cluster.mu.Unlock()
		defer b.serving.Done()
		if told := b.cluster.options.OnRequest; told != nil {
			told(b.id, request)
		}
		f.serve(w, r, next)
	})
}

func (b *Broker) remember(r Request) {
	b.requests.add(r)
	if r.write() {
		b.writes.add(r)
	}
}

// ask queues a change of phase of some of the broker's replicas and returns when it will be applied: in Zeebe, too, an
// answer only means that the change is queued (zeebe-facts.md 4.1). Changes do not overtake one another.
func (b *Broker) ask(phase Phase, replicas ...*replica) time.Time {
	if b.faults.refuses(phase) {
		return time.Now()
	}
	delay := max(b.cluster.options.ApplyDelay, 0) + b.faults.delay()
	return b.enqueue(delay, func(r *replica) { r.ask(phase) }, replicas...)
}

// follow lets a replica go to its configured phase, from 8.10 on.
func (b *Broker) follow(r *replica) {
	if !b.faults.refuses(r.configured) {
		b.enqueue(b.faults.delay(), (*replica).configure, r)
	}
}

func (b *Broker) enqueue(delay time.Duration, apply func(*replica), replicas ...*replica) time.Time {
	due := time.Now().Add(delay)
	if n := len(b.changes); n > 0 && b.changes[n-1].due.After(due) {
		due = b.changes[n-1].due
	}
	b.changes = append(b.changes, change{replicas: replicas, apply: apply, due: due})
	if delay := time.Until(due); delay > 0 {
		b.cluster.after(delay, b.applyDue)
	} else {
		b.applyDue()
	}
	return due
}

// applyDue applies the changes whose time has come.
func (b *Broker) applyDue() {
	now := time.Now()
	for len(b.changes) > 0 && !b.changes[0].due.After(now) {
		next := b.changes[0]
		b.changes = b.changes[1:]
		for _, r := range next.replicas {
			next.apply(r)
		}
	}
}

// SetFaults replaces the broker's faults, also those of requests that are being served. They survive a restart.
func (b *Broker) SetFaults(list ...Fault) {
	b.cluster.mu.Lock()
	defer b.cluster.mu.Unlock()
	close(b.faults.replaced)
	b.faults = newFaults(list)
	for _, r := range b.replicas {
		r.partition.elect()
		// From 8.10 on a member follows the configuration whenever it can; below, what was swallowed is lost.
		if b.up && b.version.planned() && len(b.changes) == 0 {
			b.follow(r)
		}
	}
}

// Clear takes all faults away.
func (b *Broker) Clear() { b.SetFaults() }

// Faults are the names of the broker's faults, for people.
func (b *Broker) Faults() []string {
	b.cluster.mu.Lock()
	defer b.cluster.mu.Unlock()
	names := make([]string, len(b.faults.list))
	for i, f := range b.faults.list {
		names[i] = f.String()
	}
	return names
}

func (b *Broker) inactive(partition int) bool { return b.faults.inactive(partition) }

func (b *Broker) closedForGood() bool { return b.faults.closed() }
